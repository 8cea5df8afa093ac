"""A page of the viewer in a real Chromium, and what a person does with it."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, BrowserType, Page, sync_playwright

T = TypeVar("T")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZE = {"width": 1280, "height": 860}

_PICTURE = """() => {
  const picture = document.querySelector('#surface .picture');
  if (!picture) return null;
  const width = picture.videoWidth || picture.width, height = picture.videoHeight || picture.height;
  if (!width) return null;
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext('2d').drawImage(picture, 0, 0);
  return canvas.convertToBlob({type: 'image/png'}).then((blob) => new Promise((resolve) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(',')[1]);
    reader.readAsDataURL(blob);
  }));
}"""


def launch(kind: BrowserType, *arguments: str) -> Browser:
    """A Chromium with further arguments."""
    fixed = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
    return kind.launch(executable_path=CHROMIUM, args=[*fixed, *arguments])


@contextmanager
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = launch(playwright.chromium)
        yield browser
        browser.close()


class Viewer:
    """One person's page."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    @classmethod
    def open(cls, browser: Browser | BrowserContext, url: str) -> Viewer:
        page = browser.new_page(viewport=SIZE) if isinstance(browser, Browser) else browser.new_page()
        viewer = cls(page)
        page.goto(url)
        return viewer

    @property
    def state(self) -> str:
        found: str = self.page.evaluate("document.body.dataset.state")
        return found

    def wait_state(self, *states: str, timeout_s: float = 30.0) -> str:
        """Wait until the page is in one of the states."""
        return self.until(lambda: self.state if self.state in states else None, f"{states}", timeout_s)

    def picture(self) -> Image.Image:
        """What the page shows of the desktop, at the stream's own size."""
        import base64

        data = self.until(lambda: self.page.evaluate(_PICTURE), "a picture")
        return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")

    def place(self, x: int, y: int) -> tuple[float, float]:
        """Where a desktop's pixel is in the page."""
        box = self.page.evaluate("""() => { const r = document.querySelector('#surface').getBoundingClientRect();
            const p = document.querySelector('#surface .picture');
            return [r.x, r.y, r.width / (p.videoWidth || p.width), r.height / (p.videoHeight || p.height)]; }""")
        return box[0] + (x + 0.5) * box[2], box[1] + (y + 0.5) * box[3]

    def click(self, x: int, y: int, **more: Any) -> None:
        """Click at a place of the desktop."""
        self.page.mouse.click(*self.place(x, y), **more)

    def press_button(self, text: str) -> None:
        """Press a button of the page's bar."""
        self.page.get_by_role("button", name=text, exact=True).click()

    def take_control(self) -> None:
        self.press_button("Take control")
        self.until(lambda: "driving" in (self.page.get_attribute("body", "class") or ""), "control")

    def give_back(self) -> None:
        self.press_button("Give back")
        self.until(lambda: "driving" not in (self.page.get_attribute("body", "class") or ""), "control given back")

    def until(self, look: Callable[[], T], what: str, timeout_s: float = 15.0) -> T:
        """Wait for something true, with the page's events going on."""
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}; the page is {self.state}"
            self.page.wait_for_timeout(50)
        return found


def differs(one: Image.Image, other: Image.Image) -> float:
    """Mean difference of two pictures of one size, 0 to 255."""
    import numpy as np

    assert one.size == other.size
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())
