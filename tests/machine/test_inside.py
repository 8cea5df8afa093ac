"""Inside a real desktop: terminals, background commands, watches, folders, ports; and what checkpoints make of them."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import sync_playwright

from desktop_sandbox import NotFoundError, Sandbox
from desktop_sandbox.sdk._sync.terminals import Terminal
from tests.machine.support import eventually

WAIT_S = 120.0


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file: none of them spoils it."""
    with Sandbox.create("minimal", timeout=1800) as sandbox:
        yield sandbox


def until(terminal: Terminal, data: bytes) -> bytes:
    """Read until `data` has come; a thread cuts the wait short."""
    timer = threading.Timer(WAIT_S, terminal.close)
    timer.start()
    seen = bytearray()
    try:
        while data not in seen:
            piece = terminal.read()
            assert piece, f"{data!r} never came, but {bytes(seen)!r}"
            seen += piece
    finally:
        timer.cancel()
    return bytes(seen)


def test_a_terminal(desk: Sandbox) -> None:
    with desk.terminals.create(rows=30, columns=100) as terminal:
        terminal.write("stty size; id -un; pwd; echo $TERM; tty\r")
        seen = until(terminal, b"/dev/pts/")
        for part in (b"30 100", b"\nuser", b"/home/user", b"xterm-256color"):
            assert part in seen
        terminal.resize(50, 132)
        terminal.write("stty size\r")
        until(terminal, b"50 132")
        terminal.write("sleep 1000\r")
        eventually(lambda: "sleep" in desk.commands.run("cat /proc/[0-9]*/comm", check=False).stdout, seconds=WAIT_S)
        terminal.write("\x03")
        terminal.write("echo after $?\r")
        until(terminal, b"after 130")
    # nobody is connected; it runs on
    with desk.terminals.connect(terminal.id) as again:
        until(again, b"after 130")
        again.write("exit 3\r")
        assert again.wait().exit_code == 3


def test_a_terminal_of_root(desk: Sandbox) -> None:
    with desk.terminals.create(user="root", cwd="/etc") as terminal:
        terminal.write("id -u; pwd\r")
        assert b"\r0\r\n" in until(terminal, b"\n/etc\r")
        terminal.kill()
        assert terminal.wait().running is False


def test_a_background_command(desk: Sandbox) -> None:
    with desk.commands.start("echo out; echo err >&2; read line; echo got $line; exit 5", stdin=True) as command:
        first = command.read()
        assert first is not None
    with desk.commands.connect(command.id) as command:
        command.send_stdin("it\n")
        result = command.wait()
    assert (result.stdout, result.stderr, result.exit_code) == ("out\ngot it\n", "err\n", 5)
    assert [(info.id, info.exit_code) for info in desk.commands.list()][-1] == (command.id, 5)


def test_large_output_of_a_background_command(desk: Sandbox) -> None:
    """More than is kept: who is connected from the beginning gets all of it."""
    with desk.commands.start("sleep 0.5; seq 400000") as command:
        result = command.wait()
    assert hashlib.sha256(result.stdout.encode()).digest() == (
        hashlib.sha256("".join(f"{n}\n" for n in range(1, 400_001)).encode()).digest()
    )


def test_watch_and_folders(desk: Sandbox, tmp_path: Path) -> None:
    desk.files.make_dir("/home/user/watched")
    changes = iter(desk.files.watch("/home/user/watched", recursive=True))
    assert next(changes).event == "ready"
    source = tmp_path / "source"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "ä").write_bytes(os.urandom(3_000_000))
    (source / "link").symlink_to("deep/ä")
    desk.files.upload_folder(source, "/home/user/watched/copy")
    seen = set()
    for change in changes:
        seen.add((change.event, change.path))
        if change.path.endswith("/ä") and change.event in ("written", "created"):
            break
    assert ("created", "/home/user/watched/copy") in seen
    assert desk.commands.run("stat -c %U watched/copy/deep/ä").stdout == "user\n"
    done = desk.files.download_folder("/home/user/watched/copy", tmp_path / "back")
    assert (done.files, done.links, done.skipped) == (1, 1, [])
    assert (tmp_path / "back" / "deep" / "ä").read_bytes() == (source / "deep" / "ä").read_bytes()
    # what would lead out of the folder stays out
    desk.commands.run("ln -s /etc/passwd watched/copy/evil; ln -s ../../../x watched/copy/up; mkfifo watched/copy/pipe")
    done = desk.files.download_folder("/home/user/watched/copy", tmp_path / "again")
    assert sorted(done.skipped) == ["./evil", "./pipe", "./up"]
    assert sorted(os.listdir(tmp_path / "again")) == ["deep", "link"]


