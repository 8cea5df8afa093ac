from __future__ import annotations

import asyncio
import contextlib
import inspect
import io
import socket
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import desktop_sandbox
from actions import model
from desktop_sandbox import AsyncHost, AsyncSandbox, Host, Sandbox, errors
from desktop_sandbox.node.facts import SandboxState
from desktop_sandbox.sdk.models import BuildStep, CommandExit, CommandOutput
from tests.fake_base import FakeSandbox
from tests.fake_screen import PNG
from tests.live_server import Live


def fake(live: Live, desktop: Sandbox | AsyncSandbox) -> FakeSandbox:
    return live.node.sandboxes[desktop.sandbox_id]


def test_the_designs_example_works(live: Live) -> None:
    with Sandbox.create("desktop", resolution=(1280, 800), timeout=300, metadata={"a": "b"}) as desktop:
        desktop.open("https://example.org")
        desktop.launch("xterm")
        desktop.left_click(400, 300)
        desktop.double_click()
        desktop.right_click()
        desktop.middle_click()
        desktop.triple_click()
        desktop.move_mouse(10, 20)
        desktop.mouse_press("left")
        desktop.mouse_release("left")
        desktop.drag((0, 0), (50, 50))
        desktop.scroll("down", 3, x=400, y=300)
        desktop.write("héllo 世界 🙂")
        desktop.press(["ctrl", "s"])
        desktop.press("ctrl+shift+t", repeat=2)
        desktop.hold("shift", 10)
        desktop.key_down("alt")
        desktop.key_up("alt")
        desktop.wait(1)
        assert desktop.screenshot() == PNG == desktop.screenshot("bytes")
        assert b"".join(desktop.screenshot("stream")) == PNG
        raw = desktop.capture("raw", region=(0, 0, 64, 32), scale=0.5, stable_ms=5, cursor=False, quality=7)
        assert (raw.width, raw.height, len(raw.data), raw.stable) == (32, 16, 32 * 16 * 3, True)
        assert desktop.get_screen_size() == (1280, 800)
        assert desktop.set_screen_size(800, 600).resolution == (800, 600)
        assert desktop.get_current_window_id() is not None
        (xterm,) = desktop.get_application_windows("XTERM")
        assert desktop.get_window_title(xterm) == "xterm"
        with pytest.raises(errors.NotFoundError, match="no window 7"):
            desktop.get_window_title("7")
        result = desktop.act(
            [{"type": "click", "x": 4, "y": 5}, {"type": "type", "text": "hi"}, {"type": "screenshot"}], screenshot=True
        )
        assert result.results[1] == {"typed": 2}
        assert result.screenshots[2].data == PNG
        assert result.screenshot is not None
        assert result.screenshot.stable is True
        assert desktop.get_cursor_position() == (4, 5)
        assert desktop.commands.run("echo hi", timeout=30).stdout == "hi\n"
        desktop.files.write("/tmp/a", b"bytes")
        assert desktop.files.read("/tmp/a") == "bytes"
        assert desktop.set_timeout(600).expires_at > desktop.get_info().created_at  # type: ignore[operator]
        assert desktop.set_timeout(None).expires_at is None
        assert desktop.why()["serial"] == "login:"
        acted = fake(live, desktop).acted
        assert acted[0] == model.Click(x=400, y=300)
        assert acted[4] == model.Click(count=3)
        assert model.Scroll(x=400, y=300, dy=3) in acted
        assert model.Type(text="héllo 世界 🙂") in acted
        assert model.Key(keys=("ctrl", "shift", "t"), repeat=2) in acted
    assert fake(live, desktop).info.state is SandboxState.DEAD
    with pytest.raises(errors.ConflictError, match="closed"):
        desktop.get_info()


async def test_the_asynchronous_one_does_the_same(live: Live) -> None:
    async with await AsyncSandbox.create(metadata={"x": "y"}) as desktop:
        await desktop.left_click(0, 0)
        assert await desktop.get_cursor_position() == (0, 0)
        chunks = [chunk async for chunk in await desktop.screenshot("stream")]
        assert b"".join(chunks) == PNG
        shots = await asyncio.gather(*(desktop.screenshot() for _ in range(20)))
        assert set(shots) == {PNG}
        again = await AsyncSandbox.connect(desktop.sandbox_id)
        assert (await again.get_info()).metadata == {"x": "y"}
        await again.aclose()
        page = await AsyncSandbox.list(metadata={"x": "y"})
        assert [info.sandbox_id for info in page.sandboxes] == [desktop.sandbox_id]
        seen: list[str] = []

        async def later(text: str) -> None:
            await asyncio.sleep(0)
            seen.append(text)

        assert (await desktop.commands.run("echo hi", on_stdout=later)).stdout == "hi\n"
        assert seen == ["hi\n"]

        async def pieces() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        assert (await desktop.files.write("/tmp/x", pieces())).size_bytes == 2
        await desktop.files.write("/tmp/x", io.BytesIO(b"file"))
        assert await desktop.files.read("/tmp/x", "bytes") == b"file"
    async with await AsyncHost.connect() as host:
        steps = [step async for step in host.build_template("minimal")]
        assert steps[0] == BuildStep("packages", 0.25, "packages of minimal")


