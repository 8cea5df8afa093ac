"""What a snapshot showed, read out of its files: the very pixels of the screen, whatever was done since."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from PIL import Image

from desktop_sandbox import Host, MachineError, Sandbox
from tests.conftest import RealServer

pytestmark = pytest.mark.machine


def differ(one: bytes, other: bytes) -> float:
    """Mean difference of two pictures of one size, 0 to 255."""
    first, second = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16) for data in (one, other))
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def test_a_thumbnail_shows_what_was_there(sandbox: Sandbox) -> None:
    sandbox.move_mouse(300, 300)
    sandbox.set_screen_size(1024, 768)
    sandbox.screenshot(stable_ms=300)
    plain = sandbox.checkpoint()
    before = sandbox.screenshot("png")
    sandbox.commands.run("DISPLAY=:0 xsetroot -solid red")
    sandbox.set_screen_size(800, 600)
    sandbox.screenshot(stable_ms=300)
    red = sandbox.checkpoint()
    after = sandbox.screenshot("png")
    sandbox.kill()
    with Host.connect() as host:
        # a JPEG of it, so not to the bit; the sandbox itself is gone
        assert differ(host.thumbnail(plain, 2000), before) < 2
        assert differ(host.thumbnail(red, 2000), after) < 2
        assert Image.open(io.BytesIO(host.thumbnail(red))).size == (320, 240)
        small = cv2.imdecode(np.frombuffer(host.thumbnail(red), np.uint8), cv2.IMREAD_COLOR)
        assert small[-20, 10].tolist() == pytest.approx([0, 0, 255], abs=30)
        for snapshot in (red, plain):
            host.delete_snapshot(snapshot)


def test_a_lying_manifest_shows_nothing(make_sandbox: Callable[..., Sandbox], server: RealServer) -> None:
    sandbox = make_sandbox()
    saved = sandbox.checkpoint()
    manifest = server.home / "snapshots" / saved.snapshot_id / "manifest.json"
    text = manifest.read_text()
    with Host.connect() as host:
        try:
            import json

            data = json.loads(text)
            del data["digest"]
            data["display"]["framebuffer"]["runs"][0][0] = 1 << 50
            manifest.write_text(json.dumps(data))
            with pytest.raises(Exception, match="outside its"):
                host.thumbnail(saved)
            manifest.write_text("{}")
            with pytest.raises(MachineError, match="manifest"):
                host.thumbnail(saved)
        finally:
            manifest.write_text(text)
        assert host.thumbnail(saved).startswith(b"\xff\xd8")
        sandbox.kill()
        host.delete_snapshot(saved)
