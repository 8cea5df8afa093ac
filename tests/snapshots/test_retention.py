"""What may go by itself, and what never does."""

from __future__ import annotations

from dataclasses import replace

from desktop_sandbox.node.facts import SnapshotInfo
from desktop_sandbox.node.retention import FORK_KEPT_S, PAUSE_KEPT_S, Rules, expendable

LATER = FORK_KEPT_S + 1


def info(name: str, kind: str, parent: str | None = None, *, named: str | None = None) -> SnapshotInfo:
    return SnapshotInfo(name, named, "sb", parent, "t", kind, 0.0, 1, (8, 8), True, 1.0)


def test_only_leaves_without_a_name_that_the_node_made_itself_go() -> None:
    tree = [
        info("a", "checkpoint"),
        info("b", "fork", "a"),
        info("c", "fork", "b"),
        info("d", "fork", "a", named="kept"),
        info("e", "fork", "a"),
        info("f", "pause", "e"),
        info("g", "fork", "d"),
    ]
    assert expendable(tree, {"g"}, LATER) == ["c", "f", "b", "e"]
    assert expendable(tree, {"g", "f"}, LATER) == ["c", "b"]
    assert expendable(tree, {"c", "f", "g"}, LATER) == []
    # a fork's snapshot is young: its children may still be on their way
    assert expendable(tree, {"g"}, PAUSE_KEPT_S + 1) == ["f"]
    assert expendable(tree, {"g"}, 1.0) == []


def test_rules_are_for_checkpoints_that_nobody_named_or_tagged() -> None:
    made = [replace(info(str(number), "checkpoint"), created_at=float(number)) for number in range(5)]
    made[0] = replace(made[0], name="kept")
    made[1] = replace(made[1], tags=("kept",))
    other = replace(info("other", "checkpoint"), sandbox="another", created_at=0.5)
    assert expendable([*made, other], (), 10.0) == []
    assert expendable([*made, other], (), 10.0, Rules(keep_newest=2)) == ["2"]
    assert expendable([*made, other], {"2"}, 10.0, Rules(keep_newest=1)) == ["3"]
    assert expendable([*made, other], (), 10.0, Rules(keep_s=6.5)) == ["3", "2", "other"]
    assert expendable([replace(each, kind="import") for each in made], (), 10.0, Rules(1, 1.0)) == []