def test_both_have_the_same_methods() -> None:
    for one, other in ((AsyncSandbox, Sandbox), (AsyncHost, Host)):
        names = {n.replace("aclose", "close") for n in dir(one) if not n.startswith("_")}
        assert names == {n for n in dir(other) if not n.startswith("_")}
        for name in names - {"close", "sandbox_id"}:
            mine = inspect.signature(getattr(other, name)).parameters
            assert list(inspect.signature(getattr(one, name)).parameters) == list(mine)
            assert getattr(other, name).__doc__


def test_edges_of_the_screen_are_places(live: Live) -> None:
    with Sandbox.create() as desktop:
        desktop.left_click(0, 0)
        desktop.left_click(1279, 799)
        assert fake(live, desktop).acted == [model.Click(x=0, y=0), model.Click(x=1279, y=799)]
        for bad in ((1280, 0), (0, 800)):
            with pytest.raises(errors.InvalidActionError) as caught:
                desktop.left_click(*bad)
            assert caught.value.hint
        with pytest.raises(errors.InvalidActionError, match="both coordinates"):
            desktop.left_click(3)
        with pytest.raises(errors.InvalidActionError, match="cannot scroll"):
            desktop.scroll("sideways")  # type: ignore[arg-type]
        with pytest.raises(errors.InvalidActionError):
            desktop.press("contrl")
        assert len(fake(live, desktop).acted) == 2


def test_a_halted_batch_says_what_was_done(live: Live) -> None:
    with Sandbox.create() as desktop:
        with pytest.raises(errors.ActionFailedError) as caught:
            desktop.act([{"type": "screenshot"}, {"type": "type", "text": "unmappable"}], screenshot=True)
        evidence = caught.value.evidence
        assert evidence["index"] == 1
        assert evidence["results"] == [{}]
        assert evidence["screenshots"][0].data == PNG  # type: ignore[index]
        assert evidence["screenshot"].data == PNG  # type: ignore[attr-defined]


def test_commands(live: Live) -> None:
    with Sandbox.create() as desktop:
        run = desktop.commands.run
        with pytest.raises(errors.CommandFailedError) as caught:
            run("false")
        assert caught.value.evidence == {"stdout": "", "stderr": "no\n", "exit_code": 1}
        assert run("false", check=False).exit_code == 1
        assert run(["cat"], stdin=b"\xc3\xa4").stdout == "ä"
        out: list[str] = []
        err: list[str] = []
        assert run("split", on_stdout=out.append).stdout == "ä€🙂" == "".join(out)
        with pytest.raises(errors.CommandFailedError):
            run("false", on_stderr=err.append)
        assert err == ["no\n"]
        with pytest.raises(errors.GuestError, match="16 MiB"):
            run("flood 600")
        assert (
            sum(len(e.data) for e in desktop.commands.stream("flood 600") if isinstance(e, CommandOutput))
            == 600 * 32768
        )
        with pytest.raises(errors.ChannelError):
            list(desktop.commands.stream("break"))
        events = list(desktop.commands.stream("echo x"))
        assert events == [CommandOutput("stdout", b"x\n"), CommandExit(0, None, False)]
        ended = live.node.commands_ended
        ticking = desktop.commands.stream("tick")
        assert next(ticking) == CommandOutput("stdout", b"tick\n")
        ticking.close()  # type: ignore[attr-defined]
        deadline = time.monotonic() + 5
        while live.node.commands_ended == ended:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_files(live: Live) -> None:
    with Sandbox.create() as desktop:
        files = desktop.files
        big = bytes(range(256)) * 40_000
        assert files.write("/tmp/big", io.BytesIO(big), mode=0o600).size_bytes == len(big)
        assert b"".join(files.read("/tmp/big", "stream")) == big
        assert files.write("/tmp/parts", (bytes([n]) for n in range(5))).size_bytes == 5
        files.write("/tmp/text", "ü")
        assert files.read("/tmp/text") == "ü"
        with pytest.raises(errors.InvalidRequestError, match="not UTF-8"):
            files.read("/tmp/big")
        assert [info.name for info in files.list("/tmp")] == ["big", "parts", "text"]
        assert files.exists("/tmp/text")
        assert not files.exists("/tmp/none")
        files.rename("/tmp/text", "/tmp/moved")
        files.remove("/tmp/moved")
        assert files.make_dir("/tmp/d").type == "directory"
        with pytest.raises(errors.NotFoundError):
            files.get_info("/tmp/moved")
        with pytest.raises(errors.NotFoundError):
            files.read("/tmp/moved", "bytes")


