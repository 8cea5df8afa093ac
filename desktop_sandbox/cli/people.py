"""Commands for people at a desktop: a link to watch it, who drives, recordings."""

from __future__ import annotations

import sys
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from desktop_sandbox import ConfigurationError
from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.output import print_json, size

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox
    from desktop_sandbox.sdk.people import RecordingInfo


def view(sandbox_id: str, *, view_only: bool, ttl: float, name: str, open_: bool, as_json: bool) -> None:
    """Make a link and print it, or open it in this computer's browser."""
    with connected(sandbox_id) as desktop:
        token = desktop.stream.create_token(view_only=view_only, ttl=ttl, name=name)
    if as_json:
        print_json({"id": token.id, "url": token.url, "rights": token.rights, "expires_at": token.expires_at})
    else:
        print(token.url)
        may = "watch" if view_only else "watch and drive"
        print(f"whoever has this address may {may} until {token.expires_at:%Y-%m-%d %H:%M} UTC", file=sys.stderr)
    if open_ and not webbrowser.open(token.url):
        print("error: no browser could be started here\nhint: open the address yourself", file=sys.stderr)
        raise typer.Exit(1)


def revoke(sandbox_id: str, token_id: str, *, as_json: bool) -> None:
    """Let a link be good for nothing."""
    with connected(sandbox_id) as desktop:
        desktop.stream.revoke(token_id)
    if as_json:
        print_json({"revoked": token_id})


def control(sandbox_id: str, want: str | None, *, as_json: bool) -> None:
    """Show who drives, or change it."""
    with connected(sandbox_id) as desktop:
        match want:
            case None:
                state = desktop.control.get()
            case "take":
                state = desktop.control.take()
            case "give":
                state = desktop.control.give()
            case "release":
                state = desktop.control.release()
            case _:
                raise typer.BadParameter(f"{want!r}; choose take, give or release, or nothing to look")
    if as_json:
        print_json(state)
        return
    who = {"agent": "the agent drives", "none": "nobody drives"}.get(state.holder, f"{state.name} drives")
    print(who + (f"; {state.wanted_by} asks for control" if state.wanted_by else ""))


def record(
    sandbox_id: str,
    output: str | None,
    *,
    seconds: float | None,
    start: bool,
    stop: bool,
    cursor: bool,
    as_json: bool,
) -> None:
    """Record for a time or until Ctrl-C, and save it; or only start, or stop what was started."""
    if start and (stop or seconds is not None or output):
        raise typer.BadParameter("--start only starts; stop and save it later with --stop FILE")
    with connected(sandbox_id) as desktop:
        if not stop:
            begun = desktop.recordings.start(cursor=cursor)
            if start:
                _tell(begun, None, as_json=as_json)
                return
            _wait(seconds)
        done = desktop.recordings.stop()
        path = Path(output or f"{sandbox_id}.mp4")
        _save(desktop, done, path)
    _tell(done, path, as_json=as_json)


def _wait(seconds: float | None) -> None:
    if seconds is None:
        print("recording; Ctrl-C ends it", file=sys.stderr)
    try:
        time.sleep(365 * 86400 if seconds is None else seconds)
    except KeyboardInterrupt:
        if seconds is not None:
            print("stopped early", file=sys.stderr)


def _save(desktop: Sandbox, recording: RecordingInfo, path: Path) -> None:
    try:
        with path.open("wb") as file:
            for chunk in desktop.recordings.read(recording, "stream"):
                file.write(chunk)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}",
            hint=f"it is kept on the server as {recording.id}; fetch it with GET …/recordings/{recording.id}",
        ) from error


def _tell(recording: RecordingInfo, path: Path | None, *, as_json: bool) -> None:
    if as_json:
        print_json({**recording.__dict__, "path": None if path is None else str(path)})
    elif path is None:
        print(recording.id)
    else:
        length = "" if recording.duration_ms is None else f", {recording.duration_ms / 1000:.1f} s"
        print(f"{path}: {size(recording.size_bytes)}{length}", file=sys.stderr)
