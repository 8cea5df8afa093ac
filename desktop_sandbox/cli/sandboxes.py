"""Commands that make, list, explain and end sandboxes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from desktop_sandbox import Host, NotFoundError, Policy, Sandbox
from desktop_sandbox.cli.output import ago, jsonable, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from desktop_sandbox.sdk.models import SandboxInfo

ALIVE = ("creating", "running", "paused", "killing")


def create(
    template: str,
    resolution: str | None,
    timeout: float,
    metadata: Sequence[str],
    *,
    snapshot: str | None,
    on_timeout: str,
    auto_resume: bool,
    freeze_after: float | None,
    network: Policy | str | None = None,
    as_json: bool,
) -> None:
    """Create a sandbox, after building its template if that is not ready."""
    from desktop_sandbox.cli.host import show_progress

    wanted = None if resolution is None else parse_resolution(resolution)
    names = parse_metadata(metadata)
    if on_timeout not in ("kill", "pause"):
        raise typer.BadParameter(f"--on-timeout {on_timeout!r}: kill or pause")
    with Host.connect() as host:
        if snapshot is not None:
            template = host.get_snapshot(snapshot).template
        state = {info.name: info.state for info in host.templates()}.get(template)
        if snapshot is None and state in ("missing", "stale", "building"):
            show_progress(template, host.build_template(template))
    desktop = Sandbox.create(
        template,
        resolution=wanted,
        timeout=timeout or None,
        metadata=names,
        snapshot=snapshot,
        on_timeout=on_timeout,
        auto_resume=auto_resume,
        freeze_after=freeze_after,
        network=network,
    )
    try:
        if as_json:
            print_json(desktop.get_info())
        else:
            print(desktop.sandbox_id)
    finally:
        desktop.close()


def ls(everything: bool, template: str | None, metadata: Sequence[str], *, as_json: bool) -> None:
    """List sandboxes."""
    names = parse_metadata(metadata)
    found: list[SandboxInfo] = []
    cursor: str | None = None
    while True:
        page = Sandbox.list(
            state=() if everything else ALIVE, template=template, metadata=names, limit=1000, cursor=cursor
        )
        found += page.sandboxes
        cursor = page.cursor
        if cursor is None:
            break
    if as_json:
        print_json(found)
        return
    rows = [
        (
            info.sandbox_id,
            info.template,
            "frozen" if info.frozen else info.state,
            "×".join(map(str, info.resolution)),
            ago(info.created_at),
            ago(info.expires_at) if info.state in ALIVE else info.reason or "",
            " ".join(f"{name}={value}" for name, value in info.metadata.items()),
        )
        for info in found
    ]
    columns = ("SANDBOX", "TEMPLATE", "STATE", "SCREEN", "CREATED", "EXPIRES", "METADATA")
    print_table(columns, rows, empty='no sandboxes; make one with "desktop-sandbox create"')


def info(sandbox_id: str, *, as_json: bool) -> None:
    """Show one sandbox."""
    desktop = Sandbox.connect(sandbox_id)
    try:
        found = desktop.get_info()
    finally:
        desktop.close()
    if as_json:
        print_json(found)
        return
    print_pairs(
        [
            ("sandbox", found.sandbox_id),
            ("template", found.template),
            ("state", found.state + (f": {found.reason}" if found.reason else "")),
            ("screen", "×".join(map(str, found.resolution))),
            ("created", f"{found.created_at:%Y-%m-%d %H:%M:%S} UTC, {ago(found.created_at)}"),
            ("expires", ago(found.expires_at) + (", paused then" if found.on_timeout == "pause" else "")),
            ("snapshot", found.snapshot or "none"),
            ("network", found.network if isinstance(found.network, str) else "by rules: desktop-sandbox network ID"),
            *((f"metadata {name}", value) for name, value in found.metadata.items()),
        ]
    )


def kill(sandbox_ids: Sequence[str], everything: bool, *, as_json: bool) -> None:
    """End sandboxes; one that is gone already is fine with --all."""
    ids = list(sandbox_ids)
    if everything:
        cursor: str | None = None
        while True:
            page = Sandbox.list(state=ALIVE, limit=1000, cursor=cursor)
            ids += [info.sandbox_id for info in page.sandboxes]
            cursor = page.cursor
            if cursor is None:
                break
    for sandbox_id in ids:
        try:
            Sandbox.connect(sandbox_id).kill()
        except NotFoundError:
            if not everything:
                raise
        if not as_json:
            print(f"{sandbox_id} ended", file=sys.stderr)
    if as_json:
        print_json({"killed": ids})


def why(sandbox_id: str, *, as_json: bool) -> None:
    """Explain a sandbox."""
    desktop = Sandbox.connect(sandbox_id)
    try:
        found = desktop.why()
    finally:
        desktop.close()
    if as_json:
        print_json(found)
        return
    for name, value in jsonable(found).items():
        if isinstance(value, list):
            print(f"{name}:")
            for item in value:
                text = " ".join(f"{k}={v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
                print(f"  {text}")
        elif isinstance(value, dict):
            print(f"{name}:")
            for key, item in value.items():
                print(f"  {key}: {item}")
        else:
            text = "" if value is None else str(value).rstrip()
            print(f"{name}:\n{text}\n" if "\n" in text else f"{name}: {text}")


def parse_resolution(text: str) -> tuple[int, int]:
    """WIDTHxHEIGHT as two numbers."""
    width, _, height = text.lower().replace("×", "x").partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise typer.BadParameter(f"{text!r} is no screen size; write for example 1280x800")
    return int(width), int(height)


def parse_metadata(entries: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE entries as a mapping."""
    found = {}
    for entry in entries:
        name, equals, value = entry.partition("=")
        if not equals or not name:
            raise typer.BadParameter(f"{entry!r} is no metadata; write NAME=VALUE")
        found[name] = value
    return found
