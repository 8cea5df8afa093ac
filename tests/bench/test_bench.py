"""The benchmark: its arithmetic, its options, and one tiny run on real machines."""

from __future__ import annotations

import json
import os
import socket
import time
from dataclasses import replace
from pathlib import Path
from shutil import which

import pytest

from desktop_sandbox.bench import main
from desktop_sandbox.bench.census import Census
from desktop_sandbox.bench.create import stages
from desktop_sandbox.bench.crowd import Standing, fill
from desktop_sandbox.bench.figures import Figure, as_json, quantile, ratio
from desktop_sandbox.bench.options import GROUPS, LONG, QUICK, STDOUT, Counts, Options, parse
from desktop_sandbox.bench.report import Results, shown, tell
from desktop_sandbox.bench.run import run, ticks_of
from desktop_sandbox.errors import CapacityError, ServerError
from desktop_sandbox.snapshots.timings import Stopwatch, mark, start_stopwatch

TINY = Counts(
    creates=2, at_once=2, looks=4, usual=1, steps_s=0.5, siblings=2, idle_s=0.5, settle_s=1.0, saves=1, usual_saves=1,
    forks=(2,), fork_turns=1, live=(1, 2), crowd=2, soak_pauses=2, soak_creates=2, soak_forks=2,
)  # fmt: skip


def test_quantiles_are_interpolated() -> None:
    assert quantile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert quantile([1.0, 2.0], 0.5) == 1.5
    assert quantile([7.0], 0.95) == 7.0
    assert quantile(range(101), 0.95) == 95.0
    with pytest.raises(ValueError, match="no samples"):
        quantile([], 0.5)


def test_a_figure_knows_its_target_and_its_rival() -> None:
    ours = Figure("screenshot.png", "", "ms", [12.0], "screenshot.scrot")
    theirs = Figure("screenshot.scrot", "", "ms", [300.0])
    assert ours.ok is True
    assert Figure("screenshot.png", "", "ms", [12.1]).ok is False
    assert theirs.ok is None
    assert ratio(ours, [ours, theirs]) == 25.0
    assert ratio(ours, [ours]) is None
    assert ours.p95 is None
    assert as_json(ours, [ours, theirs])["ratio"] == 25.0


def test_options() -> None:
    assert parse([]).counts == Counts()
    assert parse([]).groups == [group for group in GROUPS if group not in LONG]
    assert parse(["--only", "soak"]).groups == ["soak"]
    found = parse(["--quick", "--only", "memory", "--template", "minimal", "--json", "a.json"])
    assert (found.counts, found.groups, found.template, found.json) == (QUICK, ["memory"], "minimal", Path("a.json"))
    assert ticks_of(found) == QUICK.siblings + 4
    assert parse([]).json is None
    assert parse(["--json", "--quick"]).json == STDOUT
    assert parse(["--only", "crowd"]).counts.crowd is None, "until the host refuses"
    bounded = parse(["--only", "crowd", "--crowd", "4"])
    assert (bounded.counts, ticks_of(bounded)) == (replace(Counts(), crowd=4), 4)


