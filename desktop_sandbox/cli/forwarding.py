"""Forward a port of this computer to one of a desktop."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import sys
from typing import TYPE_CHECKING

import typer

from desktop_sandbox.cli.desktop import connected
from desktop_sandbox.cli.output import print_json
from desktop_sandbox.errors import ConfigurationError, DesktopSandboxError

if TYPE_CHECKING:
    from desktop_sandbox import AsyncSandbox

_READ_BYTES = 64 << 10


def parse_ports(text: str) -> tuple[int, int]:
    """(port of this computer, port of the desktop) of "8080" or "8080:80"; 0 on this computer: any that is free."""
    here, colon, there = text.partition(":")
    ports = (here, there if colon else here)
    if not all(port.isascii() and port.isdigit() and len(port) <= 5 for port in ports):
        raise typer.BadParameter(f"{text!r} is no port; write 8080 or 8080:80")
    local, remote = map(int, ports)
    if local > 65535 or not 0 < remote <= 65535:
        raise typer.BadParameter(f"{text!r}: ports go from 1 to 65535")
    return local, remote


def run(sandbox_id: str, ports: str, bind: str) -> None:
    """Forward until Ctrl-C."""
    local, remote = parse_ports(ports)
    asyncio.run(_serve(sandbox_id, bind, local, remote))


def get_host(sandbox_id: str, port: int, *, public: bool, ttl: float, as_json: bool) -> None:
    """Print the address of a port."""
    with connected(sandbox_id) as desktop:
        found = desktop.ports.get_host(port, public=public, expires_in=ttl)
    if as_json:
        print_json(dataclasses.asdict(found))
        return
    print(found.url)
    until = "everybody" if found.expires_at is None else f"whoever has it, until {found.expires_at:%Y-%m-%d %H:%M} UTC"
    print(f"opens for {until}", file=sys.stderr)


async def _serve(sandbox_id: str, bind: str, local: int, remote: int) -> None:
    from desktop_sandbox import AsyncSandbox

    desktop = await AsyncSandbox.connect(sandbox_id)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await carry(desktop, remote, reader, writer)
        except* DesktopSandboxError as group:
            _tell(group)
        except* OSError:
            pass
        finally:
            writer.transport.abort()

    try:
        try:
            server = await asyncio.start_server(handle, bind, local)
        except OSError as error:
            raise ConfigurationError(
                f"cannot listen on {bind} port {local}: {error.strerror or error}", hint="choose another: 0:PORT"
            ) from error
        port = server.sockets[0].getsockname()[1]
        print(f"{bind}:{port} → port {remote} of {sandbox_id}; Ctrl-C ends it", file=sys.stderr, flush=True)
        async with server:
            await server.serve_forever()
    finally:
        await desktop.aclose()


def _tell(group: BaseExceptionGroup[DesktopSandboxError]) -> None:
    for error in group.exceptions:
        if isinstance(error, DesktopSandboxError):
            print(f"error: {error.message}", file=sys.stderr)


async def carry(desktop: AsyncSandbox, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection, both ways, each to its end."""
    async with await desktop.ports.connect(port) as there:

        async def outward() -> None:
            with contextlib.suppress(ConnectionResetError):
                while data := await reader.read(_READ_BYTES):
                    await there.write(data)
            await there.end()

        async with asyncio.TaskGroup() as tasks:
            sending = tasks.create_task(outward())
            async for data in there:
                writer.write(data)
                await writer.drain()
            with contextlib.suppress(OSError):
                writer.write_eof()
            await asyncio.wait([sending])
