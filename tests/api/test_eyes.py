"""Eyes over the API: waits, comparisons, pictures and marks on frames that the test paints."""

from __future__ import annotations

import base64
import io
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.fake_base import FakeSandbox
from tests.live_server import Live


def grey() -> np.ndarray:
    return np.full((800, 1280, 4), 128, np.uint8)


def painted(*rects: tuple[int, int, int, int], colour: int = 255) -> np.ndarray:
    made = grey()
    for x, y, width, height in rects:
        made[y : y + height, x : x + width, :3] = colour
    return made


def the_box(live: Live, box: str) -> FakeSandbox:
    return live.node.sandboxes[box.rpartition("/")[2]]


@contextmanager
def later(seconds: float, fake: FakeSandbox, frame: np.ndarray) -> Iterator[None]:
    """The screen shows something else after a while."""
    timer = threading.Timer(seconds, lambda: setattr(fake, "frame", frame))
    timer.start()
    yield
    timer.join()


@contextmanager
def moving(fake: FakeSandbox) -> Iterator[None]:
    """Something on the screen moves all the time."""
    ended = threading.Event()

    def run() -> None:
        turn = 0
        while not ended.wait(0.02):
            turn += 1
            fake.frame = painted((100, 100, 20, 20), colour=turn % 200)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def png(frame: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(frame[:, :, 2::-1])).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_a_still_screen_is_stable_and_a_frozen_one_is_not_woken(live: Live, http: httpx.Client, box: str) -> None:
    found = http.post(f"{box}/wait/stable", json={"quiet_ms": 50, "screenshot": {"format": "jpeg"}}).json()
    assert found["stable"] is True
    assert found["changed"] is False
    assert found["regions"] == found["moving"] == []
    assert found["screenshot"]["media_type"] == "image/jpeg"
    assert found["screenshot"]["stable"] is True
    assert base64.b64decode(found["screenshot"]["data"]).startswith(b"\xff\xd8")
    assert the_box(live, box).woken == 0


def test_what_moves_is_told_or_is_an_error_as_chosen(live: Live, http: httpx.Client, box: str) -> None:
    wish = {"quiet_ms": 400, "timeout": 0.8}
    with moving(the_box(live, box)):
        found = http.post(f"{box}/wait/stable", json=wish).json()
        assert found["stable"] is False
        [(x, y, width, height)] = found["moving"]
        assert x <= 100 <= 120 <= x + width
        assert y <= 100 <= 120 <= y + height
        answer = http.post(f"{box}/wait/stable", json={**wish, "on_timeout": "error"})
        assert answer.status_code == 504
        problem = answer.json()
        assert problem["type"].endswith(":deadline")
        assert problem["hint"]
        assert problem["evidence"]["moving"]
        ignored = http.post(f"{box}/wait/stable", json={**wish, "timeout": 10, "ignore": [[100, 100, 20, 20]]}).json()
        assert ignored["stable"] is True
        elsewhere = http.post(f"{box}/wait/stable", json={**wish, "timeout": 10, "region": [200, 0, 500, 500]}).json()
        assert elsewhere["stable"] is True


def test_a_change_is_waited_for_in_a_region_and_since_a_moment(live: Live, http: httpx.Client, box: str) -> None:
    fake = the_box(live, box)
    moment = http.post(f"{box}/changes", json={}).json()["moment"]
    with later(0.4, fake, painted((300, 200, 10, 6))):
        found = http.post(f"{box}/wait/change", json={"region": [290, 190, 100, 100], "timeout": 20}).json()
    assert found["changed"] is True
    assert found["regions"] == [[300, 200, 10, 6]]
    assert found["waited_ms"] >= 100
    assert fake.woken > 0
    begun = time.monotonic()
    assert http.post(f"{box}/wait/change", json={"since": moment, "timeout": 20}).json()["regions"] == found["regions"]
    assert time.monotonic() - begun < 10
    none = http.post(f"{box}/wait/change", json={"timeout": 0.2}).json()
    assert none["changed"] is False
    answer = http.post(f"{box}/wait/change", json={"timeout": 0.2, "on_timeout": "error"})
    assert answer.status_code == 504
    assert "nothing changed" in answer.json()["detail"]


