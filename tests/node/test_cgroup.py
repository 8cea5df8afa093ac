"""A machine's group in a hierarchy that is a folder of plain files."""

from __future__ import annotations

from pathlib import Path

import pytest

from desktop_sandbox.microvm.cgroup import MAX_TASKS, Cgroup


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    return tmp_path


def test_a_machine_gets_limits_of_its_own_until_it_has_ended(root: Path) -> None:
    groups = Cgroup("beef", root)
    assert groups.available
    parent = root / "desktop-sandbox-beef"
    for folder in (root, parent):
        assert (folder / "cgroup.subtree_control").read_text() == "+memory +pids"
    assert groups.enclose("sb-1", 4711, 1000)
    group = parent / "sb-1"
    assert (group / "memory.max").read_text() == str(1512 * 1024**2)
    assert (group / "memory.swap.max").read_text() == "0"
    assert (group / "pids.max").read_text() == str(MAX_TASKS)
    assert (group / "cgroup.procs").read_text() == "4711"
    groups.remove("sb-1")
    assert group.exists(), "as the kernel's, it does not go while there is something in it"
    for file in group.iterdir():
        file.unlink()
    groups.remove("sb-1")
    assert not group.exists()
    groups.remove("sb-1")
    (parent / "cgroup.subtree_control").unlink()
    groups.close()
    assert not parent.exists()


@pytest.mark.parametrize("controllers", [None, "cpuset cpu io"])
def test_without_a_hierarchy_of_ours_machines_run_without(tmp_path: Path, controllers: str | None) -> None:
    if controllers is not None:
        (tmp_path / "cgroup.controllers").write_text(controllers)
    groups = Cgroup("beef", tmp_path)
    assert not groups.available
    assert not groups.enclose("sb-1", 4711, 1000)
    groups.remove("sb-1")
    groups.close()
    assert not (tmp_path / "desktop-sandbox-beef").exists()