@pytest.mark.parametrize(
    "wrong",
    [
        ["--only", "speed"],
        ["--profile", "--only", "memory"],
        ["extra"],
        ["--crowd", "4"],
        ["--only", "crowd", "--crowd", "0"],
    ],
)
def test_wrong_options_are_refused(wrong: list[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(wrong)


@pytest.mark.parametrize(
    ("fits", "away", "most", "made", "refused"),
    [
        ([True] * 9, 0, 3, 3, False),
        ([True, True, False, False], 0, None, 2, True),
        ([True, True, False, False], 0, 2, 2, False),
        # there is room once those that had just begun stand still
        ([True, False, True, True, False, False], 0, None, 3, True),
        # but that of desktops which went to disk is none
        ([True, True, False, True], 1, None, 2, True),
    ],
)
def test_a_crowd_grows_until_there_is_no_room(
    fits: list[bool], away: int, most: int | None, made: int, refused: bool
) -> None:
    answers = iter(fits)
    crowd: list[int] = []

    def make() -> None:
        if not next(answers):
            raise CapacityError("memory is short")
        crowd.append(1)

    said = fill(make, lambda: Standing(len(crowd) - away, away), most)
    assert (len(crowd), said) == (made, "memory is short" if refused else None)


def test_a_crowd_of_none_is_an_error() -> None:
    def make() -> None:
        raise CapacityError("memory is short")

    with pytest.raises(CapacityError):
        fill(make, lambda: Standing(0, 0), None)


def test_a_census_counts_memory_that_no_process_maps(tmp_path: Path) -> None:
    before = Census.take(os.getpid(), tmp_path)
    held = os.memfd_create("held")
    try:
        os.write(held, bytes(8_000_000))
        after = Census.take(os.getpid(), tmp_path)
    finally:
        os.close(held)
    assert after.descriptors == before.descriptors + 1
    assert 8 <= after.kept_mb - before.kept_mb < 9
    assert before.memory_mb > 1
    assert before.threads >= 1


def test_a_server_that_is_not_there_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    with pytest.raises(ServerError, match="cannot reach"):
        main(["--url", f"http://127.0.0.1:{port}"])
    capsys.readouterr()


def test_stages_add_up_to_the_whole_create() -> None:
    why = {"events": [{"data": {}}, {"data": {"stages_ms": {"start": 50.0, "hello": 30.0}}}]}
    assert stages(why, 90.0, 7.0) == {"start": 50.0, "hello": 30.0, "request": 10.0, "first action": 7.0}


def test_a_stopwatch_splits_time() -> None:
    now = iter([0.0, 0.010, 0.030, 0.031])
    watch = Stopwatch(lambda: next(now))
    for stage in ("a", "b", "a"):
        watch.mark(stage)
    assert watch.stages_ms == {"a": 11.0, "b": 20.0}


def test_marks_go_to_the_stopwatch_of_their_task() -> None:
    watch = start_stopwatch()
    mark("here")
    assert list(watch.stages_ms) == ["here"]


def test_numbers_are_shown_with_three_digits() -> None:
    assert [shown(value) for value in (0.4251, 12.345, 254.4)] == ["0.43", "12.3", "254"]


def test_a_profile_is_the_median_of_each_stage() -> None:
    results = Results("minimal", "", True, {}, [0.0], stages=[{"a": 1.0}, {"a": 3.0, "b": 2.0}, {"a": 2.0, "b": 4.0}])
    assert results.profile() == {"a": 2.0, "b": 2.0}


def test_json_goes_to_a_file_beside_the_tables_or_alone_to_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    host = {"cores": 2, "processor": "p", "accelerator": "tcg", "qemu": "7.2.22", "kernel": "6"}
    results = Results("minimal", "", True, host, [0.0], [Figure("screenshot.png", "a picture", "ms", [12.0])])
    tell(results, STDOUT)
    alone = capsys.readouterr().out
    tell(results, tmp_path / "bench.json")
    assert json.loads(alone) == json.loads((tmp_path / "bench.json").read_text()) == results.as_json()
    assert "a picture" in capsys.readouterr().out
    tell(results, None)
    assert "a picture" in capsys.readouterr().out


@pytest.mark.machine
def test_a_run_measures_everything_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written = tmp_path / "bench.json"
    began = time.time()
    assert run(Options("minimal", TINY, GROUPS, None, written, profile=True)) == 0
    found = json.loads(written.read_text())
    assert found["version"] == 1
    assert found["template"] == "minimal"
    assert found["host"]["accelerator"] in ("tcg", "kvm")
    assert set(found["load_average"]) == {"begin", "end"}
    figures = {figure["key"]: figure for figure in found["figures"]}
    assert set(figures) == {
        "create.one", "create.at_once.each", "create.at_once.all",
        "screenshot.raw", "screenshot.jpeg", "screenshot.png", "screenshot.scrot",
        "action.click", "action.move", "action.xdotool_click", "action.xdotool_move",
        "action.part.server", "action.part.agent", "action.part.display",
        "typing.plain", "typing.mapped", "typing.xdotool",
        "eyes.stable", "eyes.changes", "eyes.find", "eyes.find_sizes", *(["eyes.read"] if which("tesseract") else []),
        "steps.1.rate", "steps.1.step", "steps.2.rate", "steps.2.step",
        "memory.first", "memory.further", "memory.further.idle", "memory.further.used", "cpu.idle",
        "checkpoint.stopped", "checkpoint.done", "rollback", "pause", "resume",
        "fork.2.made", "fork.2.acted", "fork.2.memory",
        "usual.boot", "usual.savevm", "usual.loadvm", "usual.migrate", "usual.incoming",
        "pool.create", "pool.acted",
        "live.1.click", *(["live.2.click"] if figures["live.count"]["p50"] else []), "live.count",
        "crowd.count", "crowd.frozen", "crowd.away", "crowd.create", "crowd.memory", "crowd.taken", "crowd.answered",
        "crowd.silent",
        "soak.cycle", "soak.lost", "soak.create", "soak.forks", "soak.left.descriptors", "soak.left.threads",
        "soak.left.memory", "soak.left.kept", "soak.left.processes", "soak.left.files",
    }  # fmt: skip
    for figure in figures.values():
        assert set(figure) == {
            "key", "label", "unit", "samples", "against", "p50", "p95", "n", "ratio", "target", "ok",
        }  # fmt: skip
        assert figure["n"] == len(figure["samples"]) > 0
        assert figure["p50"] > 0 or figure["key"].startswith(
            ("cpu.idle", "soak.l", "crowd.taken", "crowd.away", "crowd.silent", "live.count")
        )
    assert figures["soak.lost"]["p50"] == figures["soak.left.processes"]["p50"] == 0
    assert figures["soak.left.files"]["p50"] == 0
    assert [figures[f"crowd.{name}"]["p50"] for name in ("count", "frozen", "away", "silent")] == [2, 2, 0, 0]
    assert figures["create.one"]["target"] == 250
    assert figures["screenshot.png"]["ratio"] > 1
    assert {"start", "hello", "identity", "first action"} <= set(found["profile_ms"])
    shown_text = capsys.readouterr().out
    assert "one action: left_click(x, y)" in shown_text
    assert "STAGE OF A CREATE" in shown_text
    assert machines_since(began) == []


def machines_since(began: float) -> list[str]:
    """Processes of a benchmark's server that are still there."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().decode(errors="replace")
                if "desktop-sandbox-bench-" in command and entry.stat().st_mtime >= began - 1:
                    found.append(command)
            except OSError:
                continue
    return found