def test_two_moments_are_compared(live: Live, http: httpx.Client, box: str) -> None:
    fake = the_box(live, box)
    first = http.get(f"{box}/screenshot?keep=true&format=raw&region=0,0,10,10")
    moment = first.headers["X-Screen-Moment"]
    assert len(first.content) == 300
    assert "X-Screen-Moment" not in http.get(f"{box}/screenshot").headers
    fake.frame = painted((5, 6, 7, 8), (900, 700, 30, 40))
    found = http.post(f"{box}/changes", json={"since": moment}).json()
    assert found["changed"] is True
    assert found["regions"] == [[5, 6, 7, 8], [900, 700, 30, 40]]
    assert found["moment"] != moment
    inside = http.post(f"{box}/changes", json={"since": moment, "region": [0, 0, 100, 100], "ignore": [[0, 0, 6, 100]]})
    assert inside.json()["regions"] == [[6, 6, 6, 8]]
    assert http.post(f"{box}/changes", json={"since": found["moment"]}).json()["changed"] is False
    by_picture = http.post(f"{box}/changes", json={"picture": png(grey())}).json()
    assert by_picture["regions"] == found["regions"]
    fake.frame = None
    assert http.post(f"{box}/changes", json={}).json()["moment"] == moment  # equal screens have equal names


def test_a_comparison_with_nothing_or_nonsense_is_refused(http: httpx.Client, box: str) -> None:
    gone = http.post(f"{box}/changes", json={"since": "0123456789abcdef"})
    assert gone.status_code == 404
    assert "10 minutes" in gone.json()["hint"]
    small = http.post(f"{box}/changes", json={"picture": png(grey()[:100])})
    assert small.status_code == 422
    assert "1280 x 100" in small.json()["detail"]
    for bad in (
        {"since": "0123456789abcdef", "picture": png(grey())},
        {"picture": "????"},
        {"picture": base64.b64encode(b"no picture").decode()},
        {"region": [1270, 0, 11, 10]},
        {"region": [0, 0, 1]},
        {"since": "../../x"},
    ):
        answer = http.post(f"{box}/changes", json=bad)
        assert answer.status_code == 422, bad
        assert answer.json()["hint"], bad


def test_a_batch_tells_what_it_changed(live: Live, http: httpx.Client, box: str) -> None:
    fake = the_box(live, box)
    wish = {"actions": [{"type": "click", "x": 4, "y": 5}], "changes": {"reaction_ms": 5000}, "screenshot": True}
    with later(0.5, fake, painted((40, 50, 60, 70))):
        found = http.post(f"{box}/actions", json=wish).json()
    assert found["changes"]["changed"] is True
    assert found["changes"]["regions"] == [[40, 50, 60, 70]]
    assert found["changes"]["stable"] is True
    assert found["screenshot"]["stable"] is True
    picture = Image.open(io.BytesIO(base64.b64decode(found["screenshot"]["data"])))
    assert picture.convert("RGB").getpixel((45, 115)) == (255, 255, 255)
    wish["changes"] = {"reaction_ms": 100}
    nothing = http.post(f"{box}/actions", json=wish).json()
    assert nothing["changes"]["changed"] is False
    assert nothing["changes"]["moment"] == found["changes"]["moment"]
    plain = http.post(f"{box}/actions", json={"actions": wish["actions"]}).json()
    assert "changes" not in plain
    failing = {"actions": [{"type": "type", "text": "unmappable"}], "changes": {"reaction_ms": 0}}
    assert http.post(f"{box}/actions", json=failing).json()["evidence"]["changes"]["changed"] is False
    outside = {"actions": [{"type": "wait", "duration_ms": 1}], "changes": {"region": [0, 0, 5000, 5]}}
    before = len(fake.acted)
    assert http.post(f"{box}/actions", json=outside).status_code == 422
    assert len(fake.acted) == before


def test_a_repeated_batch_is_answered_the_same(live: Live, http: httpx.Client, box: str) -> None:
    wish = {"actions": [{"type": "click", "x": 4, "y": 5}], "changes": {"reaction_ms": 0}}
    first = http.post(f"{box}/actions", json=wish, headers={"Idempotency-Key": "once"})
    the_box(live, box).frame = painted((0, 0, 9, 9))
    again = http.post(f"{box}/actions", json=wish, headers={"Idempotency-Key": "once"})
    assert again.json() == first.json()
    assert len(the_box(live, box).acted) == 1


