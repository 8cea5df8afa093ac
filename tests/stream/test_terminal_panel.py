"""The viewer's terminal on a real desktop: a real shell, its keys and the desktop's apart, and no more than it may."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext

from desktop_sandbox import Sandbox
from tests.stream.browser import CHROMIUM, Viewer

pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]

ROWS = "[...document.querySelectorAll('.xterm-rows > div')].map((row) => row.textContent.trimEnd()).join('\\n')"
PATIENCE_S = 60.0


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    yield context
    context.close()


def test_a_person_works_in_a_shell_of_the_desktop(context: BrowserContext, sandbox: Sandbox) -> None:
    page = Viewer.open(context, sandbox.stream.get_url(name="Ada"))
    page.wait_state("live")

    def shows(text: str) -> None:
        page.until(lambda: text in page.page.evaluate(ROWS), f"{text!r} in the terminal", PATIENCE_S)

    page.page.click("#terminal-button")
    page.until(
        lambda: page.page.evaluate("document.activeElement.matches('.xterm-helper-textarea')"), "a terminal", PATIENCE_S
    )
    shows("$")
    page.page.keyboard.type("id -un; echo grüße-$((6 * 7))")
    page.page.keyboard.press("Enter")
    shows("\nuser")
    shows("grüße-42")
    rows, columns = (int(each) for each in sandbox_size(sandbox).split())
    assert rows > 3
    assert columns > 20
    page.page.reload()
    page.wait_state("live")
    page.page.click("#terminal-button")
    shows("grüße-42")  # the same shell: it ran on meanwhile
    page.until(lambda: page.page.evaluate("document.activeElement.matches('.xterm-helper-textarea')"), "the keyboard")
    page.page.keyboard.type("exit 7")
    page.page.keyboard.press("Enter")
    page.page.wait_for_selector("#terminal", state="hidden")
    assert "exit code 7" in page.page.inner_text('[data-note="terminal"]')
    assert page.errors == []


def sandbox_size(sandbox: Sandbox) -> str:
    """Rows and columns of the only terminal there is, as the guest's kernel knows them."""
    (terminal,) = [info for info in sandbox.terminals.list() if info.running]
    assert terminal.user == "user"
    found = sandbox.commands.run("for t in /dev/pts/[0-9]*; do stty size < $t 2>/dev/null; done | tail -1", user="root")
    return found.stdout


def test_who_only_watches_has_no_terminal(context: BrowserContext, sandbox: Sandbox) -> None:
    page = Viewer.open(context, sandbox.stream.get_url(name="Eve", view_only=True))
    page.wait_state("live")
    assert not page.page.is_visible("#terminal-button")
    assert page.errors == []
