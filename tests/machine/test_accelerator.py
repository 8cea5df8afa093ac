"""The accelerator is decided by guest code that ran, and the answer is kept for one boot and one QEMU."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from desktop_sandbox.microvm import accelerator
from desktop_sandbox.microvm.accelerator import Accelerator, find_accelerator
from desktop_sandbox.microvm.host import boot_id, find_qemu


def test_the_probe_kernel_runs_in_long_mode_under_emulation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "_PROBE_TIMEOUT_S", 60.0)
    seconds, ended = accelerator._run_probe(find_qemu(), "tcg", "max")
    assert ended == accelerator._PROBE_EXIT
    assert seconds > 0


def test_a_probe_that_hangs_is_ended_at_its_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    leave = bytes.fromhex("b02a66baf400ee")
    assert leave in accelerator._PROBE
    hanging = accelerator._PROBE.replace(leave, bytes.fromhex("ebfe909090ee90"))
    monkeypatch.setattr(accelerator, "_PROBE", hanging)
    monkeypatch.setattr(accelerator, "_PROBE_TIMEOUT_S", 1.0)
    seconds, ended = accelerator._run_probe(find_qemu(), "tcg", "max")
    assert ended is None
    assert seconds >= 1.0


def test_what_this_host_has_is_a_kind_and_a_reason() -> None:
    found = accelerator.probe(find_qemu())
    assert found.kind in ("kvm", "tcg")
    assert found.why
    assert found.kind == "kvm" or found.hint


def test_the_answer_is_kept_for_this_boot_and_this_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probes: list[str] = []

    def probe(qemu: accelerator.QemuBuild) -> Accelerator:
        probes.append(qemu.digest)
        return Accelerator("tcg", "for the test")

    monkeypatch.setattr(accelerator, "probe", probe)
    qemu, cache = find_qemu(), tmp_path / "accelerator.json"
    first = find_accelerator(qemu, cache)
    assert find_accelerator(qemu, cache) == first
    assert len(probes) == 1
    assert boot_id() in json.loads(cache.read_text())["key"]

    find_accelerator(replace(qemu, digest="another build"), cache)
    assert probes[1:] == ["another build"]

    monkeypatch.setattr(accelerator, "boot_id", lambda: "another boot")
    find_accelerator(qemu, cache)
    assert len(probes) == 3

    cache.write_text('{"key": ')
    assert find_accelerator(qemu, cache).kind == "tcg"
    assert len(probes) == 4


def test_a_forced_accelerator_is_not_probed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "probe", lambda _: pytest.fail("probed"))
    for kind in ("kvm", "tcg"):
        found = find_accelerator(find_qemu(), tmp_path / "cache.json", forced=kind)
        assert found.kind == kind
        assert "configuration" in found.why
    assert not (tmp_path / "cache.json").exists()
