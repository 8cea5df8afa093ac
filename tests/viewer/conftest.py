"""A browser, and a page that shows the fake desktop."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

from tests.viewer.fake_desktop import FakeDesktop
from tests.viewer.fake_server import FakeServer, running

CHROMIUM = "/usr/bin/chromium"
Opened = Callable[..., Awaitable[Page]]

# each state the view went through, in order: one of them may last for less than a picture
KEEP_STATES = """(() => {
  const states = (window.seenStates = []);
  new MutationObserver(() => {
    const state = document.body?.dataset.state;
    if (state && states.at(-1) !== state) states.push(state);
  }).observe(document, { attributes: true, attributeFilter: ['data-state'], subtree: true });
})()"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        await found.close()


@pytest_asyncio.fixture(loop_scope="module")
async def desktop() -> FakeDesktop:
    return FakeDesktop()


@pytest_asyncio.fixture(loop_scope="module")
async def server(desktop: FakeDesktop) -> AsyncIterator[FakeServer]:
    async with running(desktop) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def opened(browser: Browser, server: FakeServer) -> AsyncIterator[Opened]:
    """Opens a page of the fake server; errors in its scripts fail the test."""
    errors: list[str] = []
    contexts: list[Any] = []

    async def open_page(
        path: str = "/view/sb-1#token=T-control", *, init: str = "", wait: str = "live", **options: Any
    ) -> Page:
        context = await browser.new_context(**{"viewport": {"width": 1280, "height": 848}, **options})
        contexts.append(context)
        await context.add_init_script(KEEP_STATES)
        if init:
            await context.add_init_script(init)
        page = await context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda line: errors.append(line.text) if "Content Security" in line.text else None)
        await page.goto(path if path.startswith("http") else server.url + path)
        if wait:
            await state(page, wait)
        return page

    yield open_page
    for context in contexts:
        await context.close()
    assert errors == []


@pytest_asyncio.fixture(loop_scope="module")
async def mine(opened: Opened, desktop: FakeDesktop) -> Opened:
    """Opens a page that drives."""

    async def open_mine(**options: Any) -> Page:
        page = await opened(**options)
        await drive(page, desktop)
        return page

    return open_mine


async def state(page: Any, name: str, timeout_s: float = 20) -> None:
    """Wait until the view says that it is in this state."""
    await page.wait_for_selector(f'body[data-state="{name}"]', timeout=timeout_s * 1000)


async def passes(page: Any, *names: str, timeout_s: float = 20) -> None:
    """Wait until the view has gone through these states in this order, however short each was."""
    deadline = time.monotonic() + timeout_s
    while True:
        seen = await page.evaluate("window.seenStates")
        left = iter(seen)
        if all(name in left for name in names):
            return
        assert time.monotonic() < deadline, f"in {timeout_s} s not {names}, but {seen}"
        await page.wait_for_timeout(20)


async def until(page: Page, condition: Callable[[], Any], what: str, timeout_s: float = 10) -> Any:
    """Wait until the fake saw something; returns what the condition gave."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, f"in {timeout_s} s not: {what}"
        await page.wait_for_timeout(20)
    return found


async def holds(page: Page, expression: str, timeout_s: float = 10) -> None:
    """Wait until a JavaScript expression is true; by hand, since the page's CSP forbids what Playwright would do."""
    deadline = time.monotonic() + timeout_s
    while not await page.evaluate(expression):
        assert time.monotonic() < deadline, f"in {timeout_s} s not: {expression}"
        await page.wait_for_timeout(20)


async def drive(page: Page, desktop: FakeDesktop) -> None:
    """Take control by the button in the bar."""
    await page.click('[data-want="take"]')
    await page.wait_for_selector("body.driving")
    await until(page, lambda: desktop.holder not in ("none", "agent"), "control given")


def keys(desktop: FakeDesktop) -> list[tuple[bool, str, int]]:
    """Keys that came, in order."""
    return [(one["down"], one["code"], one["keysym"]) for one in desktop.of("key")]
