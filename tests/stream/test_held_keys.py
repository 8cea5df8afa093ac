"""A key that a person holds while the server dies, or while the desktop is copied: a real microVM and its X server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from desktop_sandbox import ActionFailedError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually

pytestmark = pytest.mark.machine

LOOK = (
    "from Xlib.display import Display\n"
    "display = Display()\n"
    "bits = display.query_keymap()\n"
    "down = [8 * place + bit for place, byte in enumerate(bits) for bit in range(8) if byte >> bit & 1]\n"
    "print(sorted(display.keycode_to_keysym(keycode, 0) for keycode in down))\n"
)
A, F9 = 0x61, 0xFFC6
TEXT = "How far it came is known. " * 300


def down(sandbox: Sandbox) -> list[int]:
    """The keys that are down in a desktop, as keysyms."""
    sandbox.files.write("/tmp/look.py", LOOK)
    found: list[int] = json.loads(
        sandbox.commands.run("PYTHONPATH=/opt/desktop-sandbox/site python3 /tmp/look.py").stdout
    )
    return found


@contextmanager
def person_at(sandbox: Sandbox, server: RealServer) -> Iterator[ClientConnection]:
    """Somebody who drives, over a WebSocket, and says that they are there."""
    token = sandbox.stream.create_token().token
    gone = threading.Event()
    with connect(f"{server.url.replace('http', 'ws')}/v1/sandboxes/{sandbox.sandbox_id}/stream/ws", proxy=None) as link:

        def say(**message: object) -> None:
            link.send(json.dumps(message))

        def stay() -> None:
            while not gone.wait(0.2):
                try:
                    say(t="alive")
                except ConnectionClosed:
                    return

        say(t="auth", token=token, codecs=["jpeg"])
        say(t="lease", want="take")
        for said in link:
            if isinstance(said, str) and '"holder":"you"' in said:
                break
        threading.Thread(target=stay, daemon=True).start()
        try:
            yield link
        finally:
            gone.set()


def test_no_key_of_a_person_stays_down_where_nobody_can_let_go_of_it(own_server: RealServer) -> None:
    own_server.start()
    with Sandbox.create("minimal", **own_server.client()) as sandbox:
        with person_at(sandbox, own_server) as link:
            sandbox.control.take()
            sandbox.key_down("F9")
            link.send(json.dumps({"t": "lease", "want": "take"}))
            link.send(json.dumps({"t": "key", "down": True, "code": "KeyA", "keysym": A}))
            eventually(lambda: down(sandbox) == [A, F9])
            (child,) = sandbox.fork()
            with child:
                eventually(lambda: down(child) == [F9])  # what the agent holds stays down
            assert down(sandbox) == [A, F9]
            own_server.kill()
        own_server.start()
        eventually(lambda: down(sandbox) == [F9])


def test_a_person_breaks_off_what_the_agent_types_and_it_hears_how_far_it_came(
    sandbox: Sandbox, server: RealServer
) -> None:
    there = (290, 290, 20, 20)
    sandbox.move_mouse(1, 1)
    before = sandbox.screenshot("raw", region=there)
    with ThreadPoolExecutor(1) as threads:
        typing = threads.submit(sandbox.act, [{"type": "click", "x": 300, "y": 300}, {"type": "type", "text": TEXT}])
        eventually(lambda: sandbox.screenshot("raw", region=there) != before)  # the pointer is there: it has begun
        with person_at(sandbox, server), pytest.raises(ActionFailedError, match="took control") as caught:
            typing.result(20)
    told = caught.value.evidence
    assert (told["code"], told["index"], len(told["results"]), told["holder"]) == ("control-held", 1, 1, "viewer")
    assert 0 < told["partial"]["typed"] < len(TEXT)
    assert down(sandbox) == []
