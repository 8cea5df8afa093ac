"""What is typed is what applications hold: any Unicode, nothing dropped, doubled or swapped."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from desktop_sandbox import Sandbox
from desktop_sandbox.errors import DesktopSandboxError
from tests.desktop.conftest import Page, close, read, until, wait_active

pytestmark = pytest.mark.desktop

PLAIN = "The quick brown (fox) {jumps} over 0123456789 lazy dogs & $%^ ~`'\"|<>?! "
MIXED = (
    "Füße, ça va, łódź, ẞ € — Привет, мир! Ёжик. Καλημέρα 世界 こんにちは 안녕하세요 "
    "🙂👩‍👩‍👧🇩🇪✅ e\u0301 n\u0303 a\u0308 ﷽ aaaa ÄÄää 世世世 🙂🙂 "
)
TEXT = f"{PLAIN}\n\t{MIXED}\n{PLAIN}\tCaps AND Shift sTaTeS\n{MIXED}\n"


def told(app: str, kind: str, text: str, seconds: float) -> None:
    print(f"\n{app}, {kind}: {len(text)} characters in {seconds:.1f} s, {len(text) / seconds:.0f} a second")


def wait_length(desktop: Sandbox, file: str, length: int) -> None:
    until(lambda: len(read(desktop, file)) >= length, f"{length} characters in {file}")


def holds(length: int) -> Callable[[dict[str, Any]], bool]:
    return lambda state: len(state["value"]) >= length


@pytest.mark.parametrize(
    ("program", "options"), [("xfce4-terminal", ["--disable-server"]), ("xterm", [])], ids=["xfce4-terminal", "xterm"]
)
def test_terminals(desktop: Sandbox, program: str, options: list[str]) -> None:
    file = f"/tmp/typed-{program}"
    desktop.files.write("/tmp/catch", f"stty -echo; touch {file}; exec cat > {file}")
    desktop.launch([program, *options, "-e", "sh /tmp/catch"])
    until(lambda: desktop.files.exists(file), f"the shell in {program}")
    wait_active(desktop, program)
    expected = ""
    for kind, text in (("plain", f"{PLAIN}\n" * 8), ("mixed", TEXT)):
        expected += text
        began = time.monotonic()
        desktop.write(text)
        wait_length(desktop, file, len(expected))
        told(program, kind, text, time.monotonic() - began)
        assert read(desktop, file) == expected
    close(desktop, program)


def test_mousepad(desktop: Sandbox) -> None:
    file = "/tmp/typed-mousepad.txt"
    desktop.files.write(file, "")
    desktop.launch(["mousepad", "--disable-server", file])
    wait_active(desktop, "mousepad")
    began = time.monotonic()
    desktop.write(TEXT)
    desktop.press("ctrl+s")
    until(lambda: len(read(desktop, file)) >= len(TEXT.rstrip()), "the saved text")
    told("mousepad", "mixed", TEXT, time.monotonic() - began)
    assert read(desktop, file).rstrip("\n") == TEXT.rstrip("\n")
    close(desktop, "mousepad")


def test_chromium(desktop: Sandbox, page: Page) -> None:
    page.focus_field()
    expected = ""
    for kind, text in (("plain", PLAIN * 3), ("mixed", MIXED)):
        expected += text
        began = time.monotonic()
        desktop.write(text)
        state = page.wait(holds(len(expected)), "the text")
        told("chromium", kind, text, time.monotonic() - began)
        assert state["value"] == expected


def test_caps_lock_is_kept_and_does_not_change_what_is_typed(desktop: Sandbox, page: Page) -> None:
    page.focus_field()
    desktop.press("caps_lock")
    try:
        desktop.write("lower UPPER ß Ж")
        page.wait(lambda state: state["value"] == "lower UPPER ß Ж", "the text as it was given")
        mask = desktop.commands.run("xset q").stdout
        assert "Caps Lock:   on" in mask
    finally:
        desktop.press("caps_lock")
    assert "Caps Lock:   off" in desktop.commands.run("xset q").stdout


def test_long_text_can_be_cancelled_and_says_how_far_it_came(desktop: Sandbox, page: Page) -> None:
    page.focus_field()
    text = (MIXED * 60)[:5000]
    with pytest.raises(DesktopSandboxError) as caught:
        desktop.act([{"type": "type", "text": text}], timeout=2)
    assert caught.value.evidence["index"] == 0
    typed = caught.value.evidence["partial"]["typed"]
    assert 0 < typed < len(text)
    assert str(typed) in caught.value.message
    page.wait(lambda state: state["value"] == text[:typed], "just as much text as it said")
    time.sleep(1)
    assert page.state["value"] == text[:typed], "it typed on after it was cancelled"


def test_5000_characters_do_not_time_out(desktop: Sandbox) -> None:
    file = "/tmp/typed-long"
    desktop.launch(["xterm", "-e", "sh", "-c", f"stty -echo; touch {file}; exec cat > {file}"])
    until(lambda: desktop.files.exists(file), "the shell in xterm")
    wait_active(desktop, "xterm")
    text = (f"{PLAIN}{MIXED}\n" * 40)[:4999] + "\n"
    began = time.monotonic()
    desktop.write(text)
    wait_length(desktop, file, len(text))
    told("xterm", "long", text, time.monotonic() - began)
    assert read(desktop, file) == text
    close(desktop, "xterm")
