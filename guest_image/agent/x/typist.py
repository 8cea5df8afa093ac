"""Types text and presses keys: carries out the plans of actions/typing_plan.py on the X server."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from Xlib import X

from actions.keymap import Stroke
from actions.typing_plan import Plan, text_keysyms
from guest_image.agent.x.connection import Connection
from guest_image.agent.x.drain import Drain
from guest_image.agent.x.failure import ActionFailed
from guest_image.agent.x.keyboard import Keyboard
from guest_image.agent.x.pauses import pause_until

CHUNK = 48
AHEAD = 3
SILENT_CHUNKS = 6
SILENT_PACE_S = 1.0
STALL_S = 30.0
POINTER_S = 4.0


class Typist:
    """One per connection. `cancelled` is asked, and `progress` told, between chunks of 48 characters; in waits the
    first again and again."""

    def __init__(self, connection: Connection) -> None:
        self._display = connection.display
        self.keyboard = Keyboard(connection)
        self._drain = Drain(connection)

    def type(
        self, text: str, delay_ms: int, cancelled: Callable[[], bool], progress: Callable[[dict[str, Any]], None]
    ) -> int:
        """Type `text`; returns the number of characters (code points of `text`) typed.

        Never further ahead of the application than some 150 characters, where it can be asked. Raises ActionFailed
        "cancelled" or "not_responding" with partial {"typed": n}.
        """
        keysyms = text_keysyms(text)
        self.keyboard.refresh()
        done = 0
        with self._drain, self._neutral():
            tickets: deque[list[int]] = deque()
            for number in range(1, len(keysyms) + 1):
                if done >= len(keysyms):
                    break
                done += self._chunk(keysyms, done, delay_ms, cancelled, text)
                progress({"typed": _characters(text, done)})
                self._keep_pace(number, tickets, done, cancelled, text)
        return len(text)

    def _chunk(self, keysyms: list[int], start: int, delay_ms: int, cancelled: Callable[[], bool], text: str) -> int:
        if cancelled():
            raise _stopped("cancelled", text, start)
        self._drain.note_focus()
        limit = 1 if delay_ms else CHUNK
        window = keysyms[start : start + limit + 4000]
        plan = self.keyboard.spare.plan(self.keyboard.keymap, window, limit)
        if plan.must_drain:
            self.drain(cancelled, text, start)
            plan = self.keyboard.spare.plan(self.keyboard.keymap, window, limit)
        self._rebind(plan, cancelled, text, start)
        shift = self._shift_key()
        for stroke in plan.strokes:
            self.keyboard.stroke(stroke, shift)
        self._display.flush()
        if delay_ms and start + 1 < len(keysyms):
            self._pause(delay_ms, cancelled, text, start + len(plan.strokes))
        return len(plan.strokes)

    def _pause(self, delay_ms: int, cancelled: Callable[[], bool], text: str, done: int) -> None:
        try:
            pause_until(time.monotonic() + delay_ms / 1000, cancelled, "typing")
        except ActionFailed:
            raise _stopped("cancelled", text, done) from None

    def _keep_pace(
        self, number: int, tickets: deque[list[int]], done: int, cancelled: Callable[[], bool], text: str
    ) -> None:
        deadline = time.monotonic() + STALL_S
        if self._drain.silent:
            if number % SILENT_CHUNKS == 0 and self._drain.wait_all(time.monotonic() + SILENT_PACE_S, cancelled):
                self._caught_up()
            return
        tickets.append(self._drain.mark())
        if len(tickets) >= AHEAD and not self._drain.wait(tickets.popleft(), deadline, cancelled):
            raise _stopped("cancelled" if cancelled() else "not_responding", text, done)

    def let_pointer_events_be_read(self, cancelled: Callable[[], bool], at_most_s: float = POINTER_S) -> None:
        """Wait, at most `at_most_s` seconds, until the window at the pointer has read what was sent to it.

        Chromium gives a click the modifiers that are held when it comes to the click, not those of the event.
        """
        with self._drain:
            self._drain.note_pointer()
            self._drain.wait_all(time.monotonic() + at_most_s, cancelled)

    def drain(self, cancelled: Callable[[], bool], text: str = "", done: int = 0) -> None:
        """Wait until the applications typed into have read every key, so that spare keys may change."""
        if not self._drain.wait_all(time.monotonic() + STALL_S, cancelled):
            raise _stopped("cancelled" if cancelled() else "not_responding", text, done)
        self._caught_up()

    def _caught_up(self) -> None:
        self.keyboard.spare.drained()
        self._drain.note_focus()

    def key_stroke(self, keysym: int, cancelled: Callable[[], bool]) -> Stroke:
        """The key that means `keysym`; one that no key has is put on a spare one."""
        keyboard = self.keyboard
        if keysym in keyboard.keymap.strokes:
            return keyboard.keymap.strokes[keysym]
        self._drain.note_focus()
        plan = keyboard.spare.plan(keyboard.keymap, [keysym], 1)
        with self._drain:
            if plan.must_drain:
                self.drain(cancelled)
                plan = keyboard.spare.plan(keyboard.keymap, [keysym], 1)
            self._rebind(plan, cancelled, "", 0)
        return plan.strokes[0]

    def _rebind(self, plan: Plan, cancelled: Callable[[], bool], text: str, done: int) -> None:
        """Change the keymap, and go on when the applications know."""
        if not plan.rebind:
            return
        self.keyboard.rebind(plan.rebind)
        if not self._drain.settle(time.monotonic() + STALL_S, cancelled):
            raise _stopped("cancelled" if cancelled() else "not_responding", text, done)

    def _shift_key(self) -> int:
        return next(iter(self.keyboard.keymap.shift_keys), 0)

    @contextmanager
    def _neutral(self) -> Iterator[None]:
        """No modifier held, caps lock off, no auto-repeat; afterwards the modifiers are as they were."""
        keyboard = self.keyboard
        held = keyboard.held_modifiers() if keyboard.state & ~X.LockMask else []
        caps = keyboard.caps_lock_on()
        keyboard.repeat(False)
        keyboard.release(held)
        if caps:
            keyboard.tap_caps_lock()
        try:
            yield
        finally:
            if caps:
                keyboard.tap_caps_lock()
            keyboard.press(held)
            keyboard.repeat(keyboard.holding)
            self._display.flush()


def _characters(text: str, strokes: int) -> int:
    """How many code points of `text` the first `strokes` strokes are: CR LF is one stroke."""
    if "\r\n" not in text:
        return strokes
    place = 0
    for _ in range(strokes):
        place += 2 if text.startswith("\r\n", place) else 1
    return place


def _stopped(code: str, text: str, strokes: int) -> ActionFailed:
    partial = {"typed": _characters(text, strokes)} if text else {}
    if code == "cancelled":
        return ActionFailed(code, f"typing was cancelled after {partial.get('typed', 0)} characters", partial=partial)
    return ActionFailed(
        code,
        f"the focused application has not read its keys for {STALL_S:.0f} s",
        hint="it hangs or is very busy; look at the screen, then type the rest",
        partial=partial,
    )
