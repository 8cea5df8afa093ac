"""A bad network in user space, since netem is not in every kernel: relays of UDP and TCP with delay and loss.

`python -m bench.stream.relay DELAY_MS LOSS`; every request is a JSON line, and so is its answer: `udp` (`host`,
`port`: a relay to there; its `port`, on the same address), `tcp` (`port` of 127.0.0.1; its `port`), `drop` (lose the
last packet of the next video frame that comes from there: the RTP header, which nobody encrypts, says which that is),
`log` (`bytes` that came from there, `dropped`). Half the delay each way; losses each way.

TCP cannot be robbed of a segment from here. What a loss does to it is imitated, in its favour: the bytes wait for one
more round trip, as after a fast retransmit, and so does what comes after them; its window does not shrink.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import socket
import sys
from collections.abc import Callable
from typing import Any

SEGMENT_BYTES = 1448
_CHUNK = 1 << 16
_MOST_WAITING = 64  # chunks of one direction of a TCP connection; then the sender waits, as for a full window
_RTP_VIDEO = range(96, 128)


class Line:
    """One direction: when, and whether, something arrives."""

    def __init__(self, delay_s: float, loss: float, chance: random.Random) -> None:
        self.delay_s, self.loss = delay_s, loss
        self._chance = chance
        self._free_at = 0.0

    def loses(self, packets: int = 1) -> bool:
        """Whether one of so many packets is lost."""
        return self._chance.random() >= (1 - self.loss) ** packets

    def stream_arrives(self, size: int, now: float) -> float:
        """When bytes of a TCP stream arrive: in order, and a round trip later if a segment was lost."""
        late = 2 * self.delay_s if self.loses(-(-size // SEGMENT_BYTES)) else 0.0
        self._free_at = max(self._free_at, now + self.delay_s + late)
        return self._free_at


class Relays:
    """All relays of this process."""

    def __init__(self, delay_ms: float, loss: float) -> None:
        self._delay_s, self._loss = delay_ms / 2000, loss
        self._chance = random.Random(1)
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], int] = {}
        self._held: list[Any] = []
        self.bytes = self.dropped = 0
        self.robbing = False

    def line(self) -> Line:
        """A direction of a new connection."""
        return Line(self._delay_s, self._loss, self._chance)

    async def answer(self, op: str, host: str = "127.0.0.1", port: int = 0) -> dict[str, Any]:
        """Do what a request asks for."""
        match op:
            case "udp":
                if (host, port) not in self._known:
                    family = socket.AF_INET6 if ":" in host else socket.AF_INET
                    front, _ = await self._loop.create_datagram_endpoint(
                        lambda: Front(self, (host, port)), local_addr=(host, 0), family=family
                    )
                    self._held.append(front)
                    self._known[host, port] = front.get_extra_info("sockname")[1]
                return {"port": self._known[host, port]}
            case "tcp":
                server = await asyncio.start_server(lambda r, w: self._stream(port, r, w), "127.0.0.1", 0)
                self._held.append(server)
                return {"port": server.sockets[0].getsockname()[1]}
            case "drop":
                self.robbing = True
                return {"udp": len(self._known)}
            case "log":
                return {"bytes": self.bytes, "dropped": self.dropped}
        return {"error": f"no such request: {op}"}

    def back(self, data: bytes, line: Line, send: Callable[[bytes], None]) -> None:
        """A datagram from there, to the page."""
        self.bytes += len(data)
        if self.robbing and _ends_frame(data):
            self.robbing = False
            self.dropped += 1
            return
        self.forth(data, line, send)

    def forth(self, data: bytes, line: Line, send: Callable[[bytes], None]) -> None:
        """A datagram, either way."""
        if line.loses():
            self.dropped += 1
        elif line.delay_s:
            self._loop.call_later(line.delay_s, send, data)
        else:
            send(data)

    async def _stream(self, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        # asyncio's servers complain of what is cancelled, and that is how this process ends
        with contextlib.suppress(asyncio.CancelledError):
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._pump(reader, far_writer, counted=False))
                tasks.create_task(self._pump(far_reader, writer, counted=True))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, counted: bool) -> None:
        line, waiting = self.line(), asyncio.Queue[tuple[float, bytes]](_MOST_WAITING)

        async def deliver() -> None:
            while True:
                at, data = await waiting.get()
                if (left := at - self._loop.time()) > 0:
                    await asyncio.sleep(left)
                if not data:
                    writer.close()
                    return
                writer.write(data)
                await writer.drain()

        async def take() -> None:
            data = b"x"
            while data:
                data = await reader.read(_CHUNK)
                self.bytes += len(data) if counted else 0
                await waiting.put((line.stream_arrives(len(data), self._loop.time()), data))

        try:
            await asyncio.gather(deliver(), take())
        except OSError:
            writer.close()


class Front(asyncio.DatagramProtocol):
    """The port that a page sends to; for each of the page's addresses a port of its own to the other side."""

    def __init__(self, relays: Relays, target: tuple[str, int]) -> None:
        self._relays, self._target = relays, target
        self._backs: dict[Any, Back] = {}
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if addr not in self._backs:
            back = self._backs[addr] = Back(self._relays, self, addr)
            back.opening = asyncio.ensure_future(
                asyncio.get_running_loop().create_datagram_endpoint(lambda: back, remote_addr=self._target)
            )
        back = self._backs[addr]
        self._relays.forth(data, back.to_there, back.send)


class Back(asyncio.DatagramProtocol):
    """One page's way on; what comes before the socket is open waits for it."""

    opening: asyncio.Future[Any]

    def __init__(self, relays: Relays, front: Front, page: Any) -> None:
        self._relays, self._front, self._page = relays, front, page
        self._transport: asyncio.DatagramTransport | None = None
        self._early: list[bytes] = []
        self.to_there, self._to_page = relays.line(), relays.line()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        for data in self._early:
            transport.sendto(data)

    def send(self, data: bytes) -> None:
        """To the other side."""
        if self._transport is None:
            self._early.append(data)
        else:
            self._transport.sendto(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self._relays.back(data, self._to_page, lambda late: self._front.transport.sendto(late, self._page))

    def error_received(self, exc: Exception) -> None:
        """The other side has gone."""


def _ends_frame(data: bytes) -> bool:
    return len(data) > 12 and data[0] >> 6 == 2 and bool(data[1] & 0x80) and data[1] & 0x7F in _RTP_VIDEO


async def main(delay_ms: float, loss: float) -> None:
    """Serve until standard input ends."""
    relays = Relays(delay_ms, loss)
    print(json.dumps({"ready": True}), flush=True)
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            answer = await relays.answer(**json.loads(line))
        except OSError as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(float(sys.argv[1]), float(sys.argv[2])))
