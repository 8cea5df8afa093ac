"""log.tail: the last lines of the journal, of the session, or of a file."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError, from_os_error
from guest_image.agent.registry import integer, op, string
from guest_image.agent.spawn import spawn

if TYPE_CHECKING:
    from guest_image.agent.call import Call
    from guest_image.agent.server import Agent

MAX_BYTES = 256 << 10
_CAPTURE_S = 15.0


@op("log.tail", source=string("journal"), lines=integer(100, 1, 10_000))
async def log_tail(call: Call, *, source: str, lines: int) -> dict[str, Any]:
    """{"text"}: at most `lines` lines and 256 KiB. `source`: "journal", "session" or an absolute path."""
    if source.startswith("/"):
        root = call.agent.accounts.get("root")
        try:
            text = await call.agent.files.run(root, _tail, source, lines)
        except OSError as error:
            raise from_os_error(error, f"cannot read {source}") from error
        return {"text": text}
    journal = ["journalctl", "--no-pager", "--quiet", "-o", "short-monotonic", "-n", str(lines)]
    if source == "session":
        journal += ["-u", "desktop-session.service"]
    elif source != "journal":
        raise OpError("invalid", f"source {source!r:.80}", hint='"journal", "session" or an absolute path')
    return {"text": await capture(call.agent, journal, MAX_BYTES)}


def _tail(path: str, lines: int) -> str:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with open(fd, "rb") as file:
        file.seek(max(0, os.fstat(fd).st_size - MAX_BYTES))
        data = file.read(MAX_BYTES)
    return b"\n".join(data.splitlines()[-lines:]).decode("utf-8", "replace")


async def capture(agent: Agent, argv: list[str], max_bytes: int) -> str:
    """Run a program of the system as root and return the end of what it prints."""
    root = agent.accounts.get("root")
    output, output_in = os.pipe2(os.O_CLOEXEC)
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    try:
        env = agent.accounts.environment(root)
        files = (null, output_in, output_in)
        child = await spawn(argv, account=root, env=env, cwd="/", files=files, procs_file=None)
    except BaseException:
        os.close(output)
        raise
    finally:
        os.close(output_in)
        os.close(null)
    os.set_blocking(output, False)
    data = bytearray()
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def take() -> None:
        chunk = os.read(output, 1 << 16)
        data.extend(chunk)
        del data[:-max_bytes]
        if not chunk:
            loop.remove_reader(output)
            if not ended.done():
                ended.set_result(None)

    loop.add_reader(output, take)
    try:
        await asyncio.wait([ended], timeout=_CAPTURE_S)
    finally:
        loop.remove_reader(output)
        os.close(output)
        if not await child.wait(1.0):
            await child.terminate(0.1)
        if child.exited.done():
            child.reap()
    return data.decode("utf-8", "replace")
