"""One candidate in one browser page: how late a change and a key are seen, how many pictures a second, at what cost.

All candidates are open at once in pages of their own, but only the one that is measured is visible and connected: each
visit opens it anew, and visits take turns, so that a host that is busy for a while is so for all.
"""

from __future__ import annotations

import asyncio
import os
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page

from bench.stream import marker
from bench.stream.candidates import Running, Start
from bench.stream.content import CONTENTS
from bench.stream.crisp import crisp_after
from bench.stream.network import Network
from bench.stream.screen import NativeScreen
from bench.stream.way import Way, way_to

_SEEN_S = 5.0
_READY_S = 40.0
_CALM_S = 3.0
PROBE = Path(__file__).with_name("probe.js")


@dataclass
class Figures:
    """What was measured of one candidate; times in ms, processor time in cores, one entry a visit for the rest."""

    change_ms: list[float] = field(default_factory=list)
    key_ms: list[float] = field(default_factory=list)
    crisp_ms: list[float] = field(default_factory=list)
    crisp_after_loss_ms: list[float] = field(default_factory=list)
    never_crisp: int = 0
    lost: int = 0
    cores: dict[str, list[float]] = field(default_factory=dict)
    pictures_per_s: dict[str, list[float]] = field(default_factory=dict)
    kilobits_per_s: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Counts:
    """How much is measured at each visit."""

    changes: int
    keys: int
    crisp: int
    seconds: float


def cpu_seconds(pids: list[int], *, below: bool = True) -> float:
    """Processor time of these processes and, unless told otherwise, of all below them."""
    children: dict[int, list[int]] = {}
    used: dict[int, float] = {}
    tick = os.sysconf("SC_CLK_TCK")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(entry.name))
        used[int(entry.name)] = (int(fields[11]) + int(fields[12]) + int(fields[13]) + int(fields[14])) / tick
    total, waiting = 0.0, list(pids)
    while waiting:
        pid = waiting.pop()
        total += used.get(pid, 0.0)
        waiting += children.get(pid, []) if below else []
    return total


async def visit(
    browser: Browser, screen: NativeScreen, start: Start, counts: Counts, found: Figures, network: Network | None = None
) -> None:
    """Start a candidate, open its page over the network, measure, and end both. Raises NotHere, TimeoutError."""
    async with start(screen) as running, way_to(running.url, network) as way:
        context = await browser.new_context(viewport={"width": 1440, "height": 960})
        try:
            page = await context.new_page()
            first = [strip_script(), running.script, await way.script(context), PROBE.read_text()]
            await page.add_init_script("\n".join(first))
            await page.goto(way.url)
            await shows(page, screen)
            await _focus(page)
            await screen.load.ask(op="play", content="still")
            await asyncio.sleep(_CALM_S)
            await _changes(page, screen, counts.changes, found)
            await _keys(page, screen, counts.keys, found)
            await _crispness(page, screen, way, counts.crisp, found)
            for content in CONTENTS:
                await _content(page, screen, running, way, content, counts.seconds, found)
        finally:
            await context.close()


def strip_script() -> str:
    """Where the strip is, for probe.js."""
    strip = {
        "left": marker.LEFT_PX, "top": marker.TOP_PX, "cell": marker.CELL_PX, "width": 1280,
        "numberBits": marker.NUMBER_BITS, "checkBits": marker.CHECK_BITS,
    }  # fmt: skip
    return f"window.benchStrip = {strip};\n".replace("'", '"')


async def flip(screen: NativeScreen) -> tuple[int, float]:
    """Change the screen: the change's number, and its moment in ms of wall time."""
    answer = await screen.load.ask(op="flip")
    return int(answer["number"]), float(answer["at_ms"])


async def seen(page: Page, number: int, timeout_s: float) -> float | None:
    """When the page first showed a number, in ms of wall time; None if it did not in time."""
    look = "(number) => { const hit = bench.seen.find(([n]) => n === number); return hit ? hit[1] : null; }"
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        at = await page.evaluate(look, number)
        if at is not None:
            return float(at)
        await asyncio.sleep(0.02)
    return None


async def shows(page: Page, screen: NativeScreen) -> None:
    """Wait until the page shows the desktop."""
    deadline = time.monotonic() + _READY_S
    while time.monotonic() < deadline:
        number, _ = await flip(screen)
        if await seen(page, number, 1.0) is not None:
            return
    raise TimeoutError(f"the page showed nothing of the desktop within {_READY_S:.0f} s")


async def _focus(page: Page) -> None:
    """Click in the middle, where nothing but the desktop is, so that keys go there."""
    await page.mouse.click(700, 600)
    await asyncio.sleep(1.0)


async def _changes(page: Page, screen: NativeScreen, count: int, found: Figures) -> None:
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.12, 0.3))
        number, at_ms = await flip(screen)
        seen_ms = await seen(page, number, _SEEN_S)
        if seen_ms is None:
            found.lost += 1
        else:
            found.change_ms.append(seen_ms - at_ms)


async def _keys(page: Page, screen: NativeScreen, count: int, found: Figures) -> None:
    await screen.load.ask(op="log")
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.12, 0.3))
        await page.evaluate("bench.keys.length = 0")
        await page.keyboard.press("a")
        number = await _changed_by_key(screen)
        pressed = await page.evaluate("bench.keys[0] ?? null")
        seen_ms = None if number is None else await seen(page, number, _SEEN_S)
        if seen_ms is None or pressed is None:
            found.lost += 1
        else:
            found.key_ms.append(seen_ms - float(pressed))


async def _changed_by_key(screen: NativeScreen) -> int | None:
    deadline = time.monotonic() + _SEEN_S
    while time.monotonic() < deadline:
        for number, _, why in (await screen.load.ask(op="log"))["changes"]:
            if why == "key":
                return int(number)
        await asyncio.sleep(0.01)
    return None


async def _crispness(page: Page, screen: NativeScreen, way: Way, count: int, found: Figures) -> None:
    for _ in range(count):
        await screen.load.ask(op="settle", first=70, last=70)  # somewhere else than where it will end
        await asyncio.sleep(1.5)
        _note(found, found.crisp_ms, await crisp_after(page, screen, 0, 29))
        await asyncio.sleep(1.5)  # at rest, so that the next frame is the next change's own
        if await way.drop_a_frames_end():
            before = await way.dropped()
            after_loss_ms = await crisp_after(page, screen, 45, 45)
            if await way.dropped() > before:
                _note(found, found.crisp_after_loss_ms, after_loss_ms)


def _note(found: Figures, samples: list[float], ms: float | None) -> None:
    if ms is None:
        found.never_crisp += 1
    else:
        samples.append(ms)


async def _content(
    page: Page, screen: NativeScreen, running: Running, way: Way, content: str, seconds: float, found: Figures
) -> None:
    await screen.load.ask(op="play", content=content)
    await asyncio.sleep(_CALM_S)  # the still screen is sharpened, the encoder finds its rate
    await page.evaluate("bench.seen.length = 0")
    began, cpu, sent = time.monotonic(), cpu_seconds(running.pids), await way.bytes()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    pictures: Any = await page.evaluate("bench.seen.length")
    found.cores.setdefault(content, []).append((cpu_seconds(running.pids) - cpu) / took)
    found.pictures_per_s.setdefault(content, []).append(int(pictures) / took)
    found.kilobits_per_s.setdefault(content, []).append((await way.bytes() - sent) * 8 / 1000 / took)
    await screen.load.ask(op="play", content="still")
