"""A sandbox's life on real machines: expiry, filters, capacity, and every kind of death with its reason."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from desktop_sandbox import CapacityError, ConflictError, DesktopSandboxError, NotFoundError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually, gone, machine_pid


def dead(sandbox: Sandbox) -> str:
    """The reason of its death, once it is dead."""
    return str(eventually(lambda: sandbox.get_info().state == "dead" and sandbox.get_info().reason))


def test_it_ends_when_its_time_is_over_and_not_before(make_sandbox: Callable[..., Sandbox]) -> None:
    short, extended = make_sandbox(timeout=4), make_sandbox(timeout=4)
    pids = machine_pid(short), machine_pid(extended)
    until = extended.set_timeout(600).expires_at
    assert until is not None
    assert "timeout" in dead(short)
    assert gone(pids[0])
    assert extended.commands.run("echo on").stdout == "on\n"
    assert not gone(pids[1])
    assert extended.set_timeout(None).expires_at is None
    with pytest.raises(ConflictError) as caught:
        short.commands.run("true")
    assert "timeout" in str(caught.value)


def test_lists_are_filtered_and_come_in_pages(make_sandbox: Callable[..., Sandbox]) -> None:
    made = [make_sandbox(metadata={"test": "pages", "number": str(n)}) for n in range(3)]
    newest_first = [sandbox.sandbox_id for sandbox in reversed(made)]
    assert [i.sandbox_id for i in Sandbox.list(metadata={"test": "pages"}).sandboxes] == newest_first
    assert [i.sandbox_id for i in Sandbox.list(metadata={"number": "1", "test": "pages"}).sandboxes] == newest_first[
        1:2
    ]
    seen, cursor = [], None
    for _ in range(2):
        page = Sandbox.list(metadata={"test": "pages"}, limit=2, cursor=cursor)
        seen += [info.sandbox_id for info in page.sandboxes]
        cursor = page.cursor
    assert seen == newest_first
    assert cursor is None
    made[0].kill()
    running = Sandbox.list(metadata={"test": "pages"}, state=["running"], template="minimal").sandboxes
    assert [info.sandbox_id for info in running] == newest_first[:2]


def test_kill_is_verified_and_leaves_nothing(sandbox: Sandbox, server: RealServer) -> None:
    why = sandbox.why()
    sandbox.kill()
    assert gone(int(why["pid"]))
    assert not os.path.exists(why["directory"])
    with pytest.raises(NotFoundError):
        Sandbox.connect(sandbox.sandbox_id)


def test_a_guest_that_powers_off_is_dead_with_a_reason(sandbox: Sandbox) -> None:
    pid = machine_pid(sandbox)
    with suppress(DesktopSandboxError):
        sandbox.commands.run("systemctl poweroff --force --force", user="root", timeout=30, check=False)
    assert "machine ended" in dead(sandbox)
    assert gone(pid)
    why = sandbox.why()
    assert why["state"] == "dead"
    assert [event["kind"] for event in why["events"]][-1] == "died"


@pytest.mark.parametrize("driver", ["virtio_net", "virtio_rng"])
def test_a_guest_may_reset_its_devices(sandbox: Sandbox, driver: str) -> None:
    """As reloading a driver does: QEMU has ended there, by a null pointer that a restore had left."""
    again = 'cd "/sys/bus/virtio/drivers/$0" && for it in virtio*; do echo "$it" > unbind && echo "$it" > bind; done'
    sandbox.commands.run(["sh", "-c", again, driver], user="root")
    assert sandbox.commands.run("echo here").stdout == "here\n"


def test_a_killed_qemu_is_noticed_at_once(sandbox: Sandbox) -> None:
    os.kill(machine_pid(sandbox), signal.SIGKILL)
    assert "ended" in dead(sandbox)
    for deed in (lambda: sandbox.commands.run("true"), sandbox.screenshot, lambda: sandbox.left_click(1, 1)):
        with pytest.raises(ConflictError) as caught:
            deed()
        assert caught.value.hint


def test_why_tells_that_the_desktop_began_anew(sandbox: Sandbox) -> None:
    def states() -> list[str]:
        return [event["data"]["state"] for event in sandbox.why()["events"] if event["kind"] == "session"]

    assert not states()
    sandbox.commands.run("pkill -x Xvfb", user="root", check=False)  # what is run ends with the session
    assert eventually(lambda: "started" in states() and states()) in (["stopped", "started"], ["started"])
    assert sandbox.screenshot()


def test_why_tells_a_running_ones_story(sandbox: Sandbox) -> None:
    why = sandbox.why()
    assert why["state"] == "running"
    assert why["agent"]["kernel"]
    assert [event["kind"] for event in why["events"]][:1] == ["started"]
    assert {"serial_tail", "qemu_tail", "directory", "pid", "template"} <= set(why)


def test_room_for_translated_code_is_the_owners_choice(own_server: RealServer) -> None:
    own_server.start(DESKTOP_SANDBOX_TRANSLATION_MIB="96")
    with Sandbox.create("minimal", **own_server.client()) as sandbox:
        said = Path(f"/proc/{machine_pid(sandbox)}/cmdline").read_bytes().decode()
        assert ("tb-size=96" in said) == ("tcg" in said)


def test_a_full_house_is_refused_with_what_to_do(own_server: RealServer) -> None:
    own_server.start(DESKTOP_SANDBOX_MAX_SANDBOXES="1")
    with Sandbox.create("minimal", **own_server.client()) as first:
        with pytest.raises(CapacityError) as caught:
            Sandbox.create("minimal", **own_server.client())
        assert caught.value.status == 503
        assert "1" in caught.value.message
        assert "MAX_SANDBOXES" in str(caught.value.hint)
        assert first.commands.run("echo unharmed").stdout == "unharmed\n"
    with Sandbox.create("minimal", **own_server.client()) as second:
        assert second.get_info().state == "running"
