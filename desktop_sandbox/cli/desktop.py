"""Commands that look at a desktop and act on it."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from desktop_sandbox import ConfigurationError, Sandbox
from desktop_sandbox.cli.output import print_json, size
from desktop_sandbox.sdk.models import CommandExit

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from desktop_sandbox.sdk.requests import ImageFormat, Region

SUFFIXES = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".raw": "raw", ".rgb": "raw"}


@contextmanager
def connected(sandbox_id: str) -> Iterator[Sandbox]:
    """A sandbox for one command; it runs on afterwards."""
    desktop = Sandbox.connect(sandbox_id)
    try:
        yield desktop
    finally:
        desktop.close()


def screenshot(
    sandbox_id: str,
    output: str,
    format_: str | None,
    *,
    quality: int,
    scale: float,
    region: str | None,
    cursor: bool,
    stable: int | None,
    as_json: bool,
) -> None:
    """Save a screenshot; the format follows the file's name unless it is given."""
    chosen = format_ or SUFFIXES.get(Path(output).suffix.lower(), "png")
    if chosen not in SUFFIXES.values():
        raise typer.BadParameter(f"unknown format {chosen!r}; choose png, jpeg, webp or raw")
    if not output and not sys.stdout.isatty() and not as_json:
        output = "-"
    part = parse_region(region)
    with connected(sandbox_id) as desktop:
        picture = desktop.capture(
            cast("ImageFormat", chosen),
            quality=quality,
            scale=scale,
            region=part,
            cursor=cursor,
            stable_ms=stable,
        )
    if output == "-":
        sys.stdout.buffer.write(picture.data)
        sys.stdout.buffer.flush()
        return
    path = Path(output or f"{sandbox_id}.{'jpg' if chosen == 'jpeg' else chosen}")
    save(path, picture.data)
    if as_json:
        shown = {"width": picture.width, "height": picture.height, "stable": picture.stable}
        print_json({"path": str(path), "media_type": picture.media_type, **shown})
    else:
        print(f"{path}: {picture.width}×{picture.height}, {size(len(picture.data))}", file=sys.stderr)


def act(sandbox_id: str, actions: str, picture: str | None, *, changes: bool, as_json: bool) -> None:
    """Do a batch of actions written as JSON."""
    text = sys.stdin.read() if actions == "-" else actions
    try:
        batch: Any = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"the actions are not JSON: {error}") from None
    wish: bool | dict[str, str] = False
    if picture is not None:
        wish = {"format": SUFFIXES.get(Path(picture).suffix.lower(), "png")}
    with connected(sandbox_id) as desktop:
        result = desktop.act(batch if isinstance(batch, list) else [batch], screenshot=wish, changes=changes)
    if picture is not None and result.screenshot is not None:
        save(Path(picture), result.screenshot.data)
    if as_json:
        told = {} if result.changes is None else {"changes": result.changes}
        print_json({"results": result.results, "screenshot": picture, **told})
    else:
        for index, entry in enumerate(result.results):
            print(f"{index}  done" + (f"  {json.dumps(entry, ensure_ascii=False)}" if entry else ""))
        if result.changes is not None:
            regions = "; ".join(",".join(map(str, each)) for each in result.changes.regions)
            print(f"changed: {regions or 'nothing on the screen'}")


def exec_(
    sandbox_id: str,
    command: Sequence[str],
    *,
    user: str,
    cwd: str | None,
    timeout: float,
    pass_stdin: bool,
    as_json: bool,
) -> int:
    """Run a command with its output passed on; its exit code (124 for a timeout, as timeout(1))."""
    line = command[0] if len(command) == 1 else list(command)
    limit = timeout or None
    given = sys.stdin.buffer.read() if pass_stdin else None
    with connected(sandbox_id) as desktop:
        if as_json:
            result = desktop.commands.run(line, user=user, cwd=cwd, timeout=limit, stdin=given, check=False)
            print_json(result)
            return 124 if result.timed_out else result.exit_code
        outputs = {"stdout": sys.stdout.buffer, "stderr": sys.stderr.buffer}
        code = 1
        for event in desktop.commands.stream(line, user=user, cwd=cwd, timeout=limit, stdin=given):
            if isinstance(event, CommandExit):
                code = 124 if event.timed_out else event.exit_code
                if event.timed_out:
                    print(f"error: not ended after {timeout:g} s, and was killed", file=sys.stderr)
            else:
                outputs[event.stream].write(event.data)
                outputs[event.stream].flush()
        return code


def open_(sandbox_id: str, target: str, *, as_json: bool) -> None:
    """Open a file or an address."""
    with connected(sandbox_id) as desktop:
        desktop.open(target)
    if as_json:
        print_json({"opened": target})


def save(path: Path, data: bytes) -> None:
    """Write a file of this host; ConfigurationError says why not."""
    try:
        path.write_bytes(data)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}", hint="choose another file with --output"
        ) from error


def parse_region(text: str | None) -> Region | None:
    """X,Y,WIDTH,HEIGHT as a region; BadParameter for anything else."""
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
        raise typer.BadParameter(f"{text!r} is no region; write X,Y,WIDTH,HEIGHT, for example 0,0,640,400")
    x, y, width, height = (int(part) for part in parts)
    return x, y, width, height
