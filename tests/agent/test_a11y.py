"""The accessibility reader on a real bus, with apps that are well, hang, answer nonsense, or have no end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.errors import DeadlineError, GuestError, InvalidRequestError, NotFoundError
from guest_image.agent.a11y import wire
from guest_image.agent.a11y.node import element_id, parse_id
from tests.agent.a11y_bus import SHOWN, FakeDesktop, Item

needs_bus = pytest.mark.skipif(not shutil.which("dbus-daemon"), reason="needs dbus-daemon")


@pytest.fixture
def fakes(tmp_path: Path) -> Iterator[FakeDesktop]:
    folder = tmp_path / "a11y"
    folder.mkdir()
    fakes = FakeDesktop(folder)
    yield fakes
    fakes.close()


@pytest.fixture
def bus(fakes: FakeDesktop, guest) -> Iterator[FakeDesktop]:
    """The same, where the agent's reader looks for it."""
    environment = {"PATH": os.environ["PATH"], "DBUS_SESSION_BUS_ADDRESS": fakes.address}
    guest.agent.accounts.environment = lambda account: dict(environment)
    yield fakes
    fakes.close_apps()


def dialog() -> Item:
    return Item(
        "frame",
        "Save changes?",
        (*SHOWN, "active"),
        (0, 0, 400, 300),
        [
            Item("panel", children=[Item("label", "Save before closing?")]),
            Item("push button", "Cancel", (*SHOWN, "focusable"), (10, 200, 80, 30), actions=("click",)),
            Item("push button", "Don't save", (*SHOWN, "focusable"), (100, 200, 80, 30), actions=("click",)),
            Item("text", "File name", (*SHOWN, "editable", "focusable"), text="a\nb", editable=True),
            Item("slider", "Volume", (*SHOWN, "focusable"), number=40.0),
            Item("menu", "File", children=[Item("menu item", "Quit", ("visible",), actions=("click",))]),
        ],
    )


def named(answer: dict[str, Any]) -> list[str]:
    return [node.get("name", "") for node in answer["nodes"]]


async def read(channel, op: str = "a11y.tree", **params: Any) -> dict[str, Any]:
    return await channel.request(op, {"scope": "all", "timeout_ms": 8000, **params}, timeout_s=40)


def test_messages_survive_the_wire() -> None:
    body = ("hé", [("a", "/b"), ("c", "/d")], {"k": ("as", ["x"])}, -1, [("a", "b", "c")], 1.5, True)
    signature = "sa(so)a{sv}ia(sss)db"
    message = wire.Message(wire.CALL, 7, "/a/b", "x.y", "Z", "", 0, ":1.2", "", signature, body)
    back = wire.decode(wire.encode(message))
    assert back._replace(body=()) == message._replace(body=())
    assert back.body == ("hé", [("a", "/b"), ("c", "/d")], {"k": ["x"]}, -1, [("a", "b", "c")], 1.5, True)


@pytest.mark.parametrize("signature", ["a", "(", "z", "a{sv", "(s", "a" * 64 + "s"])
def test_broken_signatures_are_refused(signature: str) -> None:
    with pytest.raises(wire.WireError):
        wire.split(signature)


def test_no_bytes_crash_the_decoder() -> None:
    """Every message with a byte changed or cut off is decoded, or refused as what it is."""
    message = wire.Message(
        wire.REPLY, 1, reply_serial=2, signature="a{sv}(iiii)", body=({"N": ("s", "x")}, (1, 2, 3, 4))
    )
    data = wire.encode(message)
    for place in range(wire.FIXED_BYTES, len(data)):
        for changed in (data[:place], data[:place] + b"\xff" + data[place + 1 :]):
            try:
                wire.decode(changed)
            except wire.WireError:
                continue


def test_ids_are_short_and_lead_back() -> None:
    for ref in (
        (":1.23", "/org/a11y/atspi/accessible/45"),
        (":1.2", "/org/gtk/app/a1"),
        (":1.2", "/org/a11y/atspi/accessible/root"),
    ):
        assert parse_id(element_id(ref)) == ref
    assert element_id((":1.23", "/org/a11y/atspi/accessible/45")) == "1.23/45"
    for wrong in ("", "45", "1.2/", "1.2/a b", "org.x/4", "1.2/../x", ":1.2/4", "1.2/" + "4" * 300):
        with pytest.raises(ValueError, match="no element"):
            parse_id(wrong)


@needs_bus
async def test_the_tree_says_what_is_there(bus: FakeDesktop, channel) -> None:
    bus.add("editor", dialog())
    answer = await read(channel)
    assert answer["apps"] == [{"name": "editor", "pid": os.getpid(), "nodes": 10, "error": None}]
    assert answer["truncated"] == []
    assert named(answer) == [
        "editor", "Save changes?", "", "Save before closing?", "Cancel", "Don't save", "File name", "Volume", "File",
    ]  # fmt: skip
    assert [node["depth"] for node in answer["nodes"]] == [0, 1, 2, 3, 2, 2, 2, 2, 2]
    by_name = {node.get("name"): node for node in answer["nodes"]}
    assert by_name["Cancel"]["bounds"] == [10, 200, 80, 30]
    assert by_name["Cancel"]["actions"] == ["click"]
    assert by_name["Cancel"]["states"] == ["focusable"]
    assert by_name["File name"]["value"] == "a\nb"
    assert by_name["Volume"]["value"] == "40"
    with_hidden = await read(channel, hidden=True)
    assert "Quit" in named(with_hidden)
    assert "Quit" in named(await read(channel, scope="app", app="EDIT", hidden=True))