def test_lists_and_connecting(live: Live) -> None:
    made = [Sandbox.create(metadata={"n": str(n)}, timeout=None) for n in range(3)]
    first = Sandbox.list(limit=2)
    rest = Sandbox.list(limit=2, cursor=first.cursor)
    assert [i.sandbox_id for i in [*first.sandboxes, *rest.sandboxes]] == [d.sandbox_id for d in reversed(made)]
    assert rest.cursor is None
    assert [i.metadata for i in Sandbox.list(metadata={"n": "1"}, state=["running"], template="desktop").sandboxes] == [
        {"n": "1"}
    ]
    with Sandbox.connect(made[0].sandbox_id) as desktop:
        assert desktop.get_info().metadata == {"n": "0"}
    with pytest.raises(errors.NotFoundError):
        Sandbox.connect("nobody")
    with pytest.raises(errors.NotFoundError):
        Sandbox.create("nothing")
    for desktop in made[1:]:
        desktop.kill()


def test_a_block_that_fails_still_ends_the_sandbox_and_keeps_its_error(live: Live) -> None:
    with pytest.raises(ZeroDivisionError), Sandbox.create() as desktop:  # noqa: PT012
        live.node.fail["kill"] = errors.MachineError("will not die")
        raise ZeroDivisionError
    del live.node.fail["kill"]
    with pytest.raises(errors.MachineError), Sandbox.create():
        live.node.fail["kill"] = errors.MachineError("will not die")
    del live.node.fail["kill"]
    with Sandbox.create() as desktop:
        desktop.kill()


def test_connections_are_reused(live: Live) -> None:
    with Sandbox.create() as desktop, Sandbox.connect(desktop.sandbox_id) as other:
        assert desktop._connection is other._connection
        for _ in range(10):
            desktop.get_info()
        assert len(desktop._connection._http._transport._idle) == 1  # type: ignore[attr-defined]
        other.close()
    assert desktop._connection._closed


class Cutter:
    """A proxy that passes a request on, and then cuts the connection instead of the first `cuts` answers."""

    def __init__(self, url: str, cuts: int) -> None:
        self.port = int(url.rsplit(":", 1)[1])
        self.cuts = cuts
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                link, _ = self.server.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link: socket.socket) -> None:
        asked = bytearray()
        with link, socket.create_connection(("127.0.0.1", self.port)) as up:

            def pump() -> None:
                with contextlib.suppress(OSError):
                    while data := link.recv(65536):
                        asked.extend(data)
                        up.sendall(data)

            threading.Thread(target=pump, daemon=True).start()
            while answer := up.recv(1 << 20):
                if self.cuts > 0 and b"/actions" in asked:
                    self.cuts -= 1
                    link.shutdown(socket.SHUT_RDWR)
                    return
                link.sendall(answer)


def test_a_click_whose_answer_is_lost_is_asked_for_again_and_done_once(live: Live) -> None:
    desktop = Sandbox.create()
    cutter = Cutter(live.url, cuts=2)
    through = Sandbox.connect(desktop.sandbox_id, url=cutter.url)
    through.left_click(1, 2)
    assert cutter.cuts == 0
    assert fake(live, desktop).acted == [model.Click(x=1, y=2)]
    through.close()
    cutter.server.close()
    desktop.kill()


def test_no_server_is_a_helpful_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    started = time.monotonic()
    with pytest.raises(errors.ServerError) as caught:
        Sandbox.create(url=url, api_key="k" * 20)
    assert time.monotonic() - started < 2
    assert "make run" in (caught.value.hint or "")
    assert url in caught.value.message


def test_a_wrong_key_is_a_helpful_error(live: Live) -> None:
    with pytest.raises(errors.AuthenticationError) as caught:
        Sandbox.list(api_key="wrong" * 5)
    assert "DESKTOP_SANDBOX_API_KEY" in (caught.value.hint or "")


def test_answers_of_something_else_are_errors_of_ours() -> None:
    class Other(threading.Thread):
        def run(self) -> None:
            link, _ = server.accept()
            with link:
                link.recv(65536)
                link.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = Other(daemon=True)
        thread.start()
        with pytest.raises(errors.ServerError, match="502"):
            Sandbox.list(url=f"http://127.0.0.1:{server.getsockname()[1]}")
        thread.join(5)


def test_everything_exported_exists() -> None:
    for name in desktop_sandbox.__all__:
        assert getattr(desktop_sandbox, name) is not None
    with pytest.raises(AttributeError):
        desktop_sandbox.nothing  # noqa: B018
    assert (Path(desktop_sandbox.__file__).parent / "py.typed").exists()
