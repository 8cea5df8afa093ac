"""The live view of a real sandbox: key in the page → guest → pixel in the page, pictures a second, what it costs.

A server, a machine and its guest are the product's own; only the program in the guest is the bench's.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from pathlib import Path

from playwright.async_api import Browser, Page

from bench.stream import marker
from bench.stream.measure import PROBE, cpu_seconds, seen, strip_script
from desktop_sandbox import AsyncSandbox
from desktop_sandbox.bench.server import server

_FOLDER = "/tmp/stream-bench"
_HERE = Path(__file__).parent
_SITE = "/opt/desktop-sandbox/site"
_READY_S = 60.0
_WITHIN_S = 5.0
FRAMES_PER_S = 60
"""As many as the view is to show; what an emulated guest draws of them is part of the figure."""
_STRIPS = 128  # as guest_load.py has them


@dataclass
class GuestFigures:
    """Times in ms; cores are those of the server and the media process, not the machine's."""

    template: str
    key_ms: list[float] = field(default_factory=list)
    inside_ms: list[float] = field(default_factory=list)
    """Of a key that an API's caller presses: until the guest's memory shows what it did. No page, no video."""
    lost: int = 0
    still_cores: float = 0.0
    moving_cores: float = 0.0
    pictures_per_s: float = 0.0


async def measure_guest(browser: Browser, template: str, keys: int, seconds: float) -> GuestFigures:
    """Start a server and a sandbox of the template, measure, end both. Raises DesktopSandboxError, TimeoutError."""
    found = GuestFigures(template)
    with server(None) as place:
        sandbox = await AsyncSandbox.create(template, **place.client)
        try:
            await sandbox.commands.run(f"mkdir -p {_FOLDER}")
            for name in ("guest_load.py", "marker.py"):
                await sandbox.files.write(f"{_FOLDER}/{name}", (_HERE / name).read_text())
            context = await browser.new_context(viewport={"width": 1440, "height": 960})
            page = await context.new_page()
            await page.add_init_script(strip_script() + PROBE.read_text())
            await _show(sandbox, "")
            await _inside(sandbox, keys, found)  # while no page has control
            await _show(sandbox, "")
            await page.goto(await sandbox.stream.get_url(name="bench", takes_control=True))
            await _sees(page, 0)
            await page.mouse.click(700, 600)
            await asyncio.sleep(3.0)
            await _keys(page, keys, found)
            await asyncio.sleep(4.0)
            found.still_cores = await _cores(seconds)
            await _show(sandbox, str(FRAMES_PER_S))
            await asyncio.sleep(3.0)
            await page.evaluate("bench.seen.length = 0")
            began = time.monotonic()
            found.moving_cores = await _cores(seconds)
            pictures: int = await page.evaluate("bench.seen.length")
            found.pictures_per_s = pictures / (time.monotonic() - began)
            await context.close()
        finally:
            await sandbox.kill()
    return found


async def _show(sandbox: AsyncSandbox, arguments: str) -> None:
    """The program in front, instead of one that ran before."""
    start = f"PYTHONPATH={_SITE} setsid python3 guest_load.py {arguments} > said 2>&1 & echo $! > pid"
    await sandbox.commands.run(f"cd {_FOLDER}; kill $(cat pid) 2>/dev/null; rm -f said; {start}")
    deadline = time.monotonic() + _READY_S
    said = ""
    while "ready" not in said:
        if time.monotonic() > deadline:
            raise TimeoutError(f"the guest's program is not ready: {said[-200:]}")
        await asyncio.sleep(0.2)
        said = (await sandbox.commands.run(f"cat {_FOLDER}/said 2>/dev/null || true")).stdout


async def _sees(page: Page, number: int) -> None:
    if await seen(page, number, _READY_S) is None:
        raise TimeoutError("the page does not show the guest's screen")


async def _keys(page: Page, count: int, found: GuestFigures) -> None:
    number = 0
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.25, 0.5))
        await page.evaluate("bench.keys.length = 0")
        await page.keyboard.press("a")
        number = (number + 1) % _STRIPS
        at = await seen(page, number, _WITHIN_S)
        pressed = await page.evaluate("bench.keys[0] ?? null")
        if at is None or pressed is None:
            found.lost += 1
        else:
            found.key_ms.append(at - float(pressed))


async def _inside(sandbox: AsyncSandbox, count: int, found: GuestFigures) -> None:
    strip = (marker.LEFT_PX, marker.TOP_PX, marker.WIDTH_PX, marker.CELL_PX)
    for _ in range(count):
        await asyncio.sleep(random.uniform(0.25, 0.5))
        before, began = await sandbox.screenshot("raw", region=strip), time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sandbox.press("a"))
            while await sandbox.screenshot("raw", region=strip) == before:
                if time.monotonic() - began > _WITHIN_S:
                    raise TimeoutError("the guest does not show what a key did")
            found.inside_ms.append((time.monotonic() - began) * 1000)


async def _cores(seconds: float) -> float:
    """Processor time a second of the bench's server and its media process."""
    pids = await asyncio.to_thread(_pids)
    began, before = time.monotonic(), cpu_seconds(pids, below=False)
    await asyncio.sleep(seconds)
    return (cpu_seconds(pids, below=False) - before) / (time.monotonic() - began)


def _pids() -> list[int]:
    """The server below this process, and the media process below that one."""
    mine: set[int] = set()
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    waiting = [int(Path("/proc/self").resolve().name)]
    while waiting:
        for pid in children.get(waiting.pop(), []):
            waiting.append(pid)
            mine.add(pid)
    return [pid for pid in mine if _is_ours(pid)]


def _is_ours(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"-m" in words and (b"streamer" in words or b"serve" in words)
