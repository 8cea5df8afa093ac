"""Every action of every dialect on a real desktop, checked by what an application under the pointer sees of it."""

from __future__ import annotations

import io
import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from actions.dialects.steps import DragBy, DragTo, Launch, Open, Step, Stop
from actions.model import CursorPosition, Drag, Hold, KeyDown, KeyUp, MouseDown, MouseUp, Screenshot, Wait
from desktop_sandbox import Sandbox
from desktop_sandbox.agents._sync.hands import Done, Hands
from tests.dialects.expected import Event, expected, seen, without_modifiers
from tests.dialects.golden import SCREEN, TONGUES, Tongue
from tests.machine.support import eventually

RECORDER = Path(__file__).parent.parent / "guest_x" / "recorder.py"
EVENTS = "/tmp/events"
START = (50, 60)
CODE = "PYTHONPATH=/opt/desktop-sandbox/site:/opt/desktop-sandbox/lib"
RUN = f'{CODE} exec python3 /tmp/x/recorder.py "$DISPLAY" {EVENTS} --bare --size {SCREEN[0]}x{SCREEN[1]}'

pytestmark = pytest.mark.machine


class Stage:
    """A desktop that is all one window, which writes down every event it gets."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.hands = Hands(sandbox, settle_ms=0)
        sandbox.files.make_dir("/tmp/x")
        sandbox.files.write("/tmp/x/recorder.py", RECORDER.read_text())
        sandbox.launch(["sh", "-c", RUN])
        eventually(lambda: sandbox.files.exists(EVENTS) and "ready" in sandbox.files.read(EVENTS))

    def records(self) -> list[dict[str, Any]]:
        """All events so far; a last line that is half written is left out."""
        text = self.sandbox.files.read(EVENTS)
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def do(self, tongue: Tongue, call: Any, view: Any) -> Done:
        return self.hands.do(tongue.read(call, view))


@pytest.fixture(scope="module")
def stage(server: object) -> Iterator[Stage]:
    with Sandbox.create("minimal", resolution=SCREEN, timeout=900) as sandbox:
        yield Stage(sandbox)


def held_before(steps: list[Step]) -> list[dict[str, Any]]:
    """What must be down so that letting it go is seen."""
    downs = {(type(step), getattr(step, "button", getattr(step, "key", None))) for step in steps}
    before: list[dict[str, Any]] = []
    for step in steps:
        if isinstance(step, MouseUp) and (MouseDown, step.button) not in downs:
            before.append({"type": "mouse_down", "button": step.button})
        if isinstance(step, KeyUp) and (KeyDown, step.key) not in downs:
            before.append({"type": "key_down", "key": step.key})
    return before


def held_after(steps: list[Step]) -> list[dict[str, Any]]:
    """What is to be let go so that the next test begins with nothing held."""
    buttons = {step.button for step in steps if isinstance(step, MouseDown)}
    keys = {step.key for step in steps if isinstance(step, KeyDown)}
    buttons -= {step.button for step in steps if isinstance(step, MouseUp)}
    keys -= {step.key for step in steps if isinstance(step, KeyUp)}
    ups = [{"type": "mouse_up", "button": button} for button in buttons]
    return [*ups, *({"type": "key_up", "key": key} for key in keys)]


def vectors() -> Iterator[tuple[Tongue, Any, list[Step]]]:
    """All but what needs a browser or starts an app; what a later single tool takes just as an earlier one, once."""
    single: list[Any] = []
    for tongue in TONGUES:
        for call, steps in tongue.golden:
            known = tongue.name in ("computer_20250124", "computer_20251124") and call in single
            if not known and not any(isinstance(step, Open | Launch) for step in steps):
                yield tongue, call, steps
            single += [call] if tongue.name.startswith("computer_20") else []


VECTORS = list(vectors())


@pytest.mark.parametrize(
    ("tongue", "call", "steps"), VECTORS, ids=[f"{tongue.name}: {json.dumps(call)}" for tongue, call, _ in VECTORS]
)
def test_an_application_sees_the_action(stage: Stage, tongue: Tongue, call: Any, steps: list[Step]) -> None:
    desk = stage.sandbox
    held = held_before(steps)
    before = len(stage.records())
    desk.act([{"type": "move", "x": x, "y": START[1]} for x in (START[0] + 1, START[0])] + held)
    want, end = expected(steps, START)
    count = eventually(lambda: ready(stage, held, before))
    began = time.monotonic()
    done = stage.do(tongue, call, tongue.view)
    took = time.monotonic() - began

    compared = comparing(steps)
    eventually(lambda: len(compared(seen(stage.records()[count:]))) >= len(compared(want)))
    records = stage.records()[count:]
    assert compared(seen(records)) == compared(want)
    assert desk.get_cursor_position() == end
    assert took * 1000 >= sum(step.duration_ms for step in steps if isinstance(step, Wait))
    check_answers(done, steps)
    if any(isinstance(step, Drag | DragTo | DragBy) for step in steps):
        dragged = [record for record in records if record["kind"] == "motion" and record["state"] & 0x100]
        assert len(dragged) >= 2, "a drag that does not move with the button down is a click elsewhere"
    for step in steps:
        if isinstance(step, Hold):
            times = [record["time"] for record in records if record["kind"] in ("press", "release")]
            assert max(times) - min(times) >= step.duration_ms * 0.9
    if let_go := held_after(steps):
        desk.act(let_go)


def comparing(steps: list[Step]) -> Callable[[list[Event]], list[Event]]:
    """Which events count: a key that is held repeats itself, and Shift around other keys is in their masks."""
    if any(isinstance(step, Hold) for step in steps):
        return lambda events: [event for event, _ in itertools.groupby(without_modifiers(events))]
    if any(isinstance(step, KeyDown | KeyUp) for step in steps):
        return lambda events: events
    return without_modifiers


def ready(stage: Stage, held: list[dict[str, Any]], before: int) -> int:
    """How many events there are once the window has seen the pointer come to the start, and what is held go down."""
    records = stage.records()
    place = len(records) - 1 - len(held)
    at_start = (
        place >= before and records[place]["kind"] == "motion" and (records[place]["x"], records[place]["y"]) == START
    )
    return len(records) if at_start else 0


def check_answers(done: Done, steps: list[Step]) -> None:
    shots = [step for step in steps if isinstance(step, Screenshot)]
    assert len(done.pictures) == len(shots)
    for picture, shot in zip(done.pictures, shots, strict=True):
        size = SCREEN if shot.region is None else shot.region[2:]
        assert (picture.width, picture.height) == size
        assert Image.open(io.BytesIO(picture.data)).size == size
    if any(isinstance(step, CursorPosition) for step in steps):
        assert done.pointer == START
    assert done.stop == next((step for step in steps if isinstance(step, Stop)), None)


def test_an_app_that_is_asked_for_comes(stage: Stage) -> None:
    tongue = next(tongue for tongue in TONGUES if tongue.name == "gemini current")
    before = len(stage.sandbox.get_application_windows("xterm"))
    stage.do(tongue, ("open_app", {"app_name": "xterm"}), tongue.view)
    eventually(lambda: len(stage.sandbox.get_application_windows("xterm")) > before)
