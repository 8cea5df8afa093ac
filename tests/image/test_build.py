"""A build that fails, is stopped or is killed leaves nothing that looks finished, and says where its log is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from guest_image import builder
from guest_image.builder import BuildCancelledError, BuildError, Progress, base, layin, wheels
from guest_image.builder.process import Runner
from guest_image.builder.store import Image, Store, write_image
from guest_image.recipe import load_recipe

FAILS = """#!/bin/sh
echo "I: installing"
echo "E: no route to the mirror"
exit 3
"""
HANGS = """#!/bin/sh
echo $$ > "$FAKE_PID"
echo "I: installing"
sleep 1000
"""
# pip's arguments: … --dest FOLDER --requirement FILE PACKAGE
FETCHES = """#!/bin/sh
while [ "$1" != --dest ]; do shift; done
echo "$5" > "$2/a.whl"
"""
RECIPE = load_recipe("minimal")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory first in PATH; wheels are there already, so that pip is not asked."""
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_PID", str(tmp_path / "pid"))
    monkeypatch.setattr(base.wheels, "fetch_wheels", lambda *_: tmp_path)
    return tools


def put(tools: Path, name: str, text: str) -> None:
    (tools / name).write_text(text)
    (tools / name).chmod(0o755)


def finished(home: Path) -> list[Path]:
    return [path for top in ("images", "bases") for path in (home / top).glob("*")]


def until(condition: object, timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_failed_build_names_its_log_and_leaves_nothing(home: Path, fake: Path) -> None:
    put(fake, "mmdebstrap", FAILS)
    seen: list[Progress] = []
    with pytest.raises(BuildError) as caught:
        builder.build_image(RECIPE, home, seen.append)
    assert "mmdebstrap" in str(caught.value) or "unshare" in str(caught.value)
    assert caught.value.log is not None
    assert "no route to the mirror" in caught.value.log.read_text()
    assert "no route to the mirror" in str(caught.value)
    assert finished(home) == []
    assert seen[0].step == "Debian packages"


def test_a_stopped_build_ends_at_once_with_its_children(home: Path, fake: Path, tmp_path: Path) -> None:
    put(fake, "mmdebstrap", HANGS)
    cancel = threading.Event()
    errors: list[BaseException] = []

    def build() -> None:
        try:
            builder.build_image(RECIPE, home, lambda _: None, cancel=cancel)
        except BuildError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    until((tmp_path / "pid").exists)
    cancel.set()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(errors[0], BuildCancelledError)
    assert finished(home) == []


def test_pip_that_fails_is_told_with_its_output(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pip", FAILS)
    monkeypatch.setattr(wheels.sys, "executable", str(tmp_path / "pip"))
    with pytest.raises(BuildError, match="pip cannot download") as caught:
        builder.build_image(RECIPE, home, lambda _: None)
    assert "pip download --no-deps" in str(caught.value.hint)
    assert caught.value.log is not None
    for said in (caught.value.log.read_text(), caught.value.tail):
        assert "no route to the mirror" in said
    assert finished(home) == []
    assert list((home / "wheels").iterdir()) == []


def test_a_stopped_build_ends_pip_at_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pip", HANGS)
    monkeypatch.setenv("FAKE_PID", str(tmp_path / "pid"))
    monkeypatch.setattr(wheels.sys, "executable", str(tmp_path / "pip"))
    cancel = threading.Event()
    errors: list[BaseException] = []

    def build() -> None:
        try:
            builder.build_image(RECIPE, home, lambda _: None, cancel=cancel)
        except BuildError as error:
            errors.append(error)

    thread = threading.Thread(target=build)
    thread.start()
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip())
    cancel.set()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(errors[0], BuildCancelledError)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)
    assert list((home / "wheels").iterdir()) == []


def test_wheels_appear_whole_and_are_fetched_once(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "pip", FETCHES)
    monkeypatch.setattr(wheels.sys, "executable", str(tmp_path / "pip"))
    store, runner = Store(home), Runner(tmp_path / "log", threading.Event())
    with store.locked(runner.cancel):
        fetched = wheels.fetch_wheels(store, runner, ["extra==1"])
        assert (fetched / "a.whl").read_text() == "extra==1\n"
        put(tmp_path, "pip", FAILS)
        assert wheels.fetch_wheels(store, runner, ["extra==1"]) == fetched
        with pytest.raises(BuildError):
            wheels.fetch_wheels(store, runner, ["extra==2"])
    runner.close()
    assert list((home / "wheels").iterdir()) == [fetched]


