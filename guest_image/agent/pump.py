"""Between a program's pipes and the streams of a request, with credit both ways."""

from __future__ import annotations

import array
import asyncio
import fcntl
import os
import termios
from typing import TYPE_CHECKING

from guest_image.agent.spawn import settle

if TYPE_CHECKING:
    from guest_image.agent.call import InStream, OutStream


class OutputPump:
    """Moves a pipe's bytes to the host while there is credit.

    After `program_ended` it moves what the pipe holds and gives up soon after: a program left in the background may
    keep the pipe open for ever.
    """

    def __init__(self, fd: int, stream: OutStream, grace_s: float) -> None:
        self._fd = fd
        self._stream = stream
        self._grace_s = grace_s
        self._loop = asyncio.get_running_loop()
        self._ended = False
        self._news: asyncio.Future[None] | None = None
        self._owed_bytes = 0
        self._give_up_at = 0.0
        os.set_blocking(fd, False)

    def program_ended(self) -> None:
        """The program is gone: what the pipe holds now is still its own."""
        held = array.array("i", [0])
        fcntl.ioctl(self._fd, termios.FIONREAD, held)
        self._owed_bytes = held[0]
        self._give_up_at = self._loop.time() + self._grace_s
        self._ended = True
        if self._news is not None:
            settle(self._news)

    async def run(self) -> None:
        """Until the pipe's end, or until it is time to give up. Closes the pipe and ENDs the stream."""
        try:
            while self._owed_bytes > 0 or not self._late():
                room = await self._stream.room()
                try:
                    data = os.read(self._fd, room)
                except BlockingIOError:
                    self._owed_bytes = 0
                    await self._readable()
                    continue
                if not data:
                    break
                self._owed_bytes -= len(data)
                await self._stream.write(data)
        finally:
            os.close(self._fd)
            self._stream.end()

    def _late(self) -> bool:
        return self._ended and self._loop.time() >= self._give_up_at

    async def _readable(self) -> None:
        news: asyncio.Future[None] = self._loop.create_future()

        self._loop.add_reader(self._fd, settle, news)
        self._news = news
        try:
            if not self._ended:
                await news
            else:
                await asyncio.wait([news], timeout=max(0.0, self._give_up_at - self._loop.time()))
        finally:
            self._loop.remove_reader(self._fd)
            self._news = None


async def feed_input(fd: int, stream: InStream) -> None:
    """Move the request's input into a pipe and close it at the end, or when the program no longer reads."""
    loop = asyncio.get_running_loop()
    os.set_blocking(fd, False)
    try:
        while data := await stream.read():
            view = memoryview(data)
            while view:
                try:
                    view = view[os.write(fd, view) :]
                except BlockingIOError:
                    room: asyncio.Future[None] = loop.create_future()
                    loop.add_writer(fd, settle, room)
                    try:
                        await room
                    finally:
                        loop.remove_writer(fd)
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        os.close(fd)