def test_ports(desk: Sandbox) -> None:
    with desk.commands.start("python3 -m http.server 8123 --bind 127.0.0.1", cwd="/etc"):

        def fetched() -> bytes:
            try:
                with desk.ports.connect(8123) as port:
                    port.write(b"GET /hostname HTTP/1.0\r\n\r\n")
                    return b"".join(port)
            except NotFoundError:
                return b""

        answer = eventually(fetched, seconds=WAIT_S)
        assert answer.startswith(b"HTTP/1.0 200")
    with pytest.raises(NotFoundError, match="8124"):
        desk.ports.connect(8124)


def test_a_server_in_the_desktop_is_seen_in_a_browser(desk: Sandbox) -> None:
    """By its own address: at first with the token, then by the cookie, and in a frame of another site's page."""
    script = "fetch('/more.txt').then(answer => answer.text()).then(text => { document.title = text; })"
    desk.files.write(
        "/home/user/web/index.html", f"<title>not yet</title><h1>From inside</h1><script>{script}</script>"
    )
    desk.files.write("/home/user/web/more.txt", "fetched")
    there = desk.ports.get_host(8125)
    with (
        desk.commands.start("python3 -m http.server 8125", cwd="/home/user/web"),
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"]) as browser,
    ):
        page = browser.new_page()
        page.goto(there.url)  # until the server is up, a page that tries again
        page.wait_for_function("document.title == 'fetched'", timeout=WAIT_S * 1000)
        assert "token" not in page.url
        refused = browser.new_page().goto(page.url)  # a context of its own, without the cookie
        assert refused is not None
        assert refused.status == 401
        framed = browser.new_page()
        framed.goto(f"http://127.0.0.1:{urlsplit(page.url).port}/healthz")
        framed.set_content(f'<iframe src="{there.url}"></iframe>')
        eventually(lambda: [frame.title() for frame in framed.frames][1:] == ["fetched"], seconds=WAIT_S)


def test_a_terminal_survives_checkpoint_fork_rollback_and_pause(desk: Sandbox) -> None:
    with desk.terminals.create() as terminal:
        terminal.write("x=before; echo set $x\r")
        until(terminal, b"set before\r\n")
        point = desk.checkpoint()
        # it goes on, on the same connection
        terminal.write("x=after; echo now $x\r")
        until(terminal, b"now after\r\n")
        # a child has the terminal as it was at the fork
        (child,) = desk.fork()
        with child, child.terminals.connect(terminal.id) as theirs:
            theirs.write("echo child $x\r")
            until(theirs, b"child after\r\n")
        # back at the checkpoint the connection is made again by itself
        desk.rollback(point)
        terminal.write("echo again $x\r")
        until(terminal, b"again before\r\n")
    desk.pause()
    desk.resume(timeout=1800)
    with desk.terminals.connect(terminal.id) as terminal:
        terminal.write("echo resumed $x; exit\r")
        until(terminal, b"resumed before\r\n")
        assert terminal.wait().exit_code == 0


def test_connected_it_is_not_frozen(make_sandbox: object) -> None:
    desktop: Sandbox = make_sandbox("minimal", freeze_after=2)  # type: ignore[operator]
    with desktop.terminals.create() as terminal:
        terminal.write("echo here\r")
        until(terminal, b"here\r\n")
        time.sleep(6)
        assert desktop.get_info().frozen is False


def test_a_socket_that_is_cut_ends_nothing(desk: Sandbox) -> None:
    with desk.terminals.create() as terminal:
        terminal.write("echo one\r")
        until(terminal, b"one\r\n")
        terminal._socket.socket.shutdown(socket.SHUT_RDWR)
        terminal.write("echo two\r")
        until(terminal, b"two\r\n")
        assert len([info for info in desk.terminals.list() if info.id == terminal.id and info.running]) == 1
