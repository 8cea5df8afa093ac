"""Commands that wait for what a screen shows, compare it, and find and read things on it."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from desktop_sandbox import ConfigurationError
from desktop_sandbox.cli.desktop import SUFFIXES, connected, parse_region, save
from desktop_sandbox.cli.output import print_json, print_pairs, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desktop_sandbox.sdk.eyes import Changes, Waited
    from desktop_sandbox.sdk.requests import Region


def wait_stable(
    sandbox: str, quiet: int, timeout: float, region: str | None, ignore: Sequence[str], output: str, *, as_json: bool
) -> int:
    """Wait until nothing changes; 0 if it came to that."""
    with connected(sandbox) as desktop:
        found = desktop.wait_until_stable(
            quiet_ms=quiet,
            timeout=timeout,
            region=parse_region(region),
            ignore=_regions(ignore),
            screenshot=_wish(output),
        )
    _show_wait(found, output, as_json=as_json)
    if not as_json:
        if found.stable:
            print(f"stable after {found.waited_ms} ms", file=sys.stderr)
        else:
            moving = "; ".join(map(_written, found.moving)) or "nothing in the last second"
            print(f"not stable within {timeout:g} s; moving: {moving}", file=sys.stderr)
    return 0 if found.stable else 1


def wait_change(
    sandbox: str,
    since: str | None,
    timeout: float,
    region: str | None,
    ignore: Sequence[str],
    output: str,
    *,
    as_json: bool,
) -> int:
    """Wait for a change; 0 if there was one."""
    with connected(sandbox) as desktop:
        found = desktop.wait_for_change(
            parse_region(region), since=since, timeout=timeout, ignore=_regions(ignore), screenshot=_wish(output)
        )
    _show_wait(found, output, as_json=as_json)
    if not as_json and not found.changed:
        print(f"nothing changed within {timeout:g} s", file=sys.stderr)
    return 0 if found.changed else 1


def wait_window(
    sandbox: str,
    title: str | None,
    window_class: str | None,
    *,
    regex: bool,
    gone: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Wait for a window; print its id."""
    if title is None and window_class is None:
        raise typer.BadParameter("give a title, or --class")
    with connected(sandbox) as desktop:
        window = desktop.wait_for_window(title, window_class=window_class, regex=regex, gone=gone, timeout=timeout)
    if as_json:
        print_json(window)
    elif window is not None:
        print(window.id)


def wait_text(
    sandbox: str,
    text: str,
    region: str | None,
    language: str,
    *,
    regex: bool,
    gone: bool,
    timeout: float,
    as_json: bool,
) -> None:
    """Wait for a text; print where it is."""
    part = parse_region(region)
    with connected(sandbox) as desktop:
        found = desktop.wait_for_text(text, region=part, regex=regex, gone=gone, language=language, timeout=timeout)
    if as_json:
        print_json(found)
    else:
        for match in found:
            print(f"{_written(match.box)}\t{match.text}")


