"""Ten viewers come and go for minutes while one page stays: what the server's processes hold, how late that page is.

The ten are aiortc's, and decode what they get; each stays for some seconds, leaves as a page does, and comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from playwright.async_api import Browser

from bench.stream.candidates import ours
from bench.stream.measure import PROBE, flip, seen, shows, strip_script
from bench.stream.ours import ID
from bench.stream.screen import NativeScreen

VIEWERS = 10
STAY_S = (3.0, 12.0)
_WITHIN_S = 5.0


@dataclass(frozen=True)
class Sample:
    """After `minutes`: what all processes hold together, and how late the page was since the last sample (ms, p50)."""

    minutes: float
    resident_mb: float
    descriptors: int
    threads: int
    change_ms: float


@dataclass
class Soak:
    """All samples; how many came and saw a picture, and how many did not."""

    samples: list[Sample] = field(default_factory=list)
    joined: int = 0
    failed: int = 0


async def soak(browser: Browser, screen: NativeScreen, minutes: float, every_s: float) -> Soak:
    """Do it for so long; a sample each `every_s` seconds."""
    found = Soak()
    async with ours(screen, webrtc=True) as running:
        page = await browser.new_page(viewport={"width": 1440, "height": 960})
        await page.add_init_script(strip_script() + PROBE.read_text())
        await page.goto(running.url)
        await shows(page, screen)
        async with asyncio.TaskGroup() as tasks:
            coming = [tasks.create_task(_come_and_go(running.url, found)) for _ in range(VIEWERS)]
            began = time.monotonic()
            while (now := time.monotonic()) - began < 60 * minutes:
                late: list[float] = []
                while time.monotonic() - now < every_s:
                    await asyncio.sleep(random.uniform(0.3, 0.7))
                    number, at_ms = await flip(screen)
                    if (at := await seen(page, number, _WITHIN_S)) is not None:
                        late.append(at - at_ms)
                found.samples.append(_sample(running.pids, (time.monotonic() - began) / 60, late))
            for task in coming:
                task.cancel()
        await page.close()
    return found


async def _come_and_go(url: str, found: Soak) -> None:
    token = urlsplit(url).fragment.removeprefix("token=")
    whep = urljoin(url, f"/v1/sandboxes/{ID}/stream/whep")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/sdp"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=20) as client:
        while True:
            if await _visit(client, whep):
                found.joined += 1
            else:
                found.failed += 1


async def _visit(client: httpx.AsyncClient, whep: str) -> bool:
    """Come, watch, leave; whether there was a picture."""
    peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    peer.addTransceiver("video", direction="recvonly")
    pictures = 0
    watching: list[asyncio.Task[None]] = []

    async def watch(track: MediaStreamTrack) -> None:
        nonlocal pictures
        with contextlib.suppress(MediaStreamError):
            while True:
                await track.recv()
                pictures += 1

    peer.on("track", lambda track: watching.append(asyncio.ensure_future(watch(track))))
    try:
        await peer.setLocalDescription(await peer.createOffer())
        answer = (await client.post(whep, content=peer.localDescription.sdp)).raise_for_status()
        await peer.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        await asyncio.sleep(random.uniform(*STAY_S))
        await client.delete(urljoin(whep, answer.headers["location"]))
    finally:
        await peer.close()
        for task in watching:
            task.cancel()
    return pictures > 0


def _sample(pids: list[int], minutes: float, late: list[float]) -> Sample:
    resident = descriptors = threads = 0
    for pid in _with_children(pids):
        with contextlib.suppress(OSError):
            text = Path(f"/proc/{pid}/status").read_text()
            status = dict(line.split(":", 1) for line in text.splitlines())
            resident += int(status["VmRSS"].split()[0])
            threads += int(status["Threads"])
            descriptors += len(os.listdir(f"/proc/{pid}/fd"))
    return Sample(minutes, resident / 1000, descriptors, threads, statistics.median(late) if late else float("nan"))


def _with_children(pids: list[int]) -> list[int]:
    found, waiting = [], list(pids)
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                waiting += [int(child) for child in task.read_text().split()]
    return found
