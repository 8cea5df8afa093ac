"""A kernel that runs before anybody asks, so that a template has it: importing Jupyter takes a minute when emulated.

`code-context --spare KERNEL` starts a context and waits at a socket in the user's runtime folder. The first
`code-context KERNEL` of that user takes it (a rename, so that one alone does), says where it is and what is in its
environment, and from then on only carries bytes between its own pipes and the spare. Without one it starts a context.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
from pathlib import Path
from typing import Any

_PIECE = 1 << 16
_HELLO_BYTES = 1 << 20


def place(kernel: str) -> Path:
    """Where the spare for a kernel waits."""
    folder = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}"
    return Path(folder, f"code-spare-{kernel}")


async def wait(kernel: str) -> int:
    """Be the spare: until somebody has taken it, and is done with it."""
    import asyncio

    from guest_image.code.context import NoKernelError, listen, speak, started

    try:
        async with started(kernel) as context:
            hello, connection = await asyncio.to_thread(_taken, place(kernel))
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
            connection.close()
            await context.settle(hello["cwd"], hello["env"])
            context.ready(kernel)
            await listen(context)
    except NoKernelError as error:
        speak(t="failed", message=str(error))
        return error.code
    return 0


def _taken(where: Path) -> tuple[dict[str, Any], socket.socket]:
    where.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(where))
        where.chmod(0o600)
        listener.listen(1)
        connection, _ = listener.accept()
    said = b""
    while not said.endswith(b"\n") and len(said) < _HELLO_BYTES and (piece := connection.recv(_PIECE)):
        said += piece
    return json.loads(said), connection


def join(kernel: str) -> int | None:
    """Take the spare and carry bytes until it ends; its exit code. None: there is none."""
    where = place(kernel)
    mine = where.with_name(f"{where.name}-{os.getpid()}")
    try:
        where.rename(mine)
    except OSError:
        return None
    with socket.socket(socket.AF_UNIX) as spare:
        try:
            spare.connect(str(mine))
            spare.sendall(json.dumps({"cwd": os.getcwd(), "env": dict(os.environ)}).encode() + b"\n")
        except OSError:
            return None
        finally:
            mine.unlink(missing_ok=True)
        _carry(spare)
    return 0


def _carry(spare: socket.socket) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(0, selectors.EVENT_READ)
        ready.register(spare, selectors.EVENT_READ)
        while True:
            for key, _ in ready.select():
                if key.fd == 0:
                    data = os.read(0, _PIECE)
                    if data:
                        spare.sendall(data)
                    else:
                        ready.unregister(0)
                        spare.shutdown(socket.SHUT_WR)
                    continue
                view = memoryview(spare.recv(_PIECE))
                if not view:
                    return
                while view:
                    view = view[os.write(1, view) :]
