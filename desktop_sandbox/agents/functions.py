"""A desktop as a few plain functions with descriptions, for frameworks that know tools but no computers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from actions.dialects.say import DIRECTIONS, wheel
from actions.errors import ActionValueError
from actions.model import Screenshot, to_wire
from actions.validate import check_on_screen, parse_action
from desktop_sandbox.agents._sync.hands import MENDABLE, Hands
from desktop_sandbox.agents.runtime import Picture, told
from desktop_sandbox.errors import NotFoundError

if TYPE_CHECKING:
    from desktop_sandbox import Sandbox

X, Y = ("integer", "Pixels from the left edge of the screenshot."), ("integer", "Pixels from its top edge.")

ELEMENT = ("string", 'An id that read_elements tells, such as "1.23/45".')
T = TypeVar("T")


@dataclass(frozen=True)
class Function:
    """One function. `inputs`: name → (JSON type, description); those in `optional` may be left out.

    It returns text or a picture; what the caller can mend comes back as text that begins with "Error: ".
    """

    name: str
    description: str
    inputs: Mapping[str, tuple[str, str]]
    run: Callable[..., str | Picture]
    optional: tuple[str, ...] = ()

    def __call__(self, **given: Any) -> str | Picture:
        """Run it."""
        try:
            return self.run(**{name: value for name, value in given.items() if value is not None})
        except MENDABLE as error:
            return f"Error: {told(error)}"


def functions(sandbox: Sandbox, *, settle_ms: int = 200) -> list[Function]:
    """The functions of one desktop."""
    hands = Hands(sandbox, settle_ms=settle_ms)

    def act(action: dict[str, Any]) -> str:
        parsed = parse_action(action)
        check_on_screen([parsed], *hands.view().screen)
        sandbox.act([to_wire(parsed)])
        return "Done."

    def click(x: int, y: int, button: str = "left", count: int = 1) -> str:
        return act({"type": "click", "x": x, "y": y, "button": button, "count": count})

    def scroll(direction: str, amount: int, x: int, y: int) -> str:
        if direction not in DIRECTIONS:
            raise ActionValueError(f"cannot scroll {direction!r}", hint=f"directions: {', '.join(DIRECTIONS)}")
        dx, dy = wheel(direction, amount)
        return act({"type": "scroll", "x": x, "y": y, "dx": dx, "dy": dy})

    def drag(start_x: int, start_y: int, end_x: int, end_y: int) -> str:
        return act({"type": "drag", "path": [[start_x, start_y], [end_x, end_y]]})

    def open_target(target: str) -> str:
        sandbox.open(target)
        return "Opened."

    def launch(command: str) -> str:
        sandbox.launch(command.split())
        return "Started."

    def look() -> Picture:
        return hands.do([Screenshot()]).pictures[0]

    def click_element(element: str) -> str:
        x, y = _mendable(lambda: sandbox.click_element(element))
        return f"Clicked at ({x}, {y}) of the full screen."

    button = {"button": ("string", "left, middle or right; default left."), "count": ("integer", "2: double click.")}
    start_end = {"start_x": X, "start_y": Y, "end_x": X, "end_y": Y}
    turn = {"direction": ("string", "up, down, left or right."), "amount": ("integer", "Steps of the mouse wheel.")}
    return [
        Function("look_at_screen", "Take a screenshot, once the screen stands still.", {}, look),
        Function("click", "Click at a place.", {"x": X, "y": Y, **button}, click, ("button", "count")),
        Function(
            "move_pointer", "Move the pointer.", {"x": X, "y": Y}, lambda x, y: act({"type": "move", "x": x, "y": y})
        ),
        Function("drag", "Drag from one place to another.", start_end, drag),
        Function("scroll", "Turn the mouse wheel at a place.", {**turn, "x": X, "y": Y}, scroll),
        Function(
            "type_text",
            "Type text into what has the focus; a line end is the Return key.",
            {"text": ("string", "Any text.")},
            lambda text: act({"type": "type", "text": text}),
        ),
        Function(
            "press_keys",
            "Press a key or a combination.",
            {"keys": ("string", 'Such as "enter" or "ctrl+s".')},
            lambda keys: act({"type": "key", "keys": keys}),
        ),
        Function(
            "open_in_desktop", "Open a file or an address.", {"target": ("string", "Its path or address.")}, open_target
        ),
        Function("start_app", "Start an app.", {"command": ("string", 'Such as "xterm".')}, launch),
        Function(
            "read_elements",
            "Buttons, fields, links and texts of the window with the focus: a line each, with id, role and name.",
            {},
            lambda: _mendable(lambda: sandbox.tree().text),
        ),
        Function("click_element", "Click an element.", {"element": ELEMENT}, click_element),
        Function(
            "set_element",
            "Put text into a field, in place of what it holds.",
            {"element": ELEMENT, "value": ("string", "The text.")},
            lambda element, value: str(_mendable(lambda: sandbox.set_element(element, value))),
        ),
    ]


def _mendable(work: Callable[[], T]) -> T:
    """Do something to elements; that one is not there can be mended, that the desktop is not there cannot."""
    try:
        return work()
    except NotFoundError as error:
        if "code" not in error.evidence:
            raise
        raise ActionValueError(error.message, hint=error.hint) from error
