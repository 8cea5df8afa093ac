"""The timeline on a real desktop: what it showed, the way back, and a fork, all through a person's page."""

from __future__ import annotations

from contextlib import suppress

import pytest
from playwright.sync_api import Browser

from desktop_sandbox import ChannelError, ConflictError, Host, Sandbox
from tests.stream.browser import CHROMIUM, Viewer, differs

pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]
LOADED = "document.getElementById('moment-picture').naturalWidth"


def paint(sandbox: Sandbox, colour: str) -> None:
    sandbox.commands.run(f"DISPLAY=:0 xsetroot -solid {colour}")
    sandbox.screenshot(stable_ms=300)


def state(sandbox: Sandbox) -> str | None:
    """What its file says; None while its machine is being replaced."""
    with suppress(ChannelError, ConflictError):
        return sandbox.files.read("/home/user/state")
    return None


def test_a_person_looks_back_goes_back_and_forks(browser: Browser, sandbox: Sandbox) -> None:
    paint(sandbox, "red")
    sandbox.files.write("/home/user/state", "red")
    red = sandbox.checkpoint("while red")
    paint(sandbox, "blue")
    sandbox.files.write("/home/user/state", "blue")
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    viewer = Viewer.open(context, sandbox.stream.get_url(name="Ada"))
    page = viewer.page
    viewer.wait_state("live")
    page.click("#timeline-button")
    page.click("#save")
    viewer.until(lambda: page.locator(".moment").count() == 2, "the second snapshot")
    saved = {info.snapshot_id for info in sandbox.snapshots()}
    before = viewer.picture()

    page.locator(".moment").first.click()
    viewer.until(lambda: page.evaluate(LOADED) == 1280, "what it showed")
    with context.expect_page() as news:
        page.click("#moment-fork")
    child = Viewer(news.value)
    child.wait_state("live")
    name = str(page.evaluate("location.pathname")).rpartition("/")[2]
    forked = str(child.page.evaluate("location.pathname")).rpartition("/")[2]
    assert name == sandbox.sandbox_id != forked
    with Sandbox.connect(forked) as other:
        assert other.files.read("/home/user/state") == "red"

    viewer.take_control()
    page.locator(".moment").first.click()
    page.click("#moment-rollback")
    viewer.until(lambda: state(sandbox) == "red", "the way back", 30)
    viewer.wait_state("live")
    viewer.until(lambda: differs(viewer.picture(), before) > 20, "another picture", 30)
    assert sandbox.get_info().snapshot == red.snapshot_id
    assert viewer.errors == child.errors == []
    context.close()
    sandbox.kill()
    with Host.connect() as host:
        for snapshot in saved:
            with suppress(Exception):
                host.delete_snapshot(snapshot)
