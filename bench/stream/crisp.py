"""How soon text is crisp in the page: from the last change to the first picture whose luma has a PSNR of 45 dB.

The page is compared, at its own animation frames, with the page of text that is known to be the last.
"""

from __future__ import annotations

import base64
import time

import numpy as np
from playwright.async_api import Page

from bench.stream.content import PAGE_SIZE, Picture, text_page
from bench.stream.load import AREA, PAGE_PX, scrolled_to
from bench.stream.screen import NativeScreen

CRISP_DB = 45.0
_WITHIN_S = 6.0


async def crisp_after(page: Page, screen: NativeScreen, first: int, last: int) -> float | None:
    """Scroll from one step to another, then stand still: ms until the page is crisp. None if it is not within 6 s."""
    shown = text_page(PAGE_SIZE[0], PAGE_PX)[scrolled_to(last) :][: PAGE_SIZE[1]]
    wanted = base64.b64encode(luma(shown).tobytes()).decode()
    steps = last - first + 1
    await page.evaluate(
        "([wanted, area, size, dB]) => bench.compare(wanted, area, size, dB)", [wanted, AREA, PAGE_SIZE, CRISP_DB]
    )
    await screen.load.ask(op="log")
    await screen.load.ask(op="settle", first=first, last=last)
    deadline, stood_ms, crisp_ms = time.monotonic() + _WITHIN_S, None, None
    changes: list[list[float]] = []
    while time.monotonic() < deadline and (len(changes) < steps or crisp_ms is None):
        changes += (await screen.load.ask(op="log"))["changes"]
        crisp_ms = await page.evaluate("bench.crispAt")
        await page.wait_for_timeout(50)
    await page.evaluate("bench.compare(null)")
    stood_ms = float(changes[-1][1]) if len(changes) >= steps else None
    return None if stood_ms is None or crisp_ms is None else float(crisp_ms) - stood_ms


def luma(picture: Picture) -> Picture:
    """Y of pixels BGRX (BT.601, limited), rounded; probe.js computes the same."""
    blue, green, red = (picture[..., channel].astype(np.float32) for channel in range(3))
    rounded: Picture = np.round(16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255).astype(np.uint8)
    return rounded
