"""The bench's X program: shows what is asked for on its standard input, and notes when it changed the screen.

`python -m bench.stream.load DISPLAY`; every request is a JSON line, and so is its answer: `play` (`content`), `flip` (a
change on demand: `number`, `at_ms`), `settle` (scroll from step `first` to step `last`, and stand still there), `log`
(all changes since the last `log`: [number, at_ms, why]). A key that arrives flips, too. Times are wall time (time.time)
in ms, taken right before the change goes to the X server.
"""

from __future__ import annotations

import json
import os
import select
import sys
import time
from typing import Any

import numpy as np
from Xlib import X
from Xlib.display import Display

from bench.stream import marker
from bench.stream.content import FILM_SIZE, INTERVAL_S, LINE_PX, PAGE_SIZE, Picture, background, film, text_page

FILM_FRAMES = 24
PAGE_PX = 3600
TYPED_PX = 9
AREA = (240, 120)
_WHITE, _BLACK = 0xFFFFFF, 0


class Screen:
    """The window over the whole screen, and the pictures that lie ready in the X server."""

    def __init__(self, name: str) -> None:
        self.display = Display(name)
        screen = self.display.screen()
        self.width, self.height = screen.width_in_pixels, screen.height_in_pixels
        self.window = screen.root.create_window(
            0, 0, self.width, self.height, 0, screen.root_depth, override_redirect=1, event_mask=X.KeyPressMask
        )
        self._gc = self.window.create_gc(graphics_exposures=False)
        self._depth = screen.root_depth
        self.background = self.upload(background(self.width, self.height))
        self.window.change_attributes(background_pixmap=self.background)
        self.window.map()
        self.window.set_input_focus(X.RevertToParent, X.CurrentTime)
        self.display.sync()

    def upload(self, picture: Picture) -> Any:
        """A pixmap of `picture` in the X server."""
        height, width = picture.shape[:2]
        pixmap = self.window.create_pixmap(width, height, self._depth)
        rows = max(1, 200_000 // (4 * width))
        for top in range(0, height, rows):
            part = picture[top : top + rows]
            pixmap.put_image(self._gc, 0, top, width, part.shape[0], X.ZPixmap, self._depth, 0, part.tobytes())
        return pixmap

    def copy(self, source: Any, from_xy: tuple[int, int], size: tuple[int, int], to_xy: tuple[int, int]) -> None:
        """Copy a rectangle of a pixmap to the window."""
        self.window.copy_area(self._gc, source, *from_xy, *size, *to_xy)

    def number(self, number: int) -> None:
        """Show a change's number in the strip."""
        white, black = marker.rectangles(number)
        for colour, rectangles in ((_WHITE, white), (_BLACK, black)):
            self._gc.change(foreground=colour)
            self.window.poly_fill_rectangle(self._gc, rectangles)


def scrolled_to(step: int) -> int:
    """The page's row that is at the top after step `step` (from 0) of scrolling."""
    return step * LINE_PX % (PAGE_PX - PAGE_SIZE[1])


class Player:
    """Draws a content step by step."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        width, height = PAGE_SIZE
        self._page = screen.upload(text_page(width, PAGE_PX))
        self._blank = screen.upload(np.full((height, width, 4), 255, np.uint8))
        self._frames = [screen.upload(picture) for picture in film(FILM_FRAMES)]
        self.content = "still"

    def begin(self, content: str) -> None:
        """Make the place ready; `still` is the page of text, for good."""
        self.content = content
        screen = self._screen
        screen.copy(screen.background, AREA, PAGE_SIZE, AREA)
        screen.copy(self._blank if content == "typing" else self._page, (0, 0), PAGE_SIZE, AREA)

    def step(self, at: int) -> None:
        """Draw step `at` (from 0) of the content."""
        {"typing": self._type, "scrolling": self._scroll, "film": self._film}[self.content](at)

    def _type(self, at: int) -> None:
        columns, lines = PAGE_SIZE[0] // TYPED_PX, PAGE_SIZE[1] // LINE_PX
        row, column = at // columns % lines, at % columns
        if row == 0 and column == 0:
            self._screen.copy(self._blank, (0, 0), PAGE_SIZE, AREA)
        x, y = column * TYPED_PX, row * LINE_PX
        self._screen.copy(self._page, (x, y), (TYPED_PX, LINE_PX), (AREA[0] + x, AREA[1] + y))

    def _scroll(self, at: int) -> None:
        self._screen.copy(self._page, (0, scrolled_to(at)), PAGE_SIZE, AREA)

    def _film(self, at: int) -> None:
        # there and back: a film that loops would jump
        turn = at % (2 * FILM_FRAMES - 2)
        frame = self._frames[min(turn, 2 * FILM_FRAMES - 2 - turn)]
        self._screen.copy(frame, (0, 0), FILM_SIZE, (AREA[0] + 80, AREA[1] + 100))


class Load:
    """Requests, keys and time, turned into changes of the screen."""

    def __init__(self, name: str) -> None:
        self.screen = Screen(name)
        self.player = Player(self.screen)
        self._number = 0
        self._changes: list[tuple[int, float, str]] = []
        self._steps, self._last_step = 0, -1
        self._next_s: float | None = None
        self.answer(op="play", content="still")

    def change(self, why: str) -> tuple[int, float]:
        """The next number on the screen, with everything drawn before it."""
        self._number = (self._number + 1) % marker.NUMBERS
        self.screen.number(self._number)
        at_ms = time.time() * 1000
        self.screen.display.flush()
        self._changes.append((self._number, at_ms, why))
        return self._number, at_ms

    def answer(self, op: str, content: str = "", first: int = 0, last: int = 0) -> dict[str, Any]:
        """Do what a request asks for."""
        if op == "play":
            self.player.begin(content)
            self.change(content)
            self._begin(content, 0, -1)
            return {}
        if op == "settle":
            self.player.content = "scrolling"
            self._begin("scrolling", first, last)
            return {}
        if op == "flip":
            number, at_ms = self.change("flip")
            return {"number": number, "at_ms": at_ms}
        if op == "log":
            changes, self._changes = self._changes, []
            return {"changes": changes}
        return {"error": f"no such request: {op}"}

    def _begin(self, content: str, first_step: int, last_step: int) -> None:
        interval_s = INTERVAL_S.get(content)
        self._steps, self._last_step = first_step, last_step
        self._next_s = None if interval_s is None else time.monotonic() + interval_s

    def keys(self) -> None:
        """Take what the X server sent."""
        while self.screen.display.pending_events():
            if self.screen.display.next_event().type == X.KeyPress:
                self.change("key")

    def tick(self) -> float | None:
        """Draw what is due; seconds until the next step, None while nothing moves."""
        if self._next_s is None:
            return None
        now = time.monotonic()
        if now >= self._next_s:
            self.player.step(self._steps)
            self.change(self.player.content)
            if self._steps == self._last_step:
                self._next_s = None
                return None
            self._steps += 1
            # a step that was missed is left out: nothing may be drawn twice as fast to catch up
            self._next_s = max(self._next_s + INTERVAL_S[self.player.content], now)
        return max(0.0, self._next_s - time.monotonic())


def main(name: str) -> None:
    """Serve until standard input ends."""
    load = Load(name)
    print(json.dumps({"ready": True}), flush=True)
    x_fd, stdin = load.screen.display.fileno(), sys.stdin.fileno()
    lines = b""
    while True:
        load.keys()
        ready, _, _ = select.select([x_fd, stdin], [], [], load.tick())
        if stdin not in ready:
            continue
        data = os.read(stdin, 65536)
        if not data:
            return
        *whole, lines = (lines + data).split(b"\n")
        for line in whole:
            print(json.dumps(load.answer(**json.loads(line))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
