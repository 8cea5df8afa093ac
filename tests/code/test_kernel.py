"""The guest's side of a code context with a real Jupyter kernel, as a process behind pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)


ROOT = Path(__file__).parents[2]


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a process whose files are all in a folder."""
    return {
        **os.environ,
        "IPYTHONDIR": str(folder),
        "TMPDIR": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "PYTHONPATH": str(ROOT),
    }


class Context:
    """The process, spoken to in lines."""

    def __init__(self, kernel: str, folder: Path, *, cwd: Path = ROOT, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "guest_image.code", kernel],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=cwd,
            env={**surroundings(folder), **environment},
        )

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, "it ended"
        return dict(json.loads(line))

    def until(self, kind: str) -> list[dict[str, Any]]:
        heard = [self.hear()]
        while heard[-1]["t"] != kind:
            heard.append(self.hear())
        return heard

    def ask(self, **message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")
        self.process.stdin.flush()

    def run(self, code: str, timeout_ms: int | None = None) -> list[dict[str, Any]]:
        """What it says of this code, "done" last."""
        self.ask(op="execute", id="one", code=code, timeout_ms=timeout_ms)
        heard = self.until("done")
        assert heard[0] == {"t": "accepted", "id": "one"}
        assert all(each["id"] == "one" for each in heard)
        return heard[1:]

    def value(self, code: str) -> str:
        shown, done = self.run(code)
        assert (shown["type"], done["status"]) == ("execute_result", "ok")
        return str(shown["data"]["text/plain"])


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    made = Context("python3", tmp_path)
    assert made.hear() == {"t": "ready", "language": "python", "name": "python3"}
    yield made
    assert made.process.stdin is not None
    made.process.stdin.close()
    assert made.process.wait(30) == 0
    assert list(tmp_path.glob("code-*")) == []


def test_state_output_and_errors(context: Context) -> None:
    said, done = context.run("import sys\nx = 6\nprint('héllo')")
    assert (said["type"], said["name"], said["text"]) == ("stream", "stdout", "héllo\n")
    assert done == {"t": "done", "id": "one", "status": "ok", "count": 1}
    assert context.value("x * 7") == "42"
    raised, done = context.run("1 / 0")
    assert (raised["ename"], done["status"]) == ("ZeroDivisionError", "error")
    assert "\x1b" not in "".join(raised["traceback"])
    asked, done = context.run("input('?')")
    assert asked["ename"] == "StdinNotImplementedError"
    shown, _ = context.run("from IPython.display import *\ndisplay(Markdown('*a*'))")
    assert shown["data"]["text/markdown"] == "*a*"


def test_interrupts_timeouts_restarts_and_deaths_leave_a_context(context: Context) -> None:
    context.run("x = 1; import time")
    context.ask(op="execute", id="one", code="print('on', flush=True); time.sleep(1000)")
    while context.hear().get("text") != "on\n":
        pass
    context.ask(op="interrupt")
    assert context.until("done")[-1]["status"] == "interrupted"
    assert context.run("time.sleep(1000)", timeout_ms=300)[-1]["status"] == "timeout"
    assert context.value("x") == "1"
    assert context.run("import os; os._exit(1)")[-1]["status"] == "died"
    raised, _ = context.run("x")
    assert raised["ename"] == "NameError"
    context.run("x = 2; import time")
    context.ask(op="execute", id="one", code="print('on', flush=True); time.sleep(1000)")
    while context.hear().get("text") != "on\n":
        pass
    context.ask(op="restart")
    assert context.until("done")[-1]["status"] == "restarted"
    context.run("x = 3")
    context.ask(op="restart")
    context.until("restarted")
    raised, _ = context.run("x")
    assert raised["ename"] == "NameError"


def test_code_that_ignores_its_interrupt_is_ended_with_its_kernel(context: Context) -> None:
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nx = 1\ntime.sleep(1000)"
    assert context.run(stubborn, timeout_ms=300)[-1]["status"] == "timeout"
    raised, _ = context.run("x")
    assert raised["ename"] == "NameError"


def test_charts_and_tables_come_as_data(context: Context) -> None:
    """With stand-ins of the same names: what is read of them is what matplotlib and pandas have."""
    context.run(
        "import sys, types\n"
        "pandas = types.ModuleType('pandas')\n"
        "class DataFrame:\n"
        "    def head(self, n): return self\n"
        '    def to_json(self, orient): return \'{"data": [{"a": 1}], "schema": {}}\'\n'
        "DataFrame.__module__ = 'pandas'"
    )
    shown, _ = context.run("DataFrame()")
    assert shown["data"]["application/vnd.dataresource+json"]["data"] == [{"a": 1}]


def test_a_kernel_that_is_not_there(tmp_path: Path) -> None:
    made = Context("no-such-kernel", tmp_path)
    assert made.hear() == {"t": "failed", "message": "there is no kernel 'no-such-kernel' in this desktop"}
    assert made.process.wait(30) == 3
