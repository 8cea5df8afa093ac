"""file.watch: changes of files, streamed as they happen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError, from_os_error
from guest_image.agent.inotify import Watch
from guest_image.agent.ops.files import absolute
from guest_image.agent.payloads import dump_json
from guest_image.agent.protocol import STREAM_OUT
from guest_image.agent.registry import boolean, op, string
from guest_image.agent.spawn import settle

if TYPE_CHECKING:
    from guest_image.agent.call import Call

MAX_WATCHES = 32


@op("file.watch", path=string(), recursive=boolean(False), user=string("user"))
async def file_watch(call: Call, *, path: str, recursive: bool, user: str) -> dict[str, Any]:
    """Stream one JSON object a line: {"event": "ready"}, then each change, until cancelled or the path is gone: {}.

    A host that grants no credit slows nobody in the guest down: beyond what the kernel keeps, "overflow" is told.
    """
    if sum(each.op == call.op for each in call.agent.calls()) > MAX_WATCHES:
        raise OpError("busy", f"{MAX_WATCHES} watches run in this desktop", hint="end one of them")
    account = call.agent.accounts.get(user)
    path = absolute(path, account.home)
    stream = call.out(STREAM_OUT)
    loop = asyncio.get_running_loop()

    def begin() -> Watch:
        return Watch(path, recursive=recursive)

    try:
        watch = await call.agent.files.run(account, begin, dispose=Watch.close)
    except OSError as error:
        raise from_os_error(error, f"cannot watch {path}") from error
    try:
        await stream.write(_line({"event": "ready", "path": path, "folder": False}))
        while not watch.over:
            news: asyncio.Future[None] = loop.create_future()
            loop.add_reader(watch.fd, settle, news)
            try:
                await news
            finally:
                loop.remove_reader(watch.fd)
            for change in await call.agent.files.run(account, watch.take):
                await stream.write(_line(change))
    finally:
        watch.close()
    return {}


def _line(change: dict[str, Any]) -> bytes:
    return dump_json(change) + b"\n"
