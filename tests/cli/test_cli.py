from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import httpx
import pytest

from desktop_sandbox import cli, errors
from desktop_sandbox.cli.output import ago, size
from tests.fake_screen import PNG
from tests.live_server import Live, serving

Run = Callable[..., SimpleNamespace]


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Live]:
    home = tmp_path / "home-of-server"
    home.mkdir()
    with serving(home) as server:
        monkeypatch.setenv("DESKTOP_SANDBOX_URL", server.url)
        monkeypatch.setenv("DESKTOP_SANDBOX_API_KEY", server.key)
        monkeypatch.chdir(tmp_path)
        yield server


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    def call(*args: str) -> SimpleNamespace:
        monkeypatch.setattr(sys, "argv", ["desktop-sandbox", *args])
        with pytest.raises(SystemExit) as caught:  # noqa: PT012
            cli.main()
            raise SystemExit(0)
        sys.stdout.flush()
        out, err = capfdbinary.readouterr()
        code = caught.value.code
        return SimpleNamespace(code=code or 0, raw=out, out=out.decode("utf-8", "replace"), err=err.decode())

    return call


def test_life_of_a_sandbox(live: Live, run: Run, tmp_path: Path) -> None:
    assert "no sandboxes" in run("ls").err
    made = run("create", "--resolution", "800x600", "-m", "task=42", "--timeout", "0")
    box = made.out.strip()
    assert (made.code, box) == (0, "sb000001")
    table = run("ls").out
    assert all(text in table for text in (box, "desktop", "running", "800×600", "task=42", "never"))
    assert json.loads(run("ls", "--json", "-m", "task=42").out)[0]["sandbox_id"] == box
    assert "800×600" in run("info", box).out
    assert json.loads(run("info", box, "--json").out)["metadata"] == {"task": "42"}
    assert "login:" in run("why", box).out
    assert json.loads(run("why", box, "--json").out)["state"] == "running"
    assert run("open", box, "https://example.org").code == 0
    assert run("kill", box).code == 0
    assert run("ls", "--json").out.strip() == "[]"
    assert json.loads(run("ls", "--all", "--json").out)[0]["state"] == "dead"
    run("create")
    assert json.loads(run("kill", "--all", "--json").out) == {"killed": ["sb000002"]}


def test_looking_and_acting(live: Live, run: Run, tmp_path: Path) -> None:
    box = run("create").out.strip()
    assert run("screenshot", box).raw == PNG
    assert run("screenshot", box, "-o", "a.jpg", "--json").code == 0
    assert (tmp_path / "a.jpg").read_bytes() == PNG
    shot = run("screenshot", box, "-o", "b.raw", "--region", "0,0,8,4", "--stable", "5")
    assert "8×4" in shot.err
    assert len((tmp_path / "b.raw").read_bytes()) == 96
    assert run("screenshot", box, "-o", "/nowhere/x.png").code == 1
    done = run("act", box, '[{"type": "move", "x": 3, "y": 4}, {"type": "cursor_position"}]', "--screenshot", "c.png")
    assert '1  done  {"x": 3, "y": 4}' in done.out
    assert (tmp_path / "c.png").read_bytes() == PNG
    assert json.loads(run("act", box, '{"type": "cursor_position"}', "--json").out)["results"] == [{"x": 3, "y": 4}]
    failed = run("act", box, '{"type": "clik"}')
    assert failed.code == 1
    assert failed.err.startswith("error: action 0: unknown action type 'clik'\nhint: did you mean click?")
    assert "Traceback" not in failed.err


def test_exec_passes_output_and_exit_code_on(live: Live, run: Run) -> None:
    box = run("create").out.strip()
    hello = run("exec", box, "--", "echo", "-n", "hi")
    assert (hello.code, hello.out) == (0, "-n hi\n")
    failed = run("exec", box, "false")
    assert (failed.code, failed.out, failed.err) == (1, "", "no\n")
    assert run("exec", box, "nothing").code == 127
    result = run("exec", "--json", box, "false")
    assert (result.code, json.loads(result.out)["stderr"]) == (1, "no\n")