def test_a_window_is_waited_for_and_the_error_names_those_there_are(live: Live, http: httpx.Client, box: str) -> None:
    fake = the_box(live, box)
    found = http.post(f"{box}/wait/window", json={"title": "FILE"}).json()
    assert found["window"]["title"] == "files"
    assert found["window"]["window_class"] == "Thunar"
    timer = threading.Timer(0.4, lambda: fake.launched.append(("xterm 7", None)))
    timer.start()
    found = http.post(f"{box}/wait/window", json={"title": r"^xterm \d$", "regex": True, "timeout": 20}).json()
    assert found["window"]["title"] == "xterm 7"
    answer = http.post(f"{box}/wait/window", json={"title": "Firefox", "timeout": 0.3})
    assert answer.status_code == 504
    assert "no window titled 'Firefox'" in answer.json()["detail"]
    assert "open windows: 'xterm 7', 'files'" in answer.json()["detail"]
    missing = {"title": "Firefox", "timeout": 0, "on_timeout": "answer"}
    assert http.post(f"{box}/wait/window", json=missing).json()["window"] is None
    by_class = {"window_class": "thunar", "title": "nothing", "timeout": 0, "on_timeout": "answer"}
    assert http.post(f"{box}/wait/window", json=by_class).json()["window"] is None
    gone = http.post(f"{box}/wait/window", json={"title": "Firefox", "gone": True}).json()
    assert gone["window"] is None
    assert http.post(f"{box}/wait/window", json={"title": "files", "gone": True, "timeout": 0.1}).status_code == 504


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "no window was described"),
        ({"title": "("}, None),
        ({"title": "(", "regex": True}, "no regular expression"),
        ({"title": "(a+)+$", "regex": True}, "for ever"),
        ({"title": "a*b*c*d*", "regex": True}, "for ever"),
        ({"title": ""}, None),
        ({"title": "   "}, "0|3 characters"),
        ({"title": "x", "timeout": 601}, None),
        ({"title": "x", "timeout": -1}, None),
        ({"title": "x" * 501}, None),
        ({"titel": "x"}, None),
    ],
)
def test_a_window_that_cannot_be_is_refused(http: httpx.Client, box: str, body: dict, says: str | None) -> None:
    answer = http.post(f"{box}/wait/window", json={"timeout": 0, **body})
    if body == {"title": "("}:
        assert answer.status_code == 504  # plain text: no window has it
        return
    assert answer.status_code == 422
    if says is not None:
        assert any(part in answer.json()["detail"] for part in says.split("|"))


def icon() -> np.ndarray:
    rng = np.random.default_rng(1)
    made = np.zeros((24, 30, 4), np.uint8)
    made[..., :3] = np.repeat(np.repeat(rng.integers(0, 255, (6, 6, 3), dtype=np.uint8), 4, axis=0), 5, axis=1)
    return made


def test_a_picture_is_found_on_the_screen(live: Live, http: httpx.Client, box: str) -> None:
    frame = grey()
    frame[100:124, 200:230] = frame[500:524, 900:930] = icon()
    the_box(live, box).frame = frame
    found = http.post(f"{box}/find-picture", json={"picture": png(icon())}).json()["matches"]
    assert [match["box"] for match in found] == [[200, 100, 30, 24], [900, 500, 30, 24]]
    assert found[0]["score"] == 1.0
    part = {"like": [200, 100, 30, 24], "region": [640, 400, 640, 400]}
    assert [m["box"] for m in http.post(f"{box}/find-picture", json=part).json()["matches"]] == [[900, 500, 30, 24]]
    for bad in (
        {},
        {"picture": png(icon()), "like": [0, 0, 9, 9]},
        {"like": [0, 0, 9, 9]},
        {"like": [1279, 0, 9, 9]},
        {"picture": png(icon()), "scale": [0.1, 1]},
        {"picture": png(icon()), "scale": [2, 1]},
        {"picture": png(icon()), "threshold": 0},
    ):
        answer = http.post(f"{box}/find-picture", json=bad)
        assert answer.status_code == 422, bad
        assert answer.json()["hint"], bad


def test_boxes_are_numbered_on_the_screen(http: httpx.Client, box: str) -> None:
    boxes = [{"box": [10, 20, 100, 40], "label": "OK"}, {"box": [1270, 790, 100, 100]}, {"box": [2000, 0, 5, 5]}]
    found = http.post(f"{box}/marks", json={"boxes": boxes, "screenshot": {"cursor": False}}).json()
    assert found["marks"] == [
        {"number": 1, "box": [10, 20, 100, 40], "label": "OK"},
        {"number": 2, "box": [1270, 790, 10, 10], "label": ""},
    ]
    shown = np.asarray(Image.open(io.BytesIO(base64.b64decode(found["screenshot"]["data"]))).convert("RGB"))
    assert (shown[20, 10:110] != 128).any(axis=1).all()  # the outline
    assert (shown[40, 15:100] == 128).all()  # what is in the box stays to be seen
    assert (shown[300:700, 300:900] == 128).all()
    for bad in ({}, {"boxes": [{"box": [1, 2, 3]}]}, {"boxes": [], "screenshot": {"region": [0, 0, 9, 9]}}):
        assert http.post(f"{box}/marks", json=bad).status_code == 422, bad


