"""What needs a browser: addresses that are opened, back and forward, and how far a scroll in pixels goes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from actions.dialects import gemini, openai
from desktop_sandbox import Sandbox
from desktop_sandbox.agents._sync.hands import Hands
from tests.conftest import ARTIFACTS
from tests.dialects.golden import GRID, SCREEN, WHOLE
from tests.machine.support import eventually

# each step may take as long as a page does, and there are nine
pytestmark = [pytest.mark.desktop, pytest.mark.timeout(400)]
PAGE_S = 120.0  # a page takes some ten seconds on an emulated processor that is not shared
NUMBERS = itertools.count(1)
T = TypeVar("T")
ADDRESS_BAR = (188, 50, 400, 26)
TALL = """<title>{name}</title><body style="height: 20000px"><script>
onpageshow = () => document.title = "{name}";
onclick = () => document.title = "{name} was clicked";
onscroll = () => document.title = "{name} at " + Math.round(scrollY) + ".";
</script>"""


@pytest.fixture(scope="module")
def hands(server: object) -> Iterator[Hands]:
    with Sandbox.create("desktop", resolution=SCREEN, timeout=900) as sandbox:
        yield Hands(sandbox)


def page(hands: Hands) -> str:
    """The name of a new page: the title of an old one, in whichever tab, never stands for it."""
    name = f"page-{next(NUMBERS)}"
    hands.sandbox.files.write(f"/home/user/{name}.html", TALL.format(name=name))
    return name


def address(name: str) -> str:
    return f"file:///home/user/{name}.html"


def titles(hands: Hands) -> str:
    return "; ".join(window.title for window in hands.sandbox.windows())


def do(hands: Hands, generation: gemini.Generation, name: str, **args: object) -> None:
    hands.do(gemini.read(generation, name, args, GRID))


def wait_for(hands: Hands, look: Callable[[], T], what: str) -> T:
    """What `look` finds in the time a page has; asked for seldom, for the browser needs the processors itself."""
    try:
        return eventually(look, seconds=PAGE_S, every_s=1.0)
    except AssertionError:
        ARTIFACTS.mkdir(exist_ok=True)
        (ARTIFACTS / "test_in_a_browser.png").write_bytes(hands.sandbox.screenshot())
        raise AssertionError(f"{what}; the windows are: {titles(hands)}") from None


def comes(hands: Hands, pattern: str) -> None:
    """A window has a title with the pattern."""
    wait_for(hands, lambda: re.search(pattern, titles(hands)), f"no window came with {pattern!r}")


def shown(hands: Hands, *region: int) -> bytes:
    """Pixels of the screen, without the pointer."""
    x, y, width, height = region
    return hands.sandbox.screenshot("raw", region=(x, y, width, height), cursor=False)


def ready(hands: Hands, name: str) -> None:
    """The page takes input: Chromium throws away what comes in the first moments, long after the title is there."""

    def clicked() -> bool:
        do(hands, "current", "click", x=500, y=700)
        hands.look()
        return f"{name} was clicked" in titles(hands)

    wait_for(hands, clicked, f"{name} takes no click")


def test_a_scroll_in_pixels_goes_as_far_as_it_says(hands: Hands) -> None:
    first = page(hands)
    do(hands, "current", "navigate", url=address(first))
    comes(hands, f"{first} - ")
    assert hands.address == address(first)
    ready(hands, first)
    scroll = {"type": "scroll", "x": 640, "y": 500, "scroll_x": 0}
    hands.do(openai.read({**scroll, "scroll_y": 100}, WHOLE))
    comes(hands, rf"{first} at 120\.")
    hands.do(openai.read({**scroll, "scroll_y": 1000}, WHOLE))
    comes(hands, rf"{first} at 1080\.")  # eight steps, where it comes to rest
    do(hands, "legacy", "scroll_document", direction="down")
    comes(hands, rf"{first} at (?!1080\.)\d+\.")


def test_pages_are_typed_and_gone_back_and_forward_to(hands: Hands) -> None:
    first, second = page(hands), page(hands)
    do(hands, "legacy", "navigate", url=address(first))
    comes(hands, f"{first} - ")
    ready(hands, first)
    address_bar = shown(hands, *ADDRESS_BAR)
    do(hands, "current", "hotkey", keys=["control", "l"])
    # the browser asks the page first whether it wants the keys, and what is typed meanwhile is the page's
    wait_for(hands, lambda: shown(hands, *ADDRESS_BAR) != address_bar, "the address is not selected")
    do(hands, "current", "type", text=address(second), press_enter=True)
    comes(hands, f"{second} - ")
    ready(hands, second)
    do(hands, "current", "go_back")
    comes(hands, f"{first} - ")
    ready(hands, first)
    do(hands, "legacy", "go_forward")
    comes(hands, f"{second} - ")


def test_a_window_and_a_search(hands: Hands) -> None:
    first = page(hands)
    do(hands, "legacy", "navigate", url=address(first))
    comes(hands, f"{first} - ")
    assert "about:blank" not in titles(hands)
    do(hands, "legacy", "open_web_browser")
    comes(hands, "about:blank")
    do(hands, "legacy", "search")  # there is no network: the browser says so under the page's name
    comes(hands, "google")