@needs_bus
async def test_a_hung_app_costs_the_others_nothing(bus: FakeDesktop, channel) -> None:
    bus.add("well", dialog())
    bus.add("hung", dialog(), silent=True)
    begun = time.monotonic()
    answer = await read(channel, timeout_ms=3000)
    assert time.monotonic() - begun < 30
    assert "Cancel" in named(answer)
    well, hung = answer["apps"]
    assert well["error"] is None
    assert "has not answered" in hung["error"]
    begun = time.monotonic()
    assert "Cancel" in named(await read(channel, scope="app", app="well", timeout_ms=20_000))
    assert time.monotonic() - begun < 15


@needs_bus
async def test_nonsense_costs_the_others_nothing(bus: FakeDesktop, channel) -> None:
    bus.add(
        "malformed", Item("frame", "Broken", malformed=True), Item("frame", "Sound", children=[Item("label", "here")])
    )
    app = bus.add("no sense at all", dialog())
    app.items["/org/a11y/atspi/accessible/root"].malformed = True
    bus.add("well", dialog())
    answer = await read(channel)
    assert "Broken" not in named(answer)
    assert "here" in named(answer)
    assert "Cancel" in named(answer)
    assert [bool(each["error"]) for each in answer["apps"]] == [False, True, False]


@needs_bus
async def test_what_has_no_end_is_cut_and_leaves_room_for_others(bus: FakeDesktop, channel) -> None:
    rows = [Item("table row", f"row {number}") for number in range(150)]
    bus.add("huge", Item("frame", "Huge", children=[Item("table", f"table {n}", children=rows[:]) for n in range(20)]))
    circle = Item("frame", "Circle")
    circle.children = [Item("panel", "inside")]
    bus.add("small", dialog())
    answer = await read(channel, max_nodes=100)
    assert answer["truncated"] == ["nodes"]
    assert len(answer["nodes"]) <= 100
    assert {"Cancel", "File name", "Volume"} <= set(named(answer))
    shallow = await read(channel, scope="app", app="huge", max_depth=2)
    assert shallow["truncated"] == ["depth"]
    assert shallow["nodes"][-1]["more"] == 150
    short = await read(channel, max_bytes=2048)
    assert "bytes" in short["truncated"]
    assert len(str(short)) < 6000


@needs_bus
async def test_a_million_children_are_not_asked_for(bus: FakeDesktop, channel) -> None:
    cells = [Item("table cell", f"cell {number}") for number in range(300)]
    app = bus.add("sheet", Item("frame", "Sheet", children=[Item("table", "cells", children=cells, claims=1_000_000)]))
    answer = await read(channel)
    assert not answer["truncated"], answer["apps"]
    table = next(node for node in answer["nodes"] if node["role"] == "table")
    assert table["more"] == 1_000_000 - 200
    assert sum(node["role"] == "table cell" for node in answer["nodes"]) == 200
    assert app.asked < 3000


@needs_bus
async def test_circles_end(bus: FakeDesktop, channel) -> None:
    frame = Item("frame", "Round")
    app = bus.add("round", frame)
    frame.children = [Item("panel", "again", path=frame.path)]
    app.items[frame.path].children[0].path = frame.path
    assert named(await read(channel)) == ["round", "Round"]


@needs_bus
async def test_find_says_what_there_is_instead(bus: FakeDesktop, channel) -> None:
    bus.add("editor", dialog())
    found = await read(channel, "a11y.find", role="button", name="save")
    assert named(found) == ["Don't save"]
    assert found["total"] == 1
    assert named(await read(channel, "a11y.find", name="^(Cancel|Volume)$", match="regex")) == ["Cancel", "Volume"]
    assert named(await read(channel, "a11y.find", role="entry", states=["editable", "-focused"])) == ["File name"]
    with pytest.raises(NotFoundError) as none:
        await read(channel, "a11y.find", role="button", name="OK")
    assert none.value.message == "no element role=button name~'OK'"
    assert none.value.hint == "push buttons here: 'Cancel', \"Don't save\""
    with pytest.raises(NotFoundError, match=r"link.*Cancel.*push button 'Cancel'"):
        await read(channel, "a11y.find", role="link", name="Cancel")
    with pytest.raises(NotFoundError, match="2 push button"):
        await read(channel, "a11y.find", role="tree")
    with pytest.raises(NotFoundError, match="apps here: editor"):
        await read(channel, scope="app", app="browser")


