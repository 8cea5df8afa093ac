import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from guest_image.agent.x.performer import Performer

HERE = Path(__file__).parent


def until(condition, timeout=20.0, what="it"):
    """Wait for a condition, at most `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s for {what}"
        time.sleep(0.02)
    return value


class Server:
    """An Xvfb of its own, with what runs on it."""

    def __init__(self, number=None):
        read, write = os.pipe()
        command = ["Xvfb", "-screen", "0", "1600x1200x24", "-noreset", "-nolisten", "tcp", "-displayfd", str(write)]
        if number:
            command.insert(1, number)
        self.process = subprocess.Popen(command, pass_fds=[write], stderr=subprocess.DEVNULL)
        os.close(write)
        with os.fdopen(read) as answers:
            self.name = f":{answers.readline().strip()}"
        self.children = []

    def environment(self, **more):
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        return {**keep, "LANG": "C.UTF-8", "DISPLAY": self.name, "NO_AT_BRIDGE": "1", "GTK_IM_MODULE": "none", **more}

    def start(self, *command, **more):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        child = subprocess.Popen(command, env=self.environment(**more), start_new_session=True, **quiet)
        self.children.append(child)
        return child

    def stop(self):
        for child in [*self.children, self.process]:
            if child.poll() is None:
                child.terminate()
        for child in [*self.children, self.process]:
            try:
                child.wait(10)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


@pytest.fixture
def server():
    if not shutil.which("Xvfb"):
        pytest.skip("Xvfb is not installed")
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def performer(server):
    performer = Performer(server.name)
    performer.connect()
    yield performer
    performer.close()


class Recorder:
    """A window that writes down what reaches it."""

    def __init__(self, server, file, *options):
        self.file = file
        self.process = server.start(sys.executable, str(HERE / "recorder.py"), server.name, str(file), *options)
        until(lambda: any(event["kind"] == "ready" for event in self.events()), what="the recorder's window")

    def events(self, *kinds):
        if not self.file.exists():
            return []
        lines = self.file.read_text(encoding="utf-8").splitlines(keepends=True)
        events = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in events if not kinds or event["kind"] in kinds]

    def text(self):
        names = {0xFF0D: "\n", 0xFF09: "\t"}
        presses = [e for e in self.events("press") if not 0xFFE1 <= e["keysym"] <= 0xFFEE]
        return "".join(names.get(e["keysym"]) or e["char"] or f"<{e['keysym']:x}>" for e in presses)


@pytest.fixture
def recorder(server, tmp_path):
    def start(*options):
        return Recorder(server, tmp_path / f"events-{len(server.children)}", *options)

    return start


@pytest.fixture
def desktop(server, performer):
    """The server with openbox, if there is one."""
    display = performer.connect()
    if shutil.which("openbox"):
        server.start("openbox")
        check = display.intern_atom("_NET_SUPPORTING_WM_CHECK")
        until(lambda: display.screen().root.get_full_property(check, 0), what="openbox")
    return server
