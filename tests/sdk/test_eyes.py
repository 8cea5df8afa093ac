"""The SDK's eyes, sync and async, on frames that the test paints."""

from __future__ import annotations

import io
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from desktop_sandbox import AsyncSandbox, DeadlineError, InvalidRequestError, NotFoundError, Sandbox
from desktop_sandbox.sdk.eyes import Match, Word, boxes_body
from desktop_sandbox.sdk.models import Window
from tests.api.test_eyes import grey, icon, later, moving, painted
from tests.live_server import Live


def test_waits_and_changes(live: Live) -> None:
    with Sandbox.create() as desktop:
        fake = live.node.sandboxes[desktop.sandbox_id]
        still = desktop.wait_until_stable(quiet_ms=50, screenshot=True)
        assert still.stable
        assert still.screenshot is not None
        with moving(fake):
            lively = desktop.wait_until_stable(quiet_ms=300, timeout=0.6)
            assert not lively.stable
            assert lively.moving
            with pytest.raises(DeadlineError) as caught:
                desktop.wait_until_stable(quiet_ms=300, timeout=0.6, strict=True)
            assert caught.value.evidence["moving"]
            assert desktop.wait_until_stable(quiet_ms=100, timeout=20, ignore=[(100, 100, 20, 20)]).stable
        fake.frame = grey()
        before = desktop.capture(keep=True)
        assert before.moment is not None
        with later(0.3, fake, painted((7, 8, 9, 10))):
            assert desktop.wait_for_change((0, 0, 50, 50), timeout=20).regions == [(7, 8, 9, 10)]
        assert desktop.changes(before.moment).regions == [(7, 8, 9, 10)]
        assert desktop.changes(picture=before.data, ignore=[(0, 0, 50, 50)]).changed is False
        with pytest.raises(NotFoundError, match="no moment"):
            desktop.changes("0123456789abcdef")
        result = desktop.act([{"type": "click", "x": 1, "y": 2}], changes={"reaction_ms": 0}, screenshot=True)
        assert result.changes is not None
        assert not result.changes.changed
        assert result.screenshot is not None
        assert desktop.act([{"type": "click", "x": 1, "y": 2}]).changes is None
        assert desktop.wait_for_window("files").window_class == "Thunar"  # type: ignore[union-attr]
        assert desktop.wait_for_window("Firefox", gone=True) is None
        with pytest.raises(DeadlineError, match="open windows: 'files'"):
            desktop.wait_for_window("Firefox", timeout=0)


async def test_pictures_marks_cursor_and_clipboard(live: Live) -> None:
    async with await AsyncSandbox.create() as desktop:
        fake = live.node.sandboxes[desktop.sandbox_id]
        fake.frame = grey()
        fake.frame[100:124, 200:230] = icon()
        picture = cv2.imencode(".png", icon()[..., :3])[1].tobytes()
        [match] = await desktop.find_picture(picture)
        assert (match.box, match.score, match.center) == ((200, 100, 30, 24), 1.0, (215, 112))
        assert await desktop.find_picture(like=match.box, region=(600, 0, 600, 600)) == []
        marked = await desktop.mark_elements([match, ((10, 10, 20, 20), "Save"), *await desktop.windows()])
        assert [mark.label for mark in marked.marks] == ["", "Save", "files"]
        assert marked[2].center == (20, 20)
        with pytest.raises(KeyError, match="no mark 9"):
            marked[9]
        assert Image.open(io.BytesIO(marked.screenshot.data)).size == (1280, 800)
        cursor = await desktop.get_cursor()
        assert (cursor.name, cursor.hot_spot) == ("left_ptr", (1, 0))
        assert cursor.data is not None
        assert await desktop.clipboard.get_picture() is None
        await desktop.clipboard.set_picture(picture)
        assert await desktop.clipboard.get_picture() == picture
        with pytest.raises(NotFoundError):
            await AsyncSandbox.connect("nobody")


def test_boxes_to_number_come_from_anywhere() -> None:
    window = Window("1", "Files", "Thunar", None, 1, 2, 3, 4, True)
    word = Word("Save", (5, 6, 7, 8), 90.0, 0)
    boxes = [(1, 2, 3, 4), [1, 2, 3, 4], ((1, 2, 3, 4), "x" * 300), window, word, Match((5, 6, 7, 8), 1.0, 1.0)]
    element = SimpleNamespace(name="OK", role="button", bounds=SimpleNamespace(x=5, y=6, width=7, height=8))
    elsewhere = SimpleNamespace(name="Hidden", bounds=None)
    assert (
        boxes_body([element, elsewhere, SimpleNamespace(name="OK", bounds=(5, 6, 7, 8))])
        == [{"box": [5, 6, 7, 8], "label": "OK"}] * 2
    )
    found = boxes_body(boxes)
    assert [each["box"] for each in found] == [[1, 2, 3, 4]] * 4 + [[5, 6, 7, 8]] * 2
    assert [each["label"] for each in found] == ["", "", "x" * 200, "Files", "Save", ""]
    for bad in ((1, 2, 3), "text", None, (1, 2, 3, 4.5), (True, 2, 3, 4), np.zeros(4)):
        with pytest.raises(InvalidRequestError, match="no place") as caught:
            boxes_body([bad])
        assert caught.value.hint
