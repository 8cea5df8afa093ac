"""Code that keeps its state on a real desktop: kernels, what they show, and what checkpoints make of them."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from desktop_sandbox import InvalidRequestError, Sandbox

pytestmark = [pytest.mark.desktop, pytest.mark.timeout(400)]
SLOW_S = 240.0


@pytest.fixture(scope="module")
def desk(server: object) -> Iterator[Sandbox]:
    """One desktop for all tests of this file."""
    with Sandbox.create("desktop", timeout=1800) as sandbox:
        yield sandbox


def test_python_keeps_its_state(desk: Sandbox) -> None:
    done = desk.run_code("import os, sys\nx = 6\nprint('héllo'); print('oh', file=sys.stderr)\nx * 7", timeout=SLOW_S)
    assert (done.status, done.text, done.stdout, done.stderr) == ("ok", "42", "héllo\n", "oh\n")
    assert desk.run_code("x + 1").text == "7"
    assert desk.run_code("os.getcwd(), os.getuid()").text == "('/home/user', 1000)"
    raised = desk.run_code("1 / 0")
    assert raised.error is not None
    assert raised.error.name == "ZeroDivisionError"
    shown = desk.run_code("from IPython.display import SVG; SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')")
    assert shown.results[0].svg is not None


def test_bash_keeps_its_state(desk: Sandbox) -> None:
    desk.run_code("cd /etc; word=kept", language="bash", timeout=SLOW_S)
    assert desk.run_code("pwd; echo $word", language="bash").stdout == "/etc\nkept\n"


def test_javascript_keeps_its_state(desk: Sandbox) -> None:
    desk.run_code("const word: string = 'kept'", language="javascript", timeout=SLOW_S)
    assert desk.run_code("console.log(word); word.length", language="typescript", timeout=SLOW_S).stdout == "kept\n"


def test_what_pip_installs_is_there_for_code(desk: Sandbox, tmp_path: Path) -> None:
    """PyPI's newest NumPy and pandas, picky about the processor; brought by the host, which may reach PyPI."""
    version = desk.commands.run("python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'").stdout.strip()
    platforms = [
        f"--platform={tag}_x86_64" for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
    ]
    pip = [sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", str(tmp_path), *platforms]
    subprocess.run([*pip, f"--python-version={version}", "numpy", "pandas"], check=True, timeout=300)
    desk.commands.run("mkdir -p wheels")
    for wheel in tmp_path.iterdir():
        desk.files.write(f"wheels/{wheel.name}", wheel.read_bytes())
    done = desk.commands.run("pip install -q --no-index --find-links=wheels numpy pandas", timeout=600)
    assert done.exit_code == 0
    code = "import numpy as np, pandas as pd\nfloat((np.eye(50) @ np.ones(50)).sum()), int(pd.Series([1, 2, 4]).sum())"
    assert desk.run_code(code, timeout=SLOW_S).text == "(50.0, 7)"
    assert desk.commands.run("command -v f2py").stdout == "/home/user/.local/bin/f2py\n"
    table = desk.run_code("pd.DataFrame({'region': ['n', 's'], 'sales': [3, 4]})", timeout=SLOW_S).results[0]
    assert table.table == [{"index": 0, "region": "n", "sales": 3}, {"index": 1, "region": "s", "sales": 4}]


def test_interrupt_timeout_and_death(desk: Sandbox) -> None:
    context = desk.code.create_context(cwd="/tmp", env={"WORD": "given"})
    assert desk.run_code("import os; (os.environ['WORD'], os.getcwd())", context=context).text == "('given', '/tmp')"
    began = threading.Event()

    def interrupt() -> None:
        began.wait(SLOW_S)
        desk.code.interrupt(context)

    thread = threading.Thread(target=interrupt)
    thread.start()
    code = "import time; print('on', flush=True); time.sleep(1000)"
    done = desk.run_code(code, context=context, timeout=SLOW_S, on_stdout=lambda _said: began.set())
    thread.join()
    assert done.status == "interrupted"
    assert desk.run_code("import time; time.sleep(1000)", context=context, timeout=2).status == "timeout"
    assert desk.run_code("os.environ['WORD']", context=context).text == "'given'"
    assert desk.run_code("os._exit(1)", context=context).status == "died"
    assert desk.run_code("2 + 2", context=context, timeout=SLOW_S).text == "4"
    desk.code.remove(context)


def test_state_is_there_in_forks_after_a_rollback_and_a_pause(desk: Sandbox) -> None:
    desk.run_code("word = 'before'")
    point = desk.checkpoint()
    desk.run_code("word = 'after'")
    (child,) = desk.fork(1)
    with child:
        assert child.run_code("word", timeout=SLOW_S).text == "'after'"
        child.run_code("word = 'its own'")
    assert desk.run_code("word").text == "'after'"
    desk.rollback(point)
    assert desk.run_code("word", timeout=SLOW_S).text == "'before'"
    desk.pause()
    desk.resume(timeout=1800)
    assert desk.run_code("word", timeout=SLOW_S).text == "'before'"


def test_a_template_without_kernels_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(InvalidRequestError, match="no Jupyter") as refused:
        sandbox.run_code("1")
    assert "recipe" in str(refused.value.hint)
