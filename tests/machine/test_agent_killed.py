"""The agent is killed by the desktop's user, again and again: it comes back, and no window, pixel or mode is lost."""

from __future__ import annotations

from contextlib import suppress

from desktop_sandbox import DesktopSandboxError, Sandbox
from tests.machine.support import eventually

AGENT = "systemctl show -p MainPID --value desktop-agent.service"
SESSION = "systemctl show -p MainPID --value desktop-session.service"


def agent_pid(sandbox: Sandbox) -> int | None:
    with suppress(DesktopSandboxError):
        return int(sandbox.commands.run(AGENT, timeout=20).stdout)
    return None


def test_it_comes_back_and_nothing_is_lost(sandbox: Sandbox) -> None:
    sandbox.set_screen_size(1024, 700)
    sandbox.launch(["xeyes", "-geometry", "200x150+700+400"])
    eventually(lambda: sandbox.get_application_windows("xeyes"))
    sandbox.move_mouse(500, 300)
    counter = sandbox.commands.run(
        "nohup sh -c 'while sleep 0.2; do date +%s%N > /tmp/tick; done' >/dev/null 2>&1 & echo $!"
    )
    windows = {(w.id, w.title, w.x, w.y, w.width, w.height) for w in sandbox.windows()}
    before = sandbox.capture("raw", cursor=False, stable_ms=600, deadline_ms=20_000)
    assert before.stable

    session = sandbox.commands.run(SESSION).stdout
    pids = {agent_pid(sandbox)}
    for _ in range(2):
        # the command ends with the agent that runs it: its answer is the broken connection, or the signal
        with suppress(DesktopSandboxError):
            sandbox.commands.run("sudo kill -9 $(" + AGENT + ")", timeout=30, check=False)
        pid = eventually(lambda: agent_pid(sandbox))
        assert pid not in pids
        pids.add(pid)

    assert {(w.id, w.title, w.x, w.y, w.width, w.height) for w in sandbox.windows()} == windows
    assert sandbox.get_screen_size() == (1024, 700)
    assert sandbox.get_cursor_position() == (500, 300)
    after = sandbox.capture("raw", cursor=False, stable_ms=600, deadline_ms=20_000)
    assert (after.width, after.height) == (1024, 700)
    assert after.data == before.data
    first = sandbox.files.read("/tmp/tick")
    assert eventually(lambda: sandbox.files.read("/tmp/tick") != first), "what commands started runs on"
    assert sandbox.commands.run(f"kill {counter.stdout.strip()}").exit_code == 0
    assert sandbox.commands.run(SESSION).stdout == session
    sandbox.act([{"type": "click", "x": 300, "y": 300}, {"type": "type", "text": "echo hé > /tmp/typed\n"}])
    assert eventually(lambda: sandbox.files.exists("/tmp/typed") and sandbox.files.read("/tmp/typed")) == "hé\n"
