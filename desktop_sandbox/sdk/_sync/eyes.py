# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""Eyes that understand: waiting for what a screen shows, finding things on it, comparing it with how it was."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from desktop_sandbox.sdk.eyes import (
    Changes,
    Cursor,
    Marked,
    Match,
    ScreenText,
    TextMatch,
    Waited,
    boxes_body,
    parse_changes,
    parse_cursor,
    parse_marked,
    parse_matches,
    parse_text,
    parse_text_matches,
    parse_waited,
    parse_waited_window,
    watch_body,
)
from desktop_sandbox.sdk.models import Window
from desktop_sandbox.sdk.requests import Region

if TYPE_CHECKING:
    from desktop_sandbox.sdk._sync.connection import Connection

BEYOND_S = 60.0


class Eyes:
    """Looking at a desktop. Boxes and regions are (x, y, width, height) in screen pixels, timeouts seconds.

    A wait ends as soon as what it waits for is there; the desktop does nothing for it, its screen is read from outside.
    """

    _connection: Connection
    _path: str

    def wait_until_stable(
        self,
        *,
        quiet_ms: int = 300,
        timeout: float = 10.0,
        region: Region | None = None,
        ignore: Sequence[Region] = (),
        blinking: bool = True,
        screenshot: bool | Mapping[str, Any] = False,
        strict: bool = False,
    ) -> Waited:
        """Wait until nothing has changed for `quiet_ms`; `stable` says whether it came to that, `moving` what moves.

        Only changes in `region`, and none in the regions to `ignore`, count. With `blinking` what goes back and forth
        between two pictures, as a caret does, does not count either, once it has done so a few times. `strict`:
        DeadlineError instead of an answer that is not stable.
        """
        body = {
            **watch_body(region, ignore, screenshot, timeout, strict=strict),
            "quiet_ms": quiet_ms,
            "blinking": blinking,
        }
        return parse_waited(self._ask("wait/stable", body, timeout))

    def wait_for_change(
        self,
        region: Region | None = None,
        *,
        since: str | None = None,
        timeout: float = 10.0,
        ignore: Sequence[Region] = (),
        screenshot: bool | Mapping[str, Any] = False,
        strict: bool = False,
    ) -> Waited:
        """Wait until the screen, or a region of it, shows something else than now, or than at the moment `since`.

        `changed` says whether it did, `regions` where. `strict`: DeadlineError where it did not.
        """
        body = {**watch_body(region, ignore, screenshot, timeout, strict=strict), "since": since}
        return parse_waited(self._ask("wait/change", body, timeout))

    def wait_for_window(
        self,
        title: str | None = None,
        *,
        window_class: str | None = None,
        regex: bool = False,
        gone: bool = False,
        timeout: float = 10.0,
    ) -> Window | None:
        """Wait for a window with `title` in its title, or `window_class` in its class, in any case; the window.

        With `gone` wait until there is none, and return None. DeadlineError lists the windows that are open instead.
        """
        body = {"title": title, "window_class": window_class, "regex": regex, "gone": gone, "timeout": timeout}
        return parse_waited_window(self._ask("wait/window", body, timeout))

    def wait_for_text(
        self,
        text: str,
        *,
        region: Region | None = None,
        regex: bool = False,
        gone: bool = False,
        language: str = "eng",
        timeout: float = 15.0,
    ) -> list[TextMatch]:
        """Wait until `text` is read in a line on the screen, in any case: where it is, from the top.

        With `gone` wait until it is not there, and return nothing. DeadlineError's evidence has the `text` that was
        read instead. See `read_text` for what it takes.
        """
        body: dict[str, Any] = {"text": text, "regex": regex, "gone": gone, "language": language}
        return parse_text_matches(self._ask("wait/text", {**body, "region": region, "timeout": timeout}, timeout))

    def changes(
        self,
        since: str | None = None,
        *,
        picture: bytes | None = None,
        region: Region | None = None,
        ignore: Sequence[Region] = (),
    ) -> Changes:
        """Where the screen differs from how it was at the moment `since`, or from a picture of the whole screen.

        Without either, nothing is compared: `moment` of the answer is where to begin. Moments also come with waits,
        with `act(changes=True)` and with `capture(keep=True)`; NotFoundError for one that is not kept any more.
        """
        body: dict[str, Any] = {"since": since, "region": region, "ignore": list(ignore), "picture": _packed(picture)}
        return parse_changes(self._ask("changes", body))

    def find_picture(
        self,
        picture: bytes | None = None,
        *,
        like: Region | None = None,
        region: Region | None = None,
        threshold: float = 0.9,
        scale: tuple[float, float] = (1.0, 1.0),
        limit: int = 100,
    ) -> list[Match]:
        """All places on the screen that look like a picture (PNG, JPEG, WebP, BMP, GIF), best first.

        `like` instead of a picture: what the screen shows there now. It is also found at other sizes within `scale`, as
        (0.5, 2.0), which takes longer. 1.0 is the score of what is pixel for pixel the same.
        """
        body = {
            "picture": _packed(picture),
            "like": like,
            "region": region,
            "threshold": threshold,
            "scale": scale,
            "limit": limit,
        }
        return parse_matches(self._ask("find-picture", body))

    def read_text(
        self, *, region: Region | None = None, language: str = "eng", min_confidence: float = 30
    ) -> ScreenText:
        """Read the text on the screen, or quicker in a region of it: words with boxes and confidence.

        The server's host needs tesseract, and its data for other languages than English; ConfigurationError says what
        to install.
        """
        body = {"region": region, "language": language, "min_confidence": min_confidence}
        return parse_text(self._ask("read-text", body))

    def mark_elements(
        self,
        boxes: Sequence[object] | None = None,
        *,
        text: bool = False,
        screenshot: Mapping[str, Any] | None = None,
    ) -> Marked:
        """A screenshot with numbered boxes drawn on it, so that a model can name a place by its number.

        `boxes` are plain, or (box, label), or what other calls found: words, matches, windows, elements, whatever has a
        `box`, `bounds`, or x, y, width and height. With `text` the lines of text on the screen are numbered as well.
        `screenshot` gives format, quality, scale, cursor. `marked[3].center` is where to click.
        """
        body = {
            "boxes": None if boxes is None else boxes_body(boxes),
            "text": text,
            "screenshot": dict(screenshot or {}),
        }
        return parse_marked(self._ask("marks", body))

    def get_cursor(self) -> Cursor:
        """The pointer: where it is, its shape's name, hot spot and picture."""
        return parse_cursor((self._connection.request("GET", f"{self._path}/cursor")).json())

    def _ask(self, call: str, body: Mapping[str, Any], timeout: float = 60.0) -> dict[str, Any]:
        path = f"{self._path}/{call}"
        answer = self._connection.request("POST", path, body=body, timeout=timeout + BEYOND_S)
        found: dict[str, Any] = answer.json()
        return found


def _packed(picture: bytes | None) -> str | None:
    return None if picture is None else base64.b64encode(picture).decode()
