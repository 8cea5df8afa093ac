"""What the node makes of elements and windows, with a guest that says what the test wants."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from desktop_sandbox.elements import Element, ElementApp, ElementTree, outline, parse_element, parse_tree
from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError, NotFoundError
from desktop_sandbox.node.elements import Elements
from desktop_sandbox.node.facts import BatchResult, ClickSpec, WindowChange
from desktop_sandbox.node.windows import find_window, parse_windows

PID = 70


def node(**more: Any) -> dict[str, Any]:
    return {"id": "1.7/3", "role": "button", "name": "OK", "bounds": [10, 20, 40, 20], "depth": 0, **more}


def window(number: int, title: str, pid: int, **more: Any) -> dict[str, Any]:
    place = {"x": 0, "y": 0, "width": 400, "height": 300}
    return {
        "id": number,
        "title": title,
        "class": title.title(),
        "pid": pid,
        "active": False,
        "states": [],
        **place,
        **more,
    }


class Desk(Elements):
    """A node of one sandbox whose guest answers from a table: op or (op, verb) → an answer, or answers in turn."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.did: list[Any] = []

    async def get(self, sandbox_id: str) -> Any:
        return SimpleNamespace(resolution=(800, 600))

    async def live(self, sandbox_id: str, *, resume: bool = True) -> Any:
        async def guest() -> Any:
            return SimpleNamespace(channel=self, launch=self.start)

        return SimpleNamespace(guest=guest)

    async def start(self, argv: Any, uri: str | None) -> int:
        return 99

    async def request(self, op: str, params: dict[str, Any], timeout_s: float) -> Any:
        self.asked.append((op, params))
        name = f"{op.replace('.', '_')}_{params['verb']}" if op == "a11y.act" else op.replace(".", "_")
        found = self.answers[name]
        return found.pop(0) if isinstance(found, list) and name != "windows_list" else found

    async def act(self, sandbox_id: str, actions: Any, **more: Any) -> BatchResult:
        self.did += actions
        return BatchResult([{}], None, {})

    def verbs(self) -> list[str]:
        return [f"{op} {params.get('verb', '')}".strip() for op, params in self.asked if op != "windows.list"]


def told(**more: Any) -> dict[str, Any]:
    return {"node": node(**more), "pid": PID, "done": True}


async def click(desk: Desk) -> tuple[int, int]:
    return (await desk.click_element("sb", "1.7/3", ClickSpec(), batch_id="b"))[1]


async def test_a_click_goes_to_the_middle_of_what_is_on_the_screen() -> None:
    desk = Desk(a11y_act_look=told(), windows_list=[window(1, "mine", PID)])
    assert await click(desk) == (30, 30)
    assert (desk.did[0].x, desk.did[0].y) == (30, 30)
    assert await click(Desk(a11y_act_look=told(bounds=[700, 500, 300, 300]), windows_list=[])) == (750, 550)


async def test_what_is_scrolled_away_is_shown_first() -> None:
    desk = Desk(a11y_act_look=told(bounds=[10, 5000, 40, 20], states=["hidden"]), a11y_act_show=told(), windows_list=[])
    assert await click(desk) == (30, 30)
    assert desk.verbs() == ["a11y.act look", "a11y.act show"]


async def test_a_page_that_scrolls_in_its_own_time_is_waited_for() -> None:
    away = told(bounds=[10, 5000, 40, 20], states=["hidden"])
    desk = Desk(a11y_act_look=[away, away, told()], a11y_act_show=away, windows_list=[])
    assert await click(desk) == (30, 30)
    assert desk.verbs() == ["a11y.act look", "a11y.act show", "a11y.act look", "a11y.act look"]


async def test_a_covered_window_comes_to_front_first() -> None:
    windows = [window(1, "mine", PID), window(2, "other", 71)]
    desk = Desk(a11y_act_look=told(), windows_list=windows, windows_do={"done": True, "window": None})
    await click(desk)
    assert ("windows.do", {"id": 1, "verb": "activate"}) in desk.asked
    away = Desk(a11y_act_look=told(), windows_list=[windows[0], window(2, "other", 71, x=300)])
    await click(away)
    assert away.verbs() == ["a11y.act look"]


async def test_what_has_no_place_is_not_clicked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("desktop_sandbox.node.elements._SHOWN_S", 0.3)
    nowhere = told(bounds=None, actions=["press"])
    desk = Desk(a11y_act_look=nowhere, a11y_act_show=nowhere, windows_list=[])
    with pytest.raises(InvalidRequestError, match=r"not on the screen.*invoke its action \(press\)"):
        await click(desk)
    assert desk.did == []