@needs_bus
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"match": "fuzzy"}, "match is"),
        ({"states": ["shiny"]}, "no state 'shiny'"),
        ({"states": [4]}, "list of strings"),
        ({"name": "(", "match": "regex"}, "no regular expression"),
        ({"name": "x" * 201}, "201 characters"),
        ({"scope": "app"}, "app goes with"),
        ({"scope": "everything"}, "scope is"),
        ({"timeout_ms": 0}, "at least 100"),
    ],
)
async def test_bad_wishes_are_refused(bus: FakeDesktop, channel, wrong: dict[str, Any], said: str) -> None:
    bus.add("editor", dialog())
    with pytest.raises(InvalidRequestError, match=said):
        await read(channel, "a11y.find", **wrong)


@needs_bus
async def test_elements_are_acted_on(bus: FakeDesktop, channel) -> None:
    app = bus.add("editor", dialog())
    ids = {node.get("name"): node["id"] for node in (await read(channel, hidden=True))["nodes"]}

    async def act(called: str, verb: str, **more: Any) -> dict[str, Any]:
        return await channel.request("a11y.act", {"id": ids[called], "verb": verb, **more}, timeout_s=40)

    assert (await act("Cancel", "look"))["pid"] == os.getpid()
    assert (await act("File name", "set", text="grüße\n"))["node"]["value"] == "grüße\n"
    assert (await act("Volume", "set", text="55.5"))["node"]["value"] == "55.5"
    await act("Quit", "invoke", name="Click")
    await act("Cancel", "invoke")
    assert app.done == [("Quit", "click"), ("Cancel", "click")]
    assert "focused" in (await act("File name", "focus"))["node"]["states"]
    with pytest.raises(InvalidRequestError, match="takes a number"):
        await act("Volume", "set", text="loud")
    with pytest.raises(InvalidRequestError, match="neither text nor a number"):
        await act("Save before closing?", "set", text="x")
    with pytest.raises(InvalidRequestError, match=r"no action 'fly'.*its actions: click"):
        await act("Cancel", "invoke", name="fly")
    with pytest.raises(InvalidRequestError, match="verb is"):
        await act("Cancel", "lick")
    app.forget("Cancel")
    with pytest.raises(NotFoundError, match="read the tree again"):
        await act("Cancel", "look")
    app.close()
    with pytest.raises(NotFoundError, match="read the tree again"):
        await act("Volume", "set", text="1")
    with pytest.raises(InvalidRequestError, match="no element's id"):
        await channel.request("a11y.act", {"id": "nonsense"}, timeout_s=40)


@needs_bus
async def test_a_field_for_the_keyboard_only_gets_the_focus(bus: FakeDesktop, channel) -> None:
    bus.add(
        "browser", Item("frame", "Page", children=[Item("entry", "Search", (*SHOWN, "editable", "focusable"), text="")])
    )
    (field,) = (await read(channel, "a11y.find", role="entry"))["nodes"]
    answer = await channel.request("a11y.act", {"id": field["id"], "verb": "set", "text": "x"}, timeout_s=40)
    assert answer["done"] is False
    assert "focused" in answer["node"]["states"]


@needs_bus
async def test_a_reader_that_hangs_is_ended_and_another_serves(bus: FakeDesktop, guest, channel) -> None:
    bus.add("editor", dialog())
    await read(channel)
    first = guest.agent.a11y._process.child.pid
    os.kill(first, signal.SIGSTOP)
    with pytest.raises(DeadlineError, match="said nothing"):
        await read(channel, timeout_ms=500)
    assert "Cancel" in named(await read(channel))
    second = guest.agent.a11y._process.child.pid
    assert second != first
    os.kill(second, signal.SIGKILL)
    with suppress(GuestError):  # the agent may see its end before it asks, or only then
        await read(channel)
    assert "Cancel" in named(await read(channel))


@needs_bus
async def test_a_slow_expression_ends_within_its_deadline(bus: FakeDesktop, channel) -> None:
    bus.add("editor", Item("frame", "a" * 60))
    begun = time.monotonic()
    with pytest.raises(DeadlineError, match="regular expression"):
        await read(channel, "a11y.find", name="(a+)+$b", match="regex", timeout_ms=500)
    assert time.monotonic() - begun < 40
    assert "a" * 60 in named(await read(channel))


@needs_bus
async def test_reads_are_done_one_after_another(bus: FakeDesktop, guest, channel) -> None:
    bus.add("editor", dialog())
    answers = await asyncio.gather(*(read(channel) for _ in range(8)))
    assert all("Cancel" in named(answer) for answer in answers)
    bus.add("hung", dialog(), silent=True)
    slow = asyncio.ensure_future(read(channel, timeout_ms=6000))
    await asyncio.sleep(0.2)
    with pytest.raises(GuestError, match="being read for others"):
        await read(channel, timeout_ms=100)
    assert (await slow)["apps"][1]["error"]


@needs_bus
async def test_without_a_bus_it_says_so(guest, channel) -> None:
    guest.agent.accounts.environment = lambda account: {"PATH": os.environ["PATH"]}
    with pytest.raises(GuestError, match="no D-Bus"):
        await read(channel)
