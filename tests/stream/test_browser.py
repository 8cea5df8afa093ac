"""The whole of it: a real microVM, the real server and media process, and Chromium as the person's browser."""

from __future__ import annotations

import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import Browser
from websockets.sync.client import connect

from desktop_sandbox import ControlHeldError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually
from tests.stream.browser import CHROMIUM, Viewer, differs, launch

pytestmark = [pytest.mark.machine, pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")]


@pytest.fixture
def page(browser: Browser, sandbox: Sandbox) -> Iterator[Viewer]:
    """A person's page on a desktop, live."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 860}, permissions=["clipboard-read", "clipboard-write"]
    )
    viewer = Viewer.open(context, sandbox.stream.get_url(name="Ada"))
    viewer.wait_state("live")
    yield viewer
    assert viewer.errors == []
    context.close()


def screen(sandbox: Sandbox) -> Image.Image:
    return Image.open(io.BytesIO(sandbox.screenshot(cursor=False))).convert("RGB")


def read(sandbox: Sandbox, path: str) -> str:
    return sandbox.commands.run(f"cat {path} 2>/dev/null || true").stdout


def terminal(sandbox: Sandbox, script: str, page: Viewer) -> None:
    """A terminal in front that runs a script and says when it does."""
    flag = "/tmp/ready"
    sandbox.commands.run(f"rm -f {flag}")
    titled = ["-T", "of the test"]  # the template has a terminal of its own, which has the keyboard until then
    sandbox.launch(["xterm", *titled, "-geometry", "100x30+100+100", "-e", "sh", "-c", f"touch {flag}; {script}"])
    page.until(lambda: sandbox.commands.run(f"test -e {flag}", check=False).exit_code == 0, "the terminal")
    active = lambda: any(w.active and w.title == "of the test" for w in sandbox.windows())  # noqa: E731
    page.until(active, "the terminal in front")


def test_the_page_shows_the_desktops_pixels(page: Viewer, sandbox: Sandbox) -> None:
    page.until(lambda: differs(page.picture(), screen(sandbox)) < 2.0, "the desktop's picture")
    before = screen(sandbox)
    sandbox.launch(["xterm", "-bg", "red", "-geometry", "90x30+200+150"])
    page.until(lambda: differs(screen(sandbox), before) > 10, "a change on the desktop")
    page.until(lambda: differs(page.picture(), screen(sandbox)) < 2.0, "the change in the page")
    assert sandbox.control.get().viewers == 1


def test_the_pointer_moves_and_clicks_where_it_should(page: Viewer, sandbox: Sandbox) -> None:
    # the terminal answers the last question once it has understood what came before it
    script = "stty raw -echo; printf '\\033[?1006h\\033[?1000h\\033[6n'; exec cat > /tmp/mouse"
    terminal(sandbox, script, page)
    page.until(lambda: read(sandbox, "/tmp/mouse").endswith("R"), "a terminal that reports the mouse")
    page.take_control()
    page.page.mouse.move(*page.place(333, 222))
    page.until(lambda: sandbox.get_cursor_position() == (333, 222), "the pointer")
    page.page.mouse.move(*page.place(0, 0))
    page.until(lambda: sandbox.get_cursor_position() == (0, 0), "the pointer in the corner")
    page.click(300, 300)
    page.until(lambda: "\x1b[<0;" in read(sandbox, "/tmp/mouse"), "a click")
    page.page.mouse.move(*page.place(310, 310))
    page.page.mouse.wheel(0, 100)
    page.until(lambda: "\x1b[<65;" in read(sandbox, "/tmp/mouse"), "the wheel")
    page.click(320, 320, button="right")
    page.until(lambda: "\x1b[<2;" in read(sandbox, "/tmp/mouse"), "the right button")


def test_what_is_typed_arrives_letter_by_letter(page: Viewer, sandbox: Sandbox) -> None:
    terminal(sandbox, "cat > /tmp/typed", page)
    page.take_control()
    text = "Hello, World! /?-_ héllo ß 世界 🙂"
    page.page.keyboard.type(text)
    page.page.keyboard.press("Enter")
    page.until(lambda: read(sandbox, "/tmp/typed") == text + "\n", "the text", 30)
    page.page.keyboard.type("gone")
    page.page.keyboard.press("Control+u")
    page.page.keyboard.type("stays")
    page.page.keyboard.press("Enter")
    page.until(lambda: read(sandbox, "/tmp/typed").splitlines()[-1] == "stays", "Control+U")


def test_text_is_pasted_in_order_and_copied_back(page: Viewer, sandbox: Sandbox, server: RealServer) -> None:
    # raw, since a terminal fetches what is pasted beside its keys: an Enter right behind would come first
    terminal(sandbox, "stty raw -echo; exec cat > /tmp/pasted", page)
    page.take_control()
    pasted = ""
    for number in range(3):  # never one behind
        text = f"paste {number} é世;"
        page.page.evaluate("(text) => navigator.clipboard.writeText(text)", text)
        page.page.keyboard.press("Shift+Insert")
        pasted += text
        # the terminal may give it away piece by piece
        page.until(lambda: len(read(sandbox, "/tmp/pasted")) >= len(pasted), f"paste {number}")  # noqa: B023
        assert read(sandbox, "/tmp/pasted") == pasted
        assert sandbox.clipboard.get() == text
    with pytest.raises(ControlHeldError):  # the agent could come between a person's text and its key
        sandbox.clipboard.set("by the agent")
    link = sandbox.stream.create_token()
    where = f"{server.url}/v1/sandboxes/{sandbox.sandbox_id}/clipboard"
    holder = {"Authorization": f"Bearer {link.token}"}
    assert httpx.put(where, json={"text": "copied in the desktop 世界"}, headers=holder).status_code == 204
    page.until(
        lambda: page.page.evaluate("navigator.clipboard.readText()") == "copied in the desktop 世界", "the copied text"
    )


def test_a_file_is_uploaded_with_a_name_of_its_own(page: Viewer, sandbox: Sandbox, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    (tmp_path / "päper 世.bin").write_bytes(data)
    page.take_control()
    with page.page.expect_file_chooser() as chooser:
        page.press_button("Upload files")
    chooser.value.set_files(tmp_path / "päper 世.bin")
    path = "/home/user/Downloads/päper 世.bin"
    page.until(lambda: sandbox.files.exists(path), "the file", 30)
    assert sandbox.files.read(path, "bytes") == data


def test_control_is_taken_from_a_working_agent_and_given_back(page: Viewer, sandbox: Sandbox) -> None:
    stop = threading.Event()
    story: list[str] = []

    def work() -> None:
        with Sandbox.connect(sandbox.sandbox_id) as agent:
            place = 0
            while not stop.is_set():
                place = (place + 7) % 500
                try:
                    agent.move_mouse(place, place)
                    now = "acts"
                except ControlHeldError as error:
                    now = f"waits for {error.evidence['name']}"
                if story[-1:] != [now]:
                    story.append(now)
            agent._released = True  # the sandbox is the test's, and goes on

    agent = threading.Thread(target=work)
    agent.start()
    try:
        page.until(lambda: story == ["acts"], "the agent")
        page.take_control()
        page.until(lambda: story == ["acts", "waits for Ada"], "the agent waits")
        page.page.mouse.move(*page.place(600, 400))
        page.until(lambda: sandbox.get_cursor_position() == (600, 400), "the pointer")
        assert sandbox.control.get().name == "Ada"
        page.give_back()
        page.until(lambda: story == ["acts", "waits for Ada", "acts"], "the agent goes on")
    finally:
        stop.set()
        agent.join()
    events = [event["data"] for event in sandbox.why()["events"] if event["kind"] == "control"]
    assert [(event["from"], event["to"]) for event in events] == [("agent", "viewer Ada"), ("viewer Ada", "agent")]


def test_a_waiting_agent_acts_when_the_control_is_back(page: Viewer, sandbox: Sandbox) -> None:
    page.take_control()
    done: list[float] = []

    def act() -> None:
        sandbox.act([{"type": "move", "x": 11, "y": 12}], wait_for_control=60)
        done.append(time.monotonic())

    waiting = threading.Thread(target=act)
    waiting.start()
    page.page.wait_for_timeout(300)
    assert not done
    page.give_back()
    waiting.join(20)
    assert done


def test_two_people_and_one_who_only_watches(browser: Browser, page: Viewer, sandbox: Sandbox) -> None:
    terminal(sandbox, "cat > /tmp/two", page)
    bob = Viewer.open(browser, sandbox.stream.get_url(name="Bob"))
    eve = Viewer.open(browser, sandbox.stream.get_url(name="Eve", view_only=True))
    for viewer in (bob, eve):
        viewer.wait_state("live")
    assert sandbox.control.get().viewers == 3
    page.take_control()
    bob.until(lambda: "Ada drives" in bob.page.inner_text("#lease"), "Ada's name")
    eve.until(lambda: "Ada drives" in eve.page.inner_text("#lease"), "Ada's name")
    assert eve.page.locator("#lease button").count() == 0
    bob.press_button("Take over")
    page.until(lambda: "Bob drives" in page.page.inner_text("#lease"), "Bob's name")
    page.page.keyboard.type("from Ada")
    bob.page.keyboard.type("from Bob")
    bob.page.keyboard.press("Enter")
    bob.until(lambda: read(sandbox, "/tmp/two") == "from Bob\n", "only Bob's text")
    for viewer in (bob, eve):
        assert viewer.errors == []
        viewer.page.close()
    page.until(lambda: sandbox.control.get().viewers == 1, "the others have left")


def test_input_with_a_watching_token_is_refused_by_the_server(
    page: Viewer, sandbox: Sandbox, server: RealServer
) -> None:
    """No page of ours: somebody who speaks the protocol, with a token to watch."""
    terminal(sandbox, "cat > /tmp/refused", page)
    token = sandbox.stream.create_token(view_only=True).token
    address = f"{server.url.replace('http', 'ws')}/v1/sandboxes/{sandbox.sandbox_id}/stream/ws"
    with connect(address, proxy=None, max_size=None) as link:
        link.send(json.dumps({"t": "auth", "token": token, "codecs": ["jpeg"]}))
        messages = iter(lambda: link.recv(20), None)
        hello = next(json.loads(one) for one in messages if isinstance(one, str))
        assert (hello["t"], hello["rights"]) == ("hello", "view")
        for wish in (
            {"t": "lease", "want": "take"},
            {"t": "key", "down": True, "code": "KeyX", "keysym": 0x78},
            {"t": "key", "down": False, "code": "KeyX", "keysym": 0x78},
            {"t": "text", "text": "refused"},
            {"t": "key", "down": True, "code": "Enter", "keysym": 0xFF0D},
        ):
            link.send(json.dumps(wish))
        error = next(found for found in map(_parsed, messages) if found.get("t") == "error")
        assert "watch" in error["message"] or "view" in error["message"], error
    assert sandbox.control.get().holder == "agent"
    assert read(sandbox, "/tmp/refused") == ""


def _parsed(message: str | bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(message) if isinstance(message, str) else {}
    return found


def test_where_udp_does_not_pass_the_page_falls_back(browser: Browser, sandbox: Sandbox) -> None:
    policy = "webrtc-ip-handling-policy=disable_non_proxied_udp"
    blocked = launch(browser.browser_type, f"--{policy}", f"--force-{policy}")
    viewer = Viewer.open(blocked, sandbox.stream.get_url())
    viewer.wait_state("fallback")
    viewer.until(lambda: differs(viewer.picture(), screen(sandbox)) < 3.0, "the desktop's picture")
    viewer.take_control()
    viewer.page.mouse.move(*viewer.place(123, 77))
    viewer.until(lambda: sandbox.get_cursor_position() == (123, 77), "the pointer")
    assert viewer.errors == []
    blocked.close()


def test_a_killed_media_process_is_only_a_moment(page: Viewer, sandbox: Sandbox, server: RealServer) -> None:
    page.take_control()
    os.kill(media_process(server), 9)
    page.until(lambda: page.state != "live", "the page notices")
    assert sandbox.commands.run("echo on").stdout == "on\n"
    page.wait_state("live", timeout_s=30)
    page.until(lambda: differs(page.picture(), screen(sandbox)) < 2.0, "the desktop's picture")
    page.until(lambda: sandbox.control.get().holder in ("viewer", "agent"), "somebody drives")


def test_a_restarted_server_is_only_a_moment(browser: Browser, own_server: RealServer) -> None:
    own_server.start()
    with Sandbox.create("minimal", **own_server.client()) as sandbox:
        viewer = Viewer.open(browser, sandbox.stream.get_url())
        viewer.wait_state("live")
        own_server.kill()
        viewer.until(lambda: viewer.state != "live", "the page notices")
        own_server.start()
        viewer.wait_state("live", timeout_s=45)
        viewer.until(lambda: differs(viewer.picture(), screen(sandbox)) < 2.0, "the desktop's picture")
        assert viewer.errors == []
        viewer.page.close()


def media_process(server: RealServer) -> int:
    """The media process of a server."""
    assert server.process is not None
    todo = [server.process.pid]
    while todo:
        pid = todo.pop()
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            todo += [int(child) for child in task.read_text().split()]
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[1:3] == [b"-m", b"streamer"]:
            return pid
    raise AssertionError("there is no media process")


def test_the_desktop_takes_the_windows_size(page: Viewer, sandbox: Sandbox) -> None:
    page.take_control()
    page.page.get_by_role("radio", name="Resize").click()
    page.until(lambda: sandbox.get_screen_size() != (1280, 800), "another size")
    page.until(lambda: page.picture().size == sandbox.get_screen_size(), "the picture's size")
    page.until(lambda: differs(page.picture(), screen(sandbox)) < 2.0, "the desktop's picture")
    page.page.mouse.move(*page.place(50, 60))
    page.until(lambda: sandbox.get_cursor_position() == (50, 60), "the pointer at the new size")


def test_a_revoked_link_and_an_ended_desktop_are_told(
    browser: Browser, make_sandbox: Callable[..., Sandbox], server: RealServer
) -> None:
    sandbox = make_sandbox("minimal")
    token = sandbox.stream.create_token()
    cut = Viewer.open(browser, token.url)
    stays = Viewer.open(browser, sandbox.stream.get_url())
    for viewer in (cut, stays):
        viewer.wait_state("live")
    sandbox.stream.revoke(token)
    cut.wait_state("ended")
    assert stays.state == "live"
    sandbox.kill()
    stays.wait_state("ended")
    for viewer in (cut, stays):
        viewer.page.close()


def test_a_recording_plays_in_the_browser(browser: Browser, sandbox: Sandbox, server: RealServer) -> None:
    sandbox.recordings.start()
    for number in range(3):
        sandbox.launch(["xterm", "-geometry", f"60x20+{100 + number * 90}+{100 + number * 40}", "-bg", "blue"])
    eventually(lambda: screen(sandbox).getpixel((450, 320)) == (0, 0, 255))
    sandbox.screenshot(stable_ms=500)
    done = sandbox.recordings.stop()
    assert done.state == "done"
    assert done.frames
    assert done.frames > 2
    assert done.duration_ms
    assert 500 < done.duration_ms < 60_000
    data = sandbox.recordings.read(done)
    assert len(data) == done.size_bytes
    part = httpx.get(
        f"{server.url}/v1/sandboxes/{sandbox.sandbox_id}/recording",
        headers={"Authorization": f"Bearer {server.key}", "Range": "bytes=4-7"},
    )
    assert (part.status_code, part.content) == (206, b"ftyp")
    page = browser.new_page()
    page.route(
        "https://player.test/", lambda route: route.fulfill(body="<video muted></video>", content_type="text/html")
    )
    page.route("https://player.test/a.mp4", lambda route: route.fulfill(body=data, content_type="video/mp4"))
    page.goto("https://player.test/")
    facts = page.evaluate("""async () => {
      const video = document.querySelector('video');
      video.src = URL.createObjectURL(await (await fetch('a.mp4')).blob());  // a blob can be sought in
      await new Promise((ok, bad) => { video.onloadeddata = ok; video.onerror = () => bad(video.error.message); });
      video.currentTime = video.duration - 0.1;
      await new Promise((ok) => { video.onseeked = ok; });
      const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
      canvas.getContext('2d').drawImage(video, 0, 0);
      const pixel = canvas.getContext('2d').getImageData(450, 320, 1, 1).data;
      return {width: video.videoWidth, height: video.videoHeight, seconds: video.duration, pixel: [...pixel]};
    }""")
    assert (facts["width"], facts["height"]) == (1280, 800)
    assert abs(facts["seconds"] * 1000 - done.duration_ms) < 1000
    red, green, blue, _ = facts["pixel"]
    assert blue > 150, facts
    assert max(red, green) < 100, facts
    page.close()