def test_templates(live: Live, run: Run) -> None:
    table = run("template", "ls").out
    assert all(text in table for text in ("desktop", "minimal", "missing", "5.0 GiB"))
    built = run("create", "minimal")
    assert "template minimal: packages" in built.err
    assert built.out.strip() == "sb000001"
    lines = [json.loads(line) for line in run("template", "build", "minimal", "--rebuild", "--json").out.splitlines()]
    assert lines[0]["step"] == "packages"
    assert lines[-1] == {"template": "minimal"}
    assert live.node.built == [("minimal", False), ("minimal", True)]
    assert run("template", "rm", "minimal").code == 0
    assert json.loads(run("template", "ls", "--json").out)[1]["state"] == "missing"
    gone = run("template", "build", "none")
    assert (gone.code, "hint:" in gone.err) == (1, True)


@pytest.mark.parametrize(
    "args",
    [
        ["nothing"],
        ["info"],
        ["kill"],
        ["create", "--resolution", "big"],
        ["create", "-m", "novalue"],
        ["act", "sb1", "not json"],
        ["screenshot", "sb1", "--region", "1,2"],
        ["screenshot", "sb1", "--format", "gif"],
        ["serve", "--log-level", "loud"],
    ],
)
def test_wrong_usage_ends_with_2(run: Run, args: list[str]) -> None:
    result = run(*args)
    assert result.code == 2
    assert "Usage" in result.err
    assert "Traceback" not in result.err


def test_errors_end_with_1_a_hint_and_no_traceback(live: Live, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    live.node.fail["create"] = errors.CapacityError("no memory: 100 MiB free", hint="end a sandbox")
    result = run("create")
    assert (result.code, result.err) == (1, "error: no memory: 100 MiB free\nhint: end a sandbox\n")
    monkeypatch.setenv("DESKTOP_SANDBOX_URL", "http://127.0.0.1:1")
    result = run("ls")
    assert result.code == 1
    assert "make run" in result.err


def test_doctor_and_bench(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    finding = lambda name, ok: SimpleNamespace(name=name, ok=ok, message=f"about [{name}]", hint="do it")  # noqa: E731
    doctor, bench = ModuleType("desktop_sandbox.doctor"), ModuleType("desktop_sandbox.bench")
    doctor.report = lambda: [finding("kvm", None), finding("qemu", True)]  # type: ignore[attr-defined]
    bench.main = lambda argv: 3 if argv == ["--quick", "x"] else 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "desktop_sandbox.doctor", doctor)
    monkeypatch.setitem(sys.modules, "desktop_sandbox.bench", bench)
    result = run("doctor")
    assert result.code == 0
    assert "kvm: about [kvm]" in result.out
    assert result.out.count("hint: do it") == 1
    doctor.report = lambda: [finding("memory", False)]  # type: ignore[attr-defined]
    assert run("doctor").code == 1
    assert json.loads(run("doctor", "--json").out)[0]["ok"] is False
    assert run("bench", "--quick", "x").code == 3


SERVE = """
    import sys, types
    sys.path.insert(0, {root!r})
    from tests.fake_node import FakeNode

    class LocalNode(FakeNode):
        media_uid = 1_900_000_000

        @classmethod
        async def start(cls, config):
            print("node starts in", config.home, file=sys.stderr)
            return cls()

        async def kill_all(self):
            for sandbox_id in list(self.sandboxes):
                await self.kill(sandbox_id)

        async def aclose(self):
            print("node closed", file=sys.stderr)

    module = types.ModuleType("desktop_sandbox.node.local")
    module.LocalNode = LocalNode
    sys.modules["desktop_sandbox.node.local"] = module
    from desktop_sandbox.cli import main
    main()
"""


@pytest.mark.parametrize("kill", [True, False])
def test_serve_from_start_to_ctrl_c(tmp_path: Path, kill: bool) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, "DESKTOP_SANDBOX_HOME": str(tmp_path), "DESKTOP_SANDBOX_BIND": "127.0.0.1:0"}
    env.pop("DESKTOP_SANDBOX_API_KEY", None)
    command = [sys.executable, "-c", textwrap.dedent(SERVE.format(root=str(root))), "serve"]
    command += ["--kill-on-exit"] if kill else []
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, cwd=root) as server:
        assert server.stderr is not None
        lines: list[str] = []
        while not (lines and lines[-1].startswith("Ctrl-C")):
            lines.append(server.stderr.readline())
            assert lines[-1], lines
        url = next(line.split()[-1] for line in lines if line.startswith("serving on"))
        assert str(tmp_path / "api-key") in "".join(lines)
        headers = {"X-API-Key": (tmp_path / "api-key").read_text().strip()}
        assert httpx.post(f"{url}/v1/sandboxes", json={}, headers=headers, verify=False).status_code == 201
        server.send_signal(signal.SIGINT)
        rest = server.stderr.read()
        assert server.wait(10) == 0
    assert ("1 desktops ended" if kill else "1 desktops keep running") in rest
    assert rest.strip().endswith("node closed")
    assert "Traceback" not in rest


