"""Commands about elements of apps, and windows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.output import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desktop_sandbox.elements import Match, Scope
    from desktop_sandbox.sdk.models import Window

ELEMENT_VERBS = ("click", "focus", "set", "invoke", "show", "look")
WINDOW_VERBS = ("activate", "close", "minimise", "maximise", "restore", "move", "resize")
_AMERICAN = {"minimize": "minimise", "maximize": "maximise"}


def tree(
    sandbox_id: str, *, app: str | None, all_: bool, hidden: bool, nodes: int, timeout: float, as_json: bool
) -> None:
    """Print elements as an outline."""
    scope: Scope = "all" if all_ else "focused"
    with connected(sandbox_id) as desktop:
        found = desktop.tree(app, scope=scope, hidden=hidden, nodes=nodes, timeout=timeout)
    if as_json:
        print_json(found)
    else:
        print(found.text)


def find(
    sandbox_id: str,
    role: str | None,
    name: str | None,
    *,
    match: str,
    states: Sequence[str],
    app: str | None,
    all_: bool,
    hidden: bool,
    as_json: bool,
) -> None:
    """Print the elements that fit, one a line."""
    matches: dict[str, Match] = {"substring": "substring", "exact": "exact", "regex": "regex"}
    if match not in matches:
        raise typer.BadParameter(f"unknown match {match!r}; choose {', '.join(matches)}")
    scope: Scope = "all" if all_ else "focused"
    with connected(sandbox_id) as desktop:
        found = desktop.find(
            role, name, match=matches[match], states=states, app=app, scope=scope, hidden=hidden, limit=200
        )
    if as_json:
        print_json(found)
    else:
        for element in found:
            print(element)


def element(sandbox_id: str, do: str, element_id: str, value: str | None, *, as_json: bool) -> None:
    """Do something to an element, and print it as it is then."""
    if do not in ELEMENT_VERBS:
        raise typer.BadParameter(f"cannot {do!r} an element; choose {', '.join(ELEMENT_VERBS)}")
    if do == "set" and value is None:
        raise typer.BadParameter("set needs a value")
    with connected(sandbox_id) as desktop:
        if do == "click":
            x, y = desktop.click_element(element_id)
            if as_json:
                print_json({"x": x, "y": y})
            else:
                print(f"clicked at {x},{y}")
            return
        if do == "set":
            now = desktop.set_element(element_id, value or "")
        elif do == "invoke":
            now = desktop.invoke_element(element_id, value)
        else:
            plain = {"focus": desktop.focus_element, "show": desktop.show_element, "look": desktop.get_element}
            now = plain[do](element_id)
    if as_json:
        print_json(now)
    else:
        print(now)


def windows(sandbox_id: str, *, as_json: bool) -> None:
    """List the windows, the topmost first."""
    with connected(sandbox_id) as desktop:
        found = desktop.windows()
    if as_json:
        print_json(found)
        return
    columns = ("id", "title", "class", "pid", "place", "states")
    print_table(columns, [_row(each) for each in reversed(found)], empty="there is no window")


def window(sandbox_id: str, do: str, wanted: str, numbers: Sequence[int], *, as_json: bool) -> None:
    """Do something to a window, and print it as it is then."""
    verb = _AMERICAN.get(do, do)
    if verb not in WINDOW_VERBS:
        raise typer.BadParameter(f"cannot {do!r} a window; choose {', '.join(WINDOW_VERBS)}")
    if len(numbers) != (2 if verb in ("move", "resize") else 0):
        raise typer.BadParameter("move takes X Y, resize WIDTH HEIGHT, the others no numbers")
    with connected(sandbox_id) as desktop:
        if verb == "close":
            closed = desktop.close_window(wanted)
            if as_json:
                print_json({"closed": closed})
            elif not closed:
                print("error: the window is still there\nhint: it may ask whether to save: look", file=sys.stderr)
            if not closed:
                raise typer.Exit(1)
            return
        if verb == "move":
            now = desktop.move_window(wanted, numbers[0], numbers[1])
        elif verb == "resize":
            now = desktop.resize_window(wanted, numbers[0], numbers[1])
        else:
            plain = {
                "activate": desktop.activate_window,
                "minimise": desktop.minimise_window,
                "maximise": desktop.maximise_window,
                "restore": desktop.restore_window,
            }
            now = plain[verb](wanted)
    if as_json:
        print_json(now)
    elif now is not None:
        print("  ".join(part for part in _row(now) if part))


def launch(sandbox_id: str, command: Sequence[str], *, wait: float, as_json: bool) -> None:
    """Start an app; with `wait`, until it has a window."""
    app = command[0] if len(command) == 1 else list(command)
    with connected(sandbox_id) as desktop:
        if not wait:
            pid = desktop.launch(app)
            print_json({"pid": pid}) if as_json else print(f"pid {pid}")
            return
        opened = desktop.launch_window(app, timeout=wait)
    if as_json:
        print_json(opened)
    else:
        print("  ".join(part for part in _row(opened) if part))


def _row(each: Window) -> list[str]:
    place = f"{each.x},{each.y} {each.width}×{each.height}"
    states = [*(["active"] if each.active else []), *each.states]
    return [each.id, each.title, each.window_class, str(each.pid or ""), place, ", ".join(states)]
