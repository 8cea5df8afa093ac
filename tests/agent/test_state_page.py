"""The state page's layout, against golden pages and against lies."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_image.agent.state_page import FILE_BYTES, LAYOUT_BYTES, ScreenState, StatePageError, pack, unpack

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "state_page.json").read_text())


@pytest.mark.parametrize("vector", VECTORS["pages"], ids=lambda vector: vector["name"])
def test_golden_pages(vector):
    state = ScreenState(**vector["state"])
    assert pack(state).hex() == vector["page_hex"]
    assert unpack(bytes.fromhex(vector["page_hex"])) == state


@pytest.mark.parametrize("vector", VECTORS["refused"], ids=lambda vector: vector["name"])
def test_golden_lies(vector):
    with pytest.raises(StatePageError):
        unpack(bytes.fromhex(vector["page_hex"]))


def test_being_written():
    page = bytearray(bytes.fromhex(VECTORS["pages"][0]["page_hex"]))
    page[8] |= 1
    assert unpack(page) is None
    assert unpack(memoryview(page + bytes(FILE_BYTES - len(page)))) is None


@given(st.binary(max_size=100))
def test_any_bytes(data):
    for page in (data, b"DSDISP01" + data):
        try:
            state = unpack(page)
        except StatePageError:
            continue
        assert state is None or pack(state) == page[:LAYOUT_BYTES]


def test_too_large_a_value_is_refused():
    state = asdict(unpack(bytes.fromhex(VECTORS["pages"][0]["page_hex"])))
    with pytest.raises(StatePageError):
        pack(ScreenState(**{**state, "hot_x": 70_000}))
