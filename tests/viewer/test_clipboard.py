"""The clipboard and files between the view and this computer, in Chromium."""

from __future__ import annotations

from typing import Any

import pytest

from tests.viewer.conftest import holds, keys, until
from tests.viewer.fake_desktop import FakeDesktop

pytestmark = pytest.mark.asyncio(loop_scope="module")

CTRL = 0xFFE3


async def test_a_paste_arrives_before_its_key(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.clipboard_delay_s = 0.3
    for text in ("first", "second — 世界"):
        await page.evaluate("text => navigator.clipboard.writeText(text)", text)
        await page.keyboard.press("Control+v")
        await page.keyboard.press("x")
    await until(page, lambda: len(desktop.of("key")) == 12, "all keys")
    order = [one.get("text") or one["keysym"] for one in desktop.of("key", "clipboard") if one.get("down", True)]
    assert order[:1] == [CTRL]
    assert [one for one in order if one != CTRL] == ["first", 118, 120, "second — 世界", 118, 120]


async def test_what_is_held_stays_so_while_a_text_is_on_its_way(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.clipboard_delay_s = 1.5  # more than a key is held without a word
    await page.evaluate("navigator.clipboard.writeText('slow')")
    await page.keyboard.press("Shift+Insert")  # all of it is up here long before the desktop has the text
    await until(page, lambda: len(desktop.of("key")) == 4, "all keys")
    order = [one.get("code", one["t"]) for one in desktop.of("key", "alive", "clipboard")]
    assert order[:2] == ["ShiftLeft", "clipboard"]
    assert order[-3:] == ["Insert", "Insert", "ShiftLeft"]
    assert order.count("alive") >= 5
    said = len(desktop.of("alive"))
    await page.wait_for_timeout(500)
    assert len(desktop.of("alive")) <= said + 1


async def test_a_paste_without_an_answer_is_not_done_and_said(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.clipboard_delay_s = 30
    await page.evaluate("navigator.clipboard.writeText('lost')")
    await page.keyboard.press("Control+v")
    await page.keyboard.press("x")
    await until(page, lambda: (False, "KeyX", 120) in keys(desktop), "what came after it")
    assert "KeyV" not in [code for _, code, _ in keys(desktop)], "it would paste what was there before"
    assert "not pasted: the desktop did not take it in 5 s" in await page.inner_text('[data-note="not-pasted"]')


@pytest.mark.parametrize("over", ["webrtc", "socket"])
async def test_a_paste_that_is_refused_is_not_done_and_said(mine: Any, desktop: FakeDesktop, over: str) -> None:
    without = "delete window.RTCPeerConnection;" if over == "socket" else ""
    wait = "fallback" if over == "socket" else "live"
    page = await mine(permissions=["clipboard-read", "clipboard-write"], init=without, wait=wait)
    desktop.clipboard_refusal = "its agent is away"
    await page.evaluate("navigator.clipboard.writeText('refused')")
    await page.keyboard.press("Control+v")
    note = page.locator('[data-note="not-pasted"]')
    await note.get_by_text("The text was not pasted: its agent is away.").wait_for()
    desktop.clipboard_refusal = None
    # more than what a data channel carries; a WebSocket carries it, but it is more than a desktop takes
    await page.evaluate("navigator.clipboard.writeText('é'.repeat(262145))")
    await page.keyboard.press("Control+v")
    await note.get_by_text("it has 262,145 characters, and 262,144 are the most").wait_for()
    await page.evaluate("navigator.clipboard.writeText('é'.repeat(200000))")
    await page.keyboard.press("Control+v")
    if over == "webrtc":
        await note.get_by_text("and 262,144 are the most on this connection").wait_for()
    else:
        await until(page, lambda: (False, "KeyV", 118) in keys(desktop), "pasted")
    await page.evaluate("navigator.clipboard.writeText('good')")
    await page.keyboard.press("Control+v")
    await until(page, lambda: desktop.of("clipboard")[-1]["text"] == "good", "the next one")
    await until(page, lambda: keys(desktop)[-1] == (False, "ControlLeft", CTRL), "and its keys")
    pressed = [down for down, code, _ in keys(desktop) if code == "KeyV"]
    assert pressed == [True, False] * (1 if over == "webrtc" else 2)


async def test_what_the_desktop_copies_is_here(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    desktop.tell({"t": "clipboard", "text": "copied — 世界"})
    for _ in range(100):
        if await page.evaluate("navigator.clipboard.readText()") == "copied — 世界":
            break
        await page.wait_for_timeout(50)
    assert await page.evaluate("navigator.clipboard.readText()") == "copied — 世界"


async def test_what_it_copies_again_is_here_again(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine(permissions=["clipboard-read", "clipboard-write"])
    for text in ("same", "same"):
        desktop.tell({"t": "clipboard", "text": text})
        await holds(page, "navigator.clipboard.readText().then((text) => text === 'same')")
        await page.evaluate("navigator.clipboard.writeText('of this computer')")
    await page.keyboard.press("Control+v")
    await until(page, lambda: (False, "KeyV", 118) in keys(desktop), "pasted")
    desktop.tell({"t": "clipboard", "text": "of this computer"})
    desktop.tell({"t": "clipboard", "text": "same"})
    await holds(page, "navigator.clipboard.readText().then((text) => text === 'same')")


async def test_where_the_browser_forbids_it_a_button_copies(mine: Any, desktop: FakeDesktop) -> None:
    forbid = "if (navigator.clipboard) navigator.clipboard.writeText = () => Promise.reject(new Error('forbidden'));"
    page = await mine(init=forbid, permissions=["clipboard-read"])
    desktop.tell({"t": "clipboard", "text": "by hand"})
    await page.get_by_role("button", name="Copy it here").click()
    for _ in range(100):
        if await page.evaluate("navigator.clipboard.readText()") == "by hand":
            break
        await page.wait_for_timeout(50)
    assert await page.evaluate("navigator.clipboard.readText()") == "by hand"


async def test_files_go_to_downloads(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    files: Any = [
        {"name": "report 世界.pdf", "mimeType": "application/pdf", "buffer": b"x" * 300_000},
        {"name": "forbidden.txt", "mimeType": "text/plain", "buffer": b"no"},
        {"name": "empty.txt", "mimeType": "text/plain", "buffer": b""},
    ]
    await page.set_input_files("#files", files)
    await page.locator(".upload.bad").wait_for()
    shown = await page.inner_text(".upload.bad")
    assert "In the way" in shown
    assert "Rename the file." in shown
    await until(page, lambda: len(desktop.uploads) == 2, "the others")
    assert desktop.uploads["/home/user/Downloads/report 世界.pdf"] == b"x" * 300_000
    assert desktop.uploads["/home/user/Downloads/empty.txt"] == b""
    await page.get_by_role("button", name="Cancel forbidden.txt").click()
    await page.locator(".upload.bad").wait_for(state="detached")


async def test_a_dropped_file(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    drop = """() => {
      const data = new DataTransfer();
      data.items.add(new File(['dropped'], '../a.txt'));
      const target = document.getElementById('stage');
      for (const type of ['dragover', 'drop']) {
        target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
      }
    }"""
    await page.evaluate(drop)
    await until(page, lambda: desktop.uploads, "the file")
    assert desktop.uploads == {"/home/user/Downloads/a.txt": b"dropped"}


async def test_an_uploads_progress_is_shown(mine: Any, desktop: FakeDesktop) -> None:
    page = await mine()
    cdp = await page.context.new_cdp_session(page)
    await cdp.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 1_000_000}
    await cdp.send("Network.emulateNetworkConditions", slow)
    large: Any = {"name": "large.bin", "mimeType": "application/octet-stream", "buffer": b"x" * 3_000_000}
    await page.set_input_files("#files", [large])
    shown: list[tuple[float, str]] = []

    async def done() -> bool:
        row = await page.evaluate("""(() => {
          const row = document.querySelector('.upload');
          return [row.querySelector('progress')?.value ?? null, row.querySelector('.hint').textContent];
        })()""")
        if row[0] is not None and (not shown or shown[-1][0] != row[0]):
            shown.append((row[0], row[1]))
        return row[0] is None

    for _ in range(1000):
        if await done():
            break
        await page.wait_for_timeout(20)
    values = [value for value, _ in shown]
    between = [(value, text) for value, text in shown if 0 < value < 1]
    assert len(between) >= 3, shown
    assert values == sorted(values)
    assert all(text == f"{round(value * 100)} % of 3.0 MB" for value, text in between), between
    assert await page.inner_text(".upload .hint") == "3.0 MB in Downloads"
    assert len(desktop.uploads["/home/user/Downloads/large.bin"]) == 3_000_000
