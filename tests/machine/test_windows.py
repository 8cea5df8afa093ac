"""Windows on a real desktop, and elements where no app tells of itself: changed, awaited, refused with a reason."""

from __future__ import annotations

import pytest

from desktop_sandbox import DeadlineError, InvalidRequestError, NotFoundError, Sandbox
from tests.machine.support import eventually

pytestmark = pytest.mark.machine


def test_an_app_is_started_and_its_window_goes_through_its_life(sandbox: Sandbox) -> None:
    # no shell in it: its prompt would name the window anew
    argv = ["xterm", "-T", "Grüße", "-geometry", "60x15+200+150", "-e", "sleep", "1000"]
    window = sandbox.launch_window(argv, timeout=90)
    assert window.title == "Grüße"
    assert window.window_class == "XTerm"
    assert window.pid
    front = sandbox.activate_window("grüß")
    assert front is not None
    assert front.active
    moved = sandbox.move_window(window, 300, 250)
    assert moved is not None
    assert (abs(moved.x - 300), abs(moved.y - 250)) <= (2, 2)
    sized = sandbox.resize_window(window, 500, 300)
    assert sized is not None
    assert abs(sized.width - 500) <= 20
    full = sandbox.maximise_window(window.id)
    assert full is not None
    assert "maximised" in full.states
    assert full.width > 1200
    hidden = sandbox.minimise_window(window)
    assert hidden is not None
    assert "minimised" in hidden.states
    assert "minimised" in {each.id: each for each in sandbox.windows()}[window.id].states
    back = sandbox.restore_window(window)
    assert back is not None
    assert back.states == ()
    assert sandbox.close_window(window)
    assert eventually(lambda: all(each.id != window.id for each in sandbox.windows()))


def test_what_is_not_there_is_told_with_what_is(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundError, match=r"no window 'Firefox' \(open windows: .*XTerm"):
        sandbox.activate_window("Firefox")
    with pytest.raises(NotFoundError, match="no-such-program"):
        sandbox.launch_window("no-such-program")
    with pytest.raises(DeadlineError, match=r"'true' opened no window in 5 s; its process has ended.*XTerm"):
        sandbox.launch_window("true", timeout=5)
    with pytest.raises(InvalidRequestError, match="move takes x and y"):
        sandbox._window("xterm", "move", {"x": 4})
    with pytest.raises(InvalidRequestError):
        sandbox.resize_window("xterm", 0, -4)
    assert sandbox.commands.run("echo well").stdout == "well\n"


def test_an_app_that_tells_nothing_of_itself_is_told(sandbox: Sandbox) -> None:
    sandbox.activate_window("xterm")
    with pytest.raises(NotFoundError, match=r"has no accessibility tree \(use screenshots for it"):
        sandbox.tree()
    assert sandbox.tree(scope="all", timeout=30).truncated == ()
    with pytest.raises(NotFoundError, match="no accessible app 'gimp'"):
        sandbox.tree("gimp", timeout=30)
    with pytest.raises(NotFoundError, match="no element role=button"):
        sandbox.find("button", scope="all", timeout=30)
    with pytest.raises(NotFoundError, match="read the tree again"):
        sandbox.click_element("1.999/4")
    with pytest.raises(InvalidRequestError, match="no element's id"):
        sandbox.click_element("OK button")


def test_a_reader_that_was_killed_or_stopped_is_no_trouble(sandbox: Sandbox) -> None:
    sandbox.tree(scope="all", timeout=30)
    sandbox.commands.run(["pkill", "-KILL", "-f", "a11y.worker"])
    eventually(lambda: _reads(sandbox))
    sandbox.commands.run(["pkill", "-STOP", "-f", "a11y.worker"])
    with pytest.raises(DeadlineError, match="said nothing"):
        sandbox.tree(scope="all", timeout=1)
    eventually(lambda: _reads(sandbox))
    snapshot = sandbox.checkpoint()
    sandbox.rollback(snapshot)
    assert _reads(sandbox)


def _reads(sandbox: Sandbox) -> bool:
    try:
        return sandbox.tree(scope="all", timeout=30).truncated == ()
    except Exception:
        return False
