"""The way between a candidate and its page: straight over loopback, or through the relay (relay.py)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from playwright.async_api import BrowserContext

from bench.stream.lines import Child, child
from bench.stream.network import Network

_SCRIPT = Path(__file__).with_name("relay.js")


@dataclass(frozen=True)
class Way:
    """Where the page is opened, and the relay that it then goes through, if any."""

    url: str
    relay: Child | None = None

    async def script(self, context: BrowserContext) -> str:
        """What a page of this context needs at first."""
        if self.relay is None:
            return ""
        relay = self.relay

        async def port_for(host: str, port: int) -> int:
            return int((await relay.ask(op="udp", host=host, port=int(port)))["port"])

        await context.expose_function("benchRelay", port_for)
        return _SCRIPT.read_text()

    async def bytes(self) -> int:
        """What has come to the page: through the relay, else over the loopback device."""
        if self.relay is None:
            return loopback_bytes()
        return int((await self.relay.ask(op="log"))["bytes"])

    async def drop_a_frames_end(self) -> bool:
        """Lose the last packet of the next video frame. False where no video goes over UDP."""
        return self.relay is not None and bool((await self.relay.ask(op="drop"))["udp"])

    async def dropped(self) -> int:
        """Packets lost so far."""
        return 0 if self.relay is None else int((await self.relay.ask(op="log"))["dropped"])


@contextlib.asynccontextmanager
async def way_to(url: str, network: Network | None) -> AsyncIterator[Way]:
    """The way to a candidate's page over a network; None: straight."""
    if network is None:
        yield Way(url)
        return
    async with child("the relay", "bench.stream.relay", str(network.delay_ms), str(network.loss)) as relay:
        await relay.ready()
        parts = urlsplit(url)
        port = (await relay.ask(op="tcp", port=parts.port))["port"]
        yield Way(urlunsplit(parts._replace(netloc=f"127.0.0.1:{port}")), relay)


def loopback_bytes() -> int:
    """What has gone over the loopback device: the candidate's traffic, and little else while the bench runs."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == "lo":
            return int(figures.split()[8])
    return 0
