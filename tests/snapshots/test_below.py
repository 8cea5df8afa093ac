"""The pages below a machine: put together with its own, kept in its folder, and believed only where they make sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.errors import MachineError
from desktop_sandbox.microvm.private_pages import PAGE, Runs, runs_of, united
from desktop_sandbox.snapshots.below import BELOW, note_below, read_runs

PAGES = 64
SETS = st.sets(st.integers(0, PAGES - 1))


def runs(pages: set[int]) -> Runs:
    return runs_of(np.array(sorted(pages), np.intp))


@given(SETS, SETS)
def test_the_pages_of_both(one: set[int], other: set[int]) -> None:
    assert united(runs(one), runs(other)).tolist() == runs(one | other).tolist()


@given(SETS)
def test_what_is_kept_comes_back(pages: set[int]) -> None:
    content = runs(pages).astype("<u8").tobytes()
    assert read_runs(Path("x"), content, PAGES * PAGE).tolist() == runs(pages).tolist()


def test_a_machine_of_the_template_itself_has_none(tmp_path: Path) -> None:
    note_below(tmp_path, runs({1, 2, 9}))
    assert read_runs(tmp_path, (tmp_path / BELOW).read_bytes(), PAGES * PAGE).tolist() == [[1, 2], [9, 1]]
    note_below(tmp_path, None)
    assert not (tmp_path / BELOW).exists()
    note_below(tmp_path, None)


@pytest.mark.parametrize(
    "content",
    [
        b"short",
        np.array([[PAGES, 1]], "<u8").tobytes(),
        np.array([[PAGES - 1, 2]], "<u8").tobytes(),
        np.array([[0, 2**64 - 1]], "<u8").tobytes(),
        np.array([[2**63, 2**63]], "<u8").tobytes(),
    ],
)
def test_pages_that_a_machine_does_not_have_are_refused(content: bytes) -> None:
    with pytest.raises(MachineError):
        read_runs(Path("x"), content, PAGES * PAGE)