def test_the_cursor_and_the_clipboards_picture(live: Live, http: httpx.Client, box: str) -> None:
    found = http.get(f"{box}/cursor").json()
    assert (found["x"], found["y"], found["hot_x"], found["hot_y"]) == (0, 0, 1, 0)
    assert found["name"] == "left_ptr"
    shape = Image.open(io.BytesIO(base64.b64decode(found["data"])))
    assert shape.size == (found["width"], found["height"]) == (2, 3)
    assert shape.getpixel((0, 0)) == (255, 255, 255, 255)
    assert shape.getpixel((0, 1))[3] == 0
    empty = http.get(f"{box}/clipboard/picture")
    assert empty.status_code == 404
    picture = base64.b64decode(png(icon()))
    headers = {"Content-Type": "image/png"}
    assert http.put(f"{box}/clipboard/picture", content=picture, headers=headers).status_code == 204
    back = http.get(f"{box}/clipboard/picture")
    assert back.content == picture
    assert back.headers["Content-Type"] == "image/png"
    wrong = http.put(f"{box}/clipboard/picture", content=picture, headers={"Content-Type": "image/gif"})
    assert wrong.status_code == 415
    large = http.put(f"{box}/clipboard/picture", content=bytes((16 << 20) + 1), headers=headers)
    assert large.status_code == 413


def test_a_client_that_goes_away_ends_its_wait(live: Live, http: httpx.Client, box: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post(f"{box}/wait/change", json={"timeout": 60}, timeout=0.5)
    deadline = time.monotonic() + 20
    while True:
        before = live.node.calls.count("frame")
        time.sleep(0.5)
        if live.node.calls.count("frame") == before:
            break
        assert time.monotonic() < deadline, "it is still waiting"


def test_a_sandbox_that_is_gone(http: httpx.Client, box: str) -> None:
    calls = {"wait/stable": {}, "wait/change": {}, "wait/window": {"title": "x"}, "wait/text": {"text": "x"}}
    calls |= {"changes": {}, "find-picture": {"picture": png(icon())}, "read-text": {}, "marks": {"boxes": []}}
    http.delete(box)
    for call, body in calls.items():
        assert http.post(f"{box}/{call}", json=body).status_code == 409, call
        assert http.post(f"/v1/sandboxes/nobody/{call}", json=body).status_code == 404, call


def written(*lines: tuple[str, int, int]) -> np.ndarray:
    image = Image.new("RGB", (1280, 800), (230, 230, 230))
    for text, x, y in lines:
        ImageDraw.Draw(image).text((x, y), text, fill=(0, 0, 0), font=ImageFont.load_default(20))
    made = grey()
    made[..., :3] = np.asarray(image)[:, :, ::-1]
    return made


@pytest.mark.skipif(not shutil.which("tesseract"), reason="needs tesseract")
def test_text_is_read_waited_for_and_numbered(live: Live, http: httpx.Client, box: str) -> None:
    fake = the_box(live, box)
    fake.frame = written(("Invoice number 4711", 100, 100), ("Cancel", 700, 500))
    found = http.post(f"{box}/read-text", json={}).json()
    assert found["text"].splitlines() == ["Invoice number 4711", "Cancel"]
    word = next(word for word in found["words"] if word["text"] == "Cancel")
    x, y, width, height = word["box"]
    assert 690 <= x <= 710
    assert 490 <= y <= 525
    assert 40 <= width <= 90
    assert 8 <= height <= 30
    assert word["confidence"] > 50
    part = http.post(f"{box}/read-text", json={"region": [600, 450, 300, 150]}).json()
    assert part["text"] == "Cancel"
    assert abs(part["words"][0]["box"][0] - x) <= 3
    there = http.post(f"{box}/wait/text", json={"text": "invoice   NUMBER"}).json()["matches"]
    assert [match["text"] for match in there] == ["Invoice number"]
    with later(0.5, fake, written(("Invoice number 4711", 100, 100), ("Saved", 700, 500))):
        saved = http.post(f"{box}/wait/text", json={"text": "saved", "timeout": 30}).json()
    assert len(saved["matches"]) == 1
    gone = http.post(f"{box}/wait/text", json={"text": "cancel", "gone": True}).json()
    assert gone["matches"] == []
    answer = http.post(f"{box}/wait/text", json={"text": "Welcome", "timeout": 0})
    assert answer.status_code == 504
    assert "Invoice number 4711" in answer.json()["evidence"]["text"]
    marked = http.post(f"{box}/marks", json={"text": True}).json()["marks"]
    assert [mark["label"] for mark in marked] == ["Invoice number 4711", "Saved"]
    unknown = http.post(f"{box}/read-text", json={"language": "xyz"})
    assert unknown.status_code == 500
    assert "tesseract-ocr-xyz" in unknown.json()["hint"]
    assert http.post(f"{box}/read-text", json={"language": "../../x"}).status_code == 422