async def test_a_field_for_the_keyboard_only_is_typed_into() -> None:
    answers = [{**told(role="entry"), "done": False}]
    desk = Desk(a11y_act_set=answers, a11y_act_focus=told(), a11y_act_look=told(value="hi"), windows_list=[])
    assert (await desk.set_element("sb", "1.7/3", "hi", batch_id="b")).value == "hi"
    assert [action.type for action in desk.did] == ["key", "type"]
    direct = Desk(a11y_act_set=told(value="hi"))
    assert (await direct.set_element("sb", "1.7/3", "hi", batch_id="b")).value == "hi"
    assert direct.did == []


async def test_an_app_without_a_window_is_told() -> None:
    none = {"window": None, "running": False, "windows": [window(1, "mine", PID)]}
    desk = Desk(windows_list=[], windows_opened=none)
    with pytest.raises(
        DeadlineError, match=r"'false' opened no window in 3 s; its process has ended.*'mine' \(Mine, 1\)"
    ):
        await desk.launch_window("sb", "false", None, 3)
    opened = Desk(windows_list=[window(1, "mine", PID)], windows_opened={**none, "window": window(2, "new", 99)})
    assert (await opened.launch_window("sb", ["new"], None, 3))[1]["title"] == "new"
    assert opened.asked[-1] == ("windows.opened", {"before": [1], "pid": 99, "timeout_ms": 3000})


async def test_a_window_is_changed_by_its_title() -> None:
    desk = Desk(windows_list=[window(5, "Mine", PID)], windows_do={"done": False, "window": window(5, "Mine", PID)})
    done = await desk.change_window("sb", WindowChange("mine", "move", x=0, y=4))
    assert done["done"] is False
    assert desk.asked[-1][1] == {"id": 5, "verb": "move", "timeout_ms": 3000, "x": 0, "y": 4}


def test_which_window_is_meant() -> None:
    windows = parse_windows([window(1, "draft.txt - Mousepad", 1), window(2, "Mousepad", 1), window(3, "draft", 1)])
    assert find_window(windows, "2")["id"] == 2
    assert find_window(windows, "mousepad")["id"] == 2
    assert find_window(windows, "draft")["id"] == 3
    assert find_window(windows, "txt")["id"] == 1
    for wrong in ("", "word"):
        with pytest.raises(NotFoundError, match=r"open windows: 'draft' \(Draft, 3\), 'Mousepad'"):
            find_window(windows, wrong)


@pytest.mark.parametrize(
    "lie",
    [None, [], {}, {"apps": [], "nodes": {}}, {"apps": [], "nodes": [{"role": "x"}]}, {"apps": [], "nodes": [4]},
     {"apps": [], "nodes": [node()] * 5001}, {"apps": None, "nodes": []}],
)  # fmt: skip
def test_a_tree_that_makes_no_sense_is_the_guests_error(lie: object) -> None:
    with pytest.raises(GuestError):
        parse_tree(lie)


@pytest.mark.parametrize(
    "lie", [None, [None], [{"id": "1"}], [{**window(1, "x", 1), "x": 1.5}], [{**window(1, "x", 1), "pid": True}]]
)
def test_windows_that_make_no_sense_are_the_guests_error(lie: object) -> None:
    with pytest.raises(GuestError):
        parse_windows(lie)


def test_an_element_is_bounded() -> None:
    element = parse_element(
        node(
            name="x" * 9999, states=["a", 4, "b" * 999], bounds=[0, 0, -1, 4], depth=-3, more="many", value=7, app=True
        )
    )
    assert len(element.name) == 800
    assert [len(state) for state in element.states] == [1, 80]
    assert (element.bounds, element.depth, element.more, element.value, element.app) == (None, 0, 0, None, 0)
    assert parse_element(node(bounds=[1 << 40, 0, 1, 1])).bounds is None


def test_the_outline_leaves_out_what_says_nothing() -> None:
    elements = [
        Element("a", "application", "Shop"),
        Element("b", "panel", depth=1),
        Element("c", "section", depth=2),
        Element("d", "link", "Terms", depth=3, bounds=(1, 2, 3, 4)),
        Element("e", "static", "Terms", depth=4),
        Element("f", "static", "and more", depth=3),
        Element("g", "entry", "Name", value="Ada\nL.", states=("focused",), depth=1),
        Element("h", "table", "Cells", depth=1, more=7),
        Element("i", "application", "Clock", app=1),
    ]
    tree = ElementTree([ElementApp("Shop", 1), ElementApp("", 2, "hangs")], elements, ["nodes"])
    assert outline(tree).splitlines() == [
        '[a] application "Shop"',
        '  [d] link "Terms" @1,2 3x4',
        '  [f] static "and more"',
        '  [g] entry "Name" = "Ada L." (focused)',
        '  [h] table "Cells" … 7 more',
        '[i] application "Clock"',
        "! app of pid 2: hangs",
        "! there is more: the read was cut for nodes",
    ]
