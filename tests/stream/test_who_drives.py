"""Control: taken, asked for, given and taken back, by people and the agent, over the API."""

from __future__ import annotations

import time

import httpx

from actions.model import KeyDown, KeyUp, MouseDown, MouseUp, Move
from tests.live_server import Live
from tests.stream.fake_streamer import FakeStreamer, until
from tests.stream.people import act, bearer, lease, notes, say, token, viewer


def test_control_is_taken_used_and_given_back(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, token(http, box, name="Ada"))
    sandbox = live.node.sandboxes[box.rsplit("/", 1)[1]]
    assert lease(streamer, number)["holder"] == "agent"
    streamer.emit("viewer.input", viewer=number, events=[{"t": "key", "down": True, "code": "KeyA", "keysym": 97}])
    until(lambda: streamer.told(number, "error"))
    assert streamer.told(number, "error")[-1]["code"] == "not-in-control"
    assert not sandbox.pressed
    assert act(http, box).status_code == 200

    say(streamer, number, t="lease", want="take")
    until(lambda: lease(streamer, number)["holder"] == "you")
    until(lambda: MouseUp("right") in sandbox.pressed, "what the agent may have held is released")
    del sandbox.pressed[:]
    events = [
        {"t": "pointer", "x": 3, "y": 4},
        {"t": "pointer", "x": 5, "y": 6},
        {"t": "button", "button": "left", "down": True, "x": 5, "y": 6},
        {"t": "key", "down": True, "code": "Slash", "keysym": 0x2F},
    ]
    streamer.emit("viewer.input", viewer=number, events=events)
    until(lambda: len(sandbox.pressed) == 3)
    assert sandbox.pressed == [Move(5, 6), MouseDown("left", 5, 6), KeyDown("U+002F", exact=True)]

    refused = act(http, box)
    assert refused.status_code == 409
    problem = refused.json()
    assert problem["type"].endswith(":control-held")
    assert problem["evidence"]["name"] == "Ada"
    assert problem["evidence"]["since"] > time.time() - 60
    looking = http.post(
        f"{box}/actions", json={"actions": [{"type": "screenshot"}, {"type": "wait", "duration_ms": 1}]}
    )
    assert looking.status_code == 200

    say(streamer, number, t="lease", want="give")
    until(lambda: lease(streamer, number)["holder"] == "agent")
    until(lambda: len(sandbox.pressed) == 5, "what was held is released")
    assert set(sandbox.pressed[3:]) == {KeyUp("U+002F"), MouseUp("left")}
    assert act(http, box).status_code == 200
    assert [note["to"] for note in notes(live, box, "control")] == ["viewer Ada", "agent"]


def test_an_action_waits_for_control(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, token(http, box))
    say(streamer, number, t="lease", want="take")
    until(lambda: http.get(f"{box}/control").json()["holder"] == "viewer")
    begun = time.monotonic()
    assert act(http, box, wait_for_control=0.3).status_code == 409
    assert time.monotonic() - begun >= 0.3

    import threading

    timer = threading.Timer(0.3, lambda: say(streamer, number, t="lease", want="give"))
    timer.start()
    begun = time.monotonic()
    assert act(http, box, wait_for_control=20).status_code == 200
    assert 0.25 < time.monotonic() - begun < 5
    timer.join()


def test_taking_control_breaks_off_what_the_agent_does(live: Live, streamer: FakeStreamer, http, box) -> None:
    import threading

    number = viewer(live, streamer, box, token(http, box))
    entered = threading.Event()

    async def long() -> None:
        import asyncio

        entered.set()
        await asyncio.sleep(60)

    live.node.before["act"] = long

    def take() -> None:
        assert entered.wait(10)
        say(streamer, number, t="lease", want="take")

    taking = threading.Thread(target=take)
    taking.start()
    answer = act(http, box)
    taking.join()
    assert answer.status_code == 422
    assert answer.json()["evidence"]["code"] == "control-held"


def test_two_viewers_ask_each_other(live: Live, streamer: FakeStreamer, http, box) -> None:
    ada = viewer(live, streamer, box, token(http, box, name="Ada"))
    bob = viewer(live, streamer, box, token(http, box, name="Bob"))
    eve = viewer(live, streamer, box, token(http, box, name="Eve", rights="view"))
    say(streamer, ada, t="lease", want="take")
    until(lambda: lease(streamer, bob) == {"t": "lease", "holder": "other", "name": "Ada", "wanted_by": None})
    say(streamer, bob, t="lease", want="request")
    until(lambda: lease(streamer, ada)["wanted_by"] == "Bob")
    say(streamer, ada, t="lease", want="give")
    until(lambda: lease(streamer, bob)["holder"] == "you")
    assert until(lambda: lease(streamer, ada)["holder"]) == "other"
    say(streamer, eve, t="lease", want="take")
    until(lambda: streamer.told(eve, "error"))
    assert streamer.told(eve, "error")[-1]["code"] == "not-allowed"
    streamer.emit("viewer.input", viewer=ada, events=[{"t": "text", "text": "no"}])
    until(lambda: streamer.told(ada, "error"))
    assert http.post(f"{box}/control", json={"want": "take"}).json()["holder"] == "agent"
    until(lambda: lease(streamer, bob)["holder"] == "agent")
    assert http.get(f"{box}/control").json()["viewers"] == 3


def test_a_viewer_that_vanishes_has_a_moment_to_come_back(live: Live, streamer: FakeStreamer, http, box) -> None:
    text = token(http, box, name="Ada")
    first = viewer(live, streamer, box, text)
    say(streamer, first, t="lease", want="take")
    until(lambda: lease(streamer, first)["holder"] == "you")
    streamer.emit("viewer.state", viewer=first, state="closed", transport="webrtc", reason="lost")
    until(lambda: http.get(f"{box}/control").json()["viewers"] == 0)
    assert act(http, box).status_code == 409
    second = viewer(live, streamer, box, text)
    until(lambda: lease(streamer, second)["holder"] == "you")
    streamer.emit("viewer.state", viewer=second, state="closed", transport="webrtc", reason="lost")
    until(lambda: http.get(f"{box}/control").json()["holder"] == "agent", timeout_s=12)
    assert act(http, box).status_code == 200


def test_a_token_may_take_control_by_the_first_click(live: Live, streamer: FakeStreamer, http, box) -> None:
    number = viewer(live, streamer, box, token(http, box, takes_control=True))
    streamer.emit("viewer.input", viewer=number, events=[{"t": "text", "text": "hi"}])
    until(lambda: lease(streamer, number)["holder"] == "you")
    sandbox = live.node.sandboxes[box.rsplit("/", 1)[1]]
    until(lambda: any(getattr(action, "text", "") == "hi" for action in sandbox.pressed))


def test_a_link_takes_nothing_back_while_another_person_drives(live: Live, streamer: FakeStreamer, http, box) -> None:
    saved = http.post(f"{box}/checkpoint", json={}).json()["id"]
    ada_key, bob_key = (token(http, box, name=name, rights="control") for name in ("Ada", "Bob"))
    ada = viewer(live, streamer, box, ada_key)
    say(streamer, ada, t="lease", want="take")
    until(lambda: lease(streamer, ada)["holder"] == "you")

    def go_back(key: str) -> httpx.Response:
        return httpx.post(f"{live.url}{box}/rollback", json={"snapshot": saved}, headers=bearer(key), timeout=20)

    refused = go_back(bob_key)
    assert (refused.status_code, "Ada drives" in refused.json()["detail"]) == (409, True), refused.text
    assert "rollback" not in live.node.calls
    assert go_back(ada_key).status_code == 200
