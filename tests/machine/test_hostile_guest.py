"""The protocol over the real device: servers come and go, and a guest writes garbage. Only that sandbox feels it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from desktop_sandbox import DesktopSandboxError, Sandbox
from tests.conftest import RealServer
from tests.machine.support import eventually, gone, machine_pid

# takes the control port from the agent, and answers whatever comes with noise, bad frames and half a frame
GARBAGE = """
import os, subprocess, time
subprocess.run(["systemctl", "mask", "--runtime", "--now", "desktop-agent.service"])
port = os.open("/dev/virtio-ports/desktop.control", os.O_RDWR | os.O_NONBLOCK)
end = time.time() + 15
pieces = [os.urandom(4096), b"DS\\x01\\x04" + os.urandom(12), b"DS" * 3000]
pieces += [b"DS\\x01\\x01\\xff\\xff\\xff\\xff" * 9, bytes(70000)]
n = 0
while time.time() < end:
    n += 1
    try:
        os.write(port, pieces[n % len(pieces)])
    except OSError:
        time.sleep(0.02)
os.close(port)
subprocess.run(["systemctl", "unmask", "--runtime", "desktop-agent.service"])
subprocess.run(["systemctl", "start", "desktop-agent.service"])
"""


def test_garbage_from_one_guest_harms_nobody_else(make_sandbox: Callable[..., Sandbox], server: RealServer) -> None:
    hostile, bystander = make_sandbox(), make_sandbox()
    assert server.process is not None
    hostile.files.write("/root/garbage.py", GARBAGE, user="root")
    hostile.commands.run("systemd-run --collect python3 /root/garbage.py", user="root")
    # the port is taken once the agent is gone
    eventually(lambda: not answers(hostile))

    started = time.monotonic()
    refused: set[str] = set()
    while time.monotonic() - started < 6:
        try:
            hostile.commands.run("echo x", timeout=2)
        except DesktopSandboxError as error:
            refused.add(error.slug)
        assert bystander.commands.run("echo fine").stdout == "fine\n"
        # the screen needs no agent
        assert hostile.screenshot("raw")
    assert refused
    assert refused <= {"channel", "deadline", "guest"}
    assert not gone(server.process.pid)
    assert not gone(machine_pid(hostile))

    # once the garbage ends, the agent is reached again
    eventually(lambda: answers(hostile), seconds=120, every_s=0.5)


def answers(sandbox: Sandbox) -> bool:
    with suppress(DesktopSandboxError):
        return sandbox.commands.run("echo here", timeout=5).stdout == "here\n"
    return False


def test_servers_come_and_go_and_each_reaches_the_agent(own_server: RealServer) -> None:
    own_server.start()
    sandbox = Sandbox.create("minimal", **own_server.client())
    pid = machine_pid(sandbox)
    for number in range(5):
        # leave in the middle of output, so that frames are cut and bytes are left in the device
        stream = sandbox.commands.stream("yes | head -c 30000000")
        next(stream)
        own_server.kill()
        with suppress(DesktopSandboxError):
            stream.close()  # type: ignore[attr-defined]
        own_server.start()
        assert sandbox.commands.run(f"echo {number}").stdout == f"{number}\n"
        sandbox.move_mouse(number, number)
        assert sandbox.get_cursor_position() == (number, number)
    assert machine_pid(sandbox) == pid
    assert eventually(lambda: sandbox.commands.run("pgrep -x yes", check=False).exit_code == 1)
