"""Charts and tables as data beside their pictures, for kernels of IPython: loaded as an extension into each.

A matplotlib figure also gives `application/vnd.desktop-sandbox.chart+json`, a pandas table
`application/vnd.dataresource+json` (https://specs.frictionlessdata.io/tabular-data-resource/). Both are best effort:
what cannot be told is left out, and never in the way of the picture.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

CHART = "application/vnd.desktop-sandbox.chart+json"
TABLE = "application/vnd.dataresource+json"
MAX_POINTS = 5000
MAX_ROWS = 1000


def load_ipython_extension(shell: Any) -> None:
    """What IPython calls."""
    from IPython.core.formatters import BaseFormatter
    from traitlets import ObjectName, Unicode

    def formatter(kind: str) -> Any:
        class Formatter(BaseFormatter):
            """Things as data."""

            format_type = Unicode(kind)
            print_method = ObjectName("_repr_of_desktop_sandbox_")  # nobody has it: types are named below
            _return_type = dict

        made = Formatter(parent=shell.display_formatter)
        shell.display_formatter.formatters[kind] = made
        return made

    formatter(CHART).for_type_by_name("matplotlib.figure", "Figure", chart_of)
    tables = formatter(TABLE)
    for module in ("pandas", "pandas.core.frame"):  # the name that it gives itself has changed
        tables.for_type_by_name(module, "DataFrame", table_of)


def table_of(frame: Any) -> dict[str, Any] | None:
    """A pandas table as data: its first rows."""
    with suppress(Exception):
        return dict(json.loads(frame.head(MAX_ROWS).to_json(orient="table")))
    return None


def chart_of(figure: Any) -> dict[str, Any] | None:
    """A figure as data: one entry for each pair of axes that shows something."""
    found = []
    for axes in figure.axes:
        with suppress(Exception):
            found.append(_axes(axes))
    found = [one for one in found if one["series"]]
    return {"title": _title(figure), "axes": found} if found else None


def _title(figure: Any) -> str:
    title = getattr(figure, "_suptitle", None)
    return str(title.get_text()) if title is not None else ""


def _axes(axes: Any) -> dict[str, Any]:
    return {
        "title": axes.get_title(),
        "x": {"label": axes.get_xlabel(), "scale": axes.get_xscale()},
        "y": {"label": axes.get_ylabel(), "scale": axes.get_yscale()},
        "series": [*_lines(axes), *_points(axes), *_bars(axes), *_wedges(axes)],
    }


def _label(thing: Any) -> str:
    label = str(thing.get_label())
    return "" if label.startswith("_") else label


def _values(data: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in list(data)[:MAX_POINTS]]


def _lines(axes: Any) -> list[dict[str, Any]]:
    return [
        {"type": "line", "label": _label(line), "x": _values(line.get_xdata()), "y": _values(line.get_ydata())}
        for line in axes.get_lines()
    ]


def _points(axes: Any) -> list[dict[str, Any]]:
    found = []
    for each in axes.collections:
        if type(each).__name__ == "PathCollection":
            offsets = each.get_offsets()[:MAX_POINTS]
            x, y = ([float(one[i]) for one in offsets] for i in (0, 1))
            found.append({"type": "scatter", "label": _label(each), "x": x, "y": y})
    return found


def _bars(axes: Any) -> list[dict[str, Any]]:
    found = []
    for each in axes.containers:
        if type(each).__name__ != "BarContainer":
            continue
        bars = list(each.patches)[:MAX_POINTS]
        level = getattr(each, "orientation", "vertical") == "horizontal"
        at = [bar.get_y() + bar.get_height() / 2 if level else bar.get_x() + bar.get_width() / 2 for bar in bars]
        ticks = axes.get_yticklabels() if level else axes.get_xticklabels()
        places = axes.get_yticks() if level else axes.get_xticks()
        names = {round(float(place), 6): tick.get_text() for place, tick in zip(places, ticks, strict=False)}
        found.append(
            {
                "type": "bar",
                "label": _label(each),
                "x": [names.get(round(float(one), 6)) or float(one) for one in at],
                "y": [float(bar.get_width() if level else bar.get_height()) for bar in bars],
            }
        )
    return found


def _wedges(axes: Any) -> list[dict[str, Any]]:
    wedges = [patch for patch in axes.patches if type(patch).__name__ == "Wedge"]
    if not wedges:
        return []
    shares = [abs(float(wedge.theta2 - wedge.theta1)) / 360 for wedge in wedges]
    return [{"type": "pie", "label": "", "x": [_label(wedge) for wedge in wedges], "y": shares}]