def changes(
    sandbox: str,
    since: str | None,
    picture: str | None,
    region: str | None,
    ignore: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Compare the screen; without anything to compare with, print a moment."""
    data = None if picture is None else _read(picture)
    with connected(sandbox) as desktop:
        found = desktop.changes(since, picture=data, region=parse_region(region), ignore=_regions(ignore))
    if as_json:
        print_json(_facts(found))
    elif since is None and picture is None:
        print(found.moment)
    else:
        for each in found.regions:
            print(_written(each))
        print(f"now: {found.moment}", file=sys.stderr)


def find_picture(
    sandbox: str,
    file: str | None,
    like: str | None,
    region: str | None,
    threshold: float,
    scale: str,
    *,
    as_json: bool,
) -> int:
    """Find a picture; 0 if it is on the screen."""
    data = None if file is None else _read(file)
    with connected(sandbox) as desktop:
        found = desktop.find_picture(
            data,
            like=parse_region(like),
            region=parse_region(region),
            threshold=threshold,
            scale=_scale(scale),
        )
    if as_json:
        print_json(found)
    else:
        rows = [(_written(match.box), f"{match.score:.3f}", f"{match.scale:g}") for match in found]
        print_table(("BOX", "SCORE", "SCALE"), rows, empty="it is not on the screen")
    return 0 if found else 1


def read_text(sandbox: str, region: str | None, language: str, *, as_json: bool) -> None:
    """Print the text on the screen."""
    with connected(sandbox) as desktop:
        found = desktop.read_text(region=parse_region(region), language=language)
    if as_json:
        print_json(found)
    elif found.text:
        print(found.text)


def mark(sandbox: str, boxes: Sequence[str], output: str, *, text: bool, as_json: bool) -> None:
    """Save a screenshot with numbered boxes."""
    path = Path(output or f"{sandbox}.png")
    wanted = [_labelled(box) for box in boxes]
    with connected(sandbox) as desktop:
        found = desktop.mark_elements(
            wanted, text=text, screenshot={"format": SUFFIXES.get(path.suffix.lower(), "png")}
        )
    save(path, found.screenshot.data)
    if as_json:
        print_json({"path": str(path), "marks": found.marks})
    else:
        rows = [(str(each.number), _written(each.box), each.label) for each in found.marks]
        print_table(("NUMBER", "BOX", "LABEL"), rows, empty="there is nothing to number")


def cursor(sandbox: str, output: str, *, as_json: bool) -> None:
    """Show the pointer."""
    with connected(sandbox) as desktop:
        found = desktop.get_cursor()
    if output:
        if found.data is None:
            raise ConfigurationError("the pointer is hidden: it has no picture", hint="move it over something else")
        save(Path(output), found.data)
    if as_json:
        print_json({name: value for name, value in asdict(found).items() if name != "data"})
    else:
        print_pairs(
            [
                ("place", f"{found.x},{found.y}"),
                ("shape", found.name or "(no name)"),
                ("size", f"{found.width}×{found.height}"),
                ("hot spot", f"{found.hot_spot[0]},{found.hot_spot[1]}"),
            ]
        )


def clipboard_get(sandbox: str, picture: str | None, *, as_json: bool) -> None:
    """Print the clipboard's text, or save its picture."""
    with connected(sandbox) as desktop:
        if picture is None:
            text = desktop.clipboard.get()
            print_json({"text": text}) if as_json else print(text)
            return
        data = desktop.clipboard.get_picture()
    if data is None:
        raise ConfigurationError("the clipboard holds no picture", hint="it may hold text: leave out --picture")
    if picture == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        save(Path(picture), data)


def clipboard_set(sandbox: str, text: str | None, picture: str | None) -> None:
    """Put text or a picture into the clipboard."""
    data = None if picture is None else _read(picture)
    with connected(sandbox) as desktop:
        if data is not None:
            desktop.clipboard.set_picture(data)
        else:
            desktop.clipboard.set(sys.stdin.read() if text == "-" else text or "")


def _show_wait(found: Waited, output: str, *, as_json: bool) -> None:
    if output and found.screenshot is not None:
        save(Path(output), found.screenshot.data)
    if as_json:
        print_json({**_facts(found), "waited_ms": found.waited_ms})
    else:
        for each in found.regions:
            print(_written(each))


def _facts(found: Changes) -> dict[str, Any]:
    return {
        "changed": found.changed,
        "regions": found.regions,
        "stable": found.stable,
        "moving": found.moving,
        "moment": found.moment,
    }


def _wish(output: str) -> bool | dict[str, str]:
    return {"format": SUFFIXES.get(Path(output).suffix.lower(), "png")} if output else False


def _written(region: Region) -> str:
    return ",".join(map(str, region))


def _regions(texts: Sequence[str]) -> list[Region]:
    return [region for text in texts if (region := parse_region(text)) is not None]


def _labelled(text: str) -> tuple[Region, str]:
    place, _, label = text.partition("=")
    region = parse_region(place)
    assert region is not None
    return region, label


def _scale(text: str) -> tuple[float, float]:
    try:
        smallest, largest = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no range; write SMALLEST,LARGEST, for example 0.5,2") from None
    return smallest, largest


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}", hint="name a picture") from error