def test_serve_says_who_is_in_the_way(tmp_path: Path, live: Live, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESKTOP_SANDBOX_HOME", str(tmp_path / "other"))
    port = live.url.rsplit(":", 1)[1]
    result = run("serve", "--bind", f"127.0.0.1:{port}")
    assert result.code == 1
    assert "cannot listen on 127.0.0.1" in result.err
    assert "hint: is another server running?" in result.err


def test_help_imports_nothing_heavy() -> None:
    code = "import desktop_sandbox.cli.app, sys; print([m for m in ('httpx', 'fastapi', 'rich') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_times_and_sizes() -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert [ago(now + timedelta(seconds=s), now) for s in (-5, -180, 7200, 90000)] == [
        "5 s ago",
        "3 min ago",
        "in 2 h",
        "in 1 d",
    ]
    assert ago(None) == "never"
    assert [size(n) for n in (None, 5, 2048, 3 << 30)] == ["", "5 B", "2.0 KiB", "3.0 GiB"]


def test_exported_memory_is_its_owners_and_wrong_paths_are_told(live: Live, run: Run, tmp_path: Path) -> None:
    box = run("create").out.strip()
    saved = run("checkpoint", box).out.strip()
    file = tmp_path / "a.snapshot"
    before = os.umask(0)
    try:
        assert run("snapshot", "export", saved, str(file)).code == 0
    finally:
        os.umask(before)
    assert file.stat().st_mode & 0o777 == 0o600
    missing = tmp_path / "no-folder" / "a.snapshot"
    for words in (
        ("snapshot", "import", "nofile"),
        ("snapshot", "import", str(tmp_path)),
        ("snapshot", "export", saved, str(missing)),
        ("trust", "add", "build-host", str(tmp_path)),
    ):
        told = run(*words)
        assert told.code != 0, words
        assert "cannot be" in told.err, words
        assert "give the path of a file" in told.err, words
        assert "Traceback" not in told.err, words
    # what is no file is a key that the server reads, or says what is wrong with it
    assert run("trust", "add", "build-host", "AAAA").code == 0
    assert live.node.trusting == {"build-host": "AAAA"}


def test_what_a_desktop_may_reach(live: Live, run: Run) -> None:
    box = run("create", "--allow", "*.example.org:443", "--deny", "x.example.org").out.strip()
    shown = run("network", box).out
    assert "*.example.org:443" in shown
    assert "x.example.org" in shown
    assert json.loads(run("network", box, "--network", "none", "--json").out)["policy"] == "none"
    table = run("network", "log", box).out
    assert all(text in table for text in ("OUTCOME", "a.example", "1.1.1.1 port 443", "refused", "is denied"))
    assert json.loads(run("network", "log", box, "--limit", "1", "--json").out)[0]["kind"] == "dns"
    assert run("network", "a", "b").code != 0
    assert run("network", box, "--network", "all").code != 0
    assert run("create", "--network", "none", "--allow", "a.example").code != 0
    shown = run("network", box, "--header", "api.example.org X-Key: 5ec2e7", "--proxy", "http://u:5ec2e7@10.1.2.3:3128")
    assert all(text in shown.out for text in ("api.example.org: X-Key", "http://***@10.1.2.3:3128"))
    assert "5ec2e7" not in shown.out + run("network", box, "--json").out + run("info", box).out
    assert run("create", "--header", "bad").code != 0
