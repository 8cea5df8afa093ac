"""Commands in a real desktop: output, exit codes, signals, timeouts, who and where, a lot of it, many at once."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from desktop_sandbox import CommandFailedError, DeadlineError, DesktopSandboxError, Sandbox
from desktop_sandbox.sdk.models import CommandOutput
from tests.machine.support import eventually


@pytest.fixture(scope="module")
def desk(server: object) -> Sandbox:
    """One desktop for all tests of this file: none of them spoils it."""
    with Sandbox.create("minimal", timeout=900) as sandbox:
        yield sandbox  # type: ignore[misc]


def running(desk: Sandbox, pattern: str) -> bool:
    return desk.commands.run(["pgrep", "-f", pattern], check=False).exit_code == 0


def test_streams_and_exit_code(desk: Sandbox) -> None:
    result = desk.commands.run("echo out; echo err >&2; exit 7", check=False)
    assert (result.stdout, result.stderr, result.exit_code, result.signal) == ("out\n", "err\n", 7, None)
    with pytest.raises(CommandFailedError) as caught:
        desk.commands.run("echo wrong >&2; exit 3")
    assert caught.value.evidence["exit_code"] == 3
    assert "wrong" in caught.value.message


def test_a_signal_is_told(desk: Sandbox) -> None:
    result = desk.commands.run("kill -TERM $$", check=False)
    assert (result.signal, result.exit_code) == (15, 128 + 15)


def test_a_timeout_kills_the_whole_group(desk: Sandbox) -> None:
    with pytest.raises(DeadlineError) as caught:
        desk.commands.run("echo begun; sleep 7117 & sleep 7118; echo never", timeout=3)
    assert caught.value.evidence["stdout"] == "begun\n"
    eventually(lambda: not running(desk, "^sleep 711[78]"))


def test_user_directory_environment_and_stdin(desk: Sandbox) -> None:
    assert desk.commands.run("id -un; pwd; echo $HOME $DISPLAY").stdout == "user\n/home/user\n/home/user :0\n"
    assert desk.commands.run("id -u; pwd", user="root", cwd="/etc").stdout == "0\n/etc\n"
    assert desk.commands.run("echo $A", env={"A": "ä b"}).stdout == "ä b\n"
    assert desk.commands.run(["printf", "%s|", "a b", "$HOME", "*"]).stdout == "a b|$HOME|*|"
    assert desk.commands.run("cat; echo end", stdin="in 世界\n").stdout == "in 世界\nend\n"
    data = bytes(range(256)) * 8000
    assert desk.commands.run("sha256sum", stdin=data).stdout.split()[0] == hashlib.sha256(data).hexdigest()
    for broken in ({"cwd": "/nowhere"}, {"user": "nobody-here"}):
        with pytest.raises(DesktopSandboxError) as caught:
            desk.commands.run("true", **broken)
        assert next(iter(broken.values())) in str(caught.value)


def test_a_program_that_is_not_there(desk: Sandbox) -> None:
    assert desk.commands.run("no-such-program", check=False).exit_code == 127
    with pytest.raises(DesktopSandboxError) as caught:
        desk.commands.run(["no-such-program"])
    assert "no-such-program" in str(caught.value)


def test_twenty_megabytes_come_whole(desk: Sandbox) -> None:
    block = bytes(range(250)) * 4000
    program = "import sys\nfor _ in range(20): sys.stdout.buffer.write(bytes(range(250)) * 4000)"
    digest, size = hashlib.sha256(), 0
    for event in desk.commands.stream(["python3", "-c", program], timeout=240):
        if isinstance(event, CommandOutput):
            digest.update(event.data)
            size += len(event.data)
    assert size == 20_000_000
    assert digest.hexdigest() == hashlib.sha256(block * 20).hexdigest()


def test_fifty_at_once(desk: Sandbox) -> None:
    with ThreadPoolExecutor(50) as pool:
        results = list(pool.map(lambda n: desk.commands.run(f"sleep 1; echo {n}", timeout=200).stdout, range(50)))
    assert results == [f"{n}\n" for n in range(50)]


def test_closing_the_stream_ends_the_command(desk: Sandbox) -> None:
    stream = desk.commands.stream("echo begun; sleep 7119 & sleep 7120", timeout=None)
    assert next(stream).data == b"begun\n"  # type: ignore[union-attr]
    assert running(desk, "^sleep 7120")
    stream.close()  # type: ignore[attr-defined]
    eventually(lambda: not running(desk, "^sleep 71(19|20)"))


def test_output_comes_while_it_runs(desk: Sandbox) -> None:
    stream = desk.commands.stream("echo one; while [ ! -e /tmp/go ]; do sleep 0.05; done; echo two")
    assert next(stream).data == b"one\n"  # type: ignore[union-attr]
    desk.files.write("/tmp/go", "")
    assert next(stream).data == b"two\n"  # type: ignore[union-attr]
    assert next(stream).exit_code == 0  # type: ignore[union-attr]