def test_a_killed_build_is_cleaned_up_by_the_next_one(home: Path, fake: Path, tmp_path: Path) -> None:
    put(fake, "mmdebstrap", HANGS)
    code = (
        "from pathlib import Path; from guest_image import builder; from guest_image.builder import base;"
        "from guest_image.recipe import load_recipe;"
        f"base.wheels.fetch_wheels = lambda *_: Path({str(tmp_path)!r});"
        f"builder.build_image(load_recipe('minimal'), Path({str(home)!r}), lambda p: None)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    until((tmp_path / "pid").exists)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert builder.find_image(RECIPE, home) is None
    assert all(path.name.startswith(".building-") for path in finished(home))
    put(fake, "mmdebstrap", FAILS)
    with pytest.raises(BuildError, match="no route"):
        builder.build_image(RECIPE, home, lambda _: None)
    assert finished(home) == []


def test_one_build_waits_for_another_and_can_be_stopped_meanwhile(home: Path) -> None:
    cancel = threading.Event()
    with Store(home).locked(cancel):
        cancel.set()
        with pytest.raises(BuildCancelledError), Store(home).locked(cancel):
            pass


def test_a_missing_tool_is_named_with_its_package(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("guest_image.builder.build.shutil.which", lambda tool: None)
    with pytest.raises(BuildError, match=r"apt-get install .*mmdebstrap"):
        builder.build_image(RECIPE, home, lambda _: None)


def image(directory: Path) -> Image:
    return Image(directory, "minimal", "d" * 64, "b" * 64, "6.12", "vmlinux", 1.0, 3, "a" * 64)


def other(store: Store) -> Path:
    directory = store.image_directory("minimal", "e" * 64)
    directory.mkdir()
    return directory


def test_an_image_exists_when_it_is_whole(home: Path) -> None:
    store = Store(home)
    final = store.image_directory("minimal", "d" * 64)
    with store.locked(threading.Event()), store.aside(final) as directory:
        for name in ("disk.raw", "vmlinux", "initrd"):
            (directory / name).write_bytes(b"x")
        write_image(image(directory))
        assert store.find("minimal", "d" * 64) is None
    assert store.find("minimal", "d" * 64) == image(final)
    assert store.all() == [image(final)]
    for name in ("b" * 16, "unused"):
        (store.bases / name).mkdir()
    store.remove(Image(other(store), "minimal", "e" * 64, "c" * 64, "6.12", "vmlinux", 1.0, 3, "a" * 64))
    assert [path.name for path in store.bases.glob("*")] == ["b" * 16]
    (final / "initrd").unlink()
    assert store.find("minimal", "d" * 64) is None


def test_an_image_that_is_there_is_returned_without_work(home: Path) -> None:
    store, digest = Store(home), builder.image_digest(RECIPE)
    final = store.image_directory("minimal", digest)
    with store.locked(threading.Event()), store.aside(final) as directory:
        for name in ("disk.raw", "vmlinux", "initrd"):
            (directory / name).write_bytes(b"x")
        write_image(Image(directory, "minimal", digest, "b" * 64, "6.12", "vmlinux", 1.0, 3, "a" * 64))
    assert builder.build_image(RECIPE, home, pytest.fail) == builder.find_image(RECIPE, home)


def test_the_digest_follows_the_recipe_and_what_is_laid_in(monkeypatch: pytest.MonkeyPatch) -> None:
    first = builder.image_digest(RECIPE)
    assert first == builder.image_digest(load_recipe("minimal"))
    assert first != builder.image_digest(load_recipe("desktop"))
    base_before = base.base_digest(RECIPE)
    monkeypatch.setattr(layin, "MASKED", ())
    assert builder.image_digest(RECIPE) != first
    assert base.base_digest(RECIPE) == base_before


def test_the_lay_in_has_what_the_guest_starts() -> None:
    entries = {entry.path: entry for entry in layin.collect(load_recipe("desktop"))}
    assert "opt/desktop-sandbox/lib/guest_image/session/run.py" in entries
    assert "opt/desktop-sandbox/lib/actions/__init__.py" in entries
    assert not any("guest_image/builder" in path or "desktop_sandbox" in path for path in entries)
    assert not any("dialects" in path for path in entries)
    wanted = entries["etc/systemd/system/multi-user.target.wants/desktop-agent.service"].data
    assert wanted == b"/etc/systemd/system/desktop-agent.service"
    assert entries["home/user/.config/mimeapps.list"].uid == 1000
    assert entries["home"].uid == 0


def test_progress_only_grows() -> None:
    seen: list[float] = []
    follow = base._Follower(lambda fraction, message: seen.append(fraction))
    lines = ["Get:1 http://m trixie InRelease [9 kB]", "0 upgraded, 2 newly installed, 0 to remove"]
    lines += ["Get:2 http://m trixie/main amd64 a amd64 1 [9 kB]", "Unpacking a (1) ...", "Setting up a (1) ..."]
    lines += ["0 upgraded, 4 newly installed, 0 to remove", "Unpacking b (1) ...", "Setting up b (1) ..."]
    for line in [*lines, "I: running --customize-hook in shell"]:
        follow(line)
    assert seen == sorted(seen)
    assert seen[-1] == 0.92
