"""What a page may say: the golden messages, and everything that is not allowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.messages import (
    MAX_CLIPBOARD,
    MAX_JSON_BYTES,
    MAX_TEXT,
    MessageError,
    newer,
    parse,
    parse_pointer,
    picture,
)

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "stream.json").read_text())
FROM_PAGE = [v for v in VECTORS["messages"] if v["direction"] == "page" and v["json"]["t"] != "auth"]
POINTERS = [v for v in VECTORS["binary"] if v["fields"]["kind"] == 1]
PICTURES = [v for v in VECTORS["binary"] if v["fields"]["kind"] != 1]


@pytest.mark.parametrize("vector", FROM_PAGE, ids=lambda v: v["name"])
def test_golden_messages_pass_as_they_are(vector):
    text = json.dumps(vector["json"], ensure_ascii=False)
    assert parse(text, 1280, 800) == vector["json"]
    assert parse(text.encode(), 1280, 800) == vector["json"]


def test_every_kind_of_message_has_a_golden_one():
    from streamer.messages import _CHECKS

    assert {v["json"]["t"] for v in FROM_PAGE} == set(_CHECKS)


@pytest.mark.parametrize("vector", POINTERS, ids=lambda v: v["name"])
def test_golden_pointers(vector):
    fields = vector["fields"]
    found = parse_pointer(bytes.fromhex(vector["hex"]), fields["x"] + 1, fields["y"] + 1)
    assert found == (fields["seq"], fields["x"], fields["y"])
    with pytest.raises(MessageError):
        parse_pointer(bytes.fromhex(vector["hex"]), fields["x"] + 1, fields["y"])
    with pytest.raises(MessageError):
        parse_pointer(bytes.fromhex(vector["hex"]), fields["x"], fields["y"] + 1)


@pytest.mark.parametrize("vector", PICTURES, ids=lambda v: v["name"])
def test_golden_pictures(vector):
    f = vector["fields"]
    made = picture(
        f["kind"], f["flags"] == 1, f["seq"], f["captured_ms"], f["width"], f["height"], bytes.fromhex(f["payload"])
    )
    assert made.hex() == vector["hex"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no json",
        "[]",
        "null",
        "1e999",
        '"key"',
        "{}",
        '{"t": 1}',
        '{"t": ["key"]}',
        '{"t": "hello"}',
        '{"t": "auth", "token": "x"}',
        '{"t": "key", "down": 1, "code": "KeyA", "keysym": 97}',
        '{"t": "key", "down": true, "code": "Key A", "keysym": 97}',
        '{"t": "key", "down": true, "code": "' + "K" * 33 + '", "keysym": 97}',
        '{"t": "key", "down": true, "code": "KeyA\\n", "keysym": 97}',
        '{"t": "key", "down": true, "code": "KeyA", "keysym": -1}',
        '{"t": "key", "down": true, "code": "KeyA", "keysym": 536870912}',
        '{"t": "key", "down": true, "code": "KeyA", "keysym": 97.5}',
        '{"t": "key", "down": true, "code": "KeyA", "keysym": true}',
        '{"t": "key", "down": true, "code": "KeyA"}',
        '{"t": "text", "text": 5}',
        '{"t": "text", "text": "\\ud800"}',
        json.dumps({"t": "text", "text": "a" * (MAX_TEXT + 1)}),
        '{"t": "button", "button": "left", "down": true, "x": 1280, "y": 0}',
        '{"t": "button", "button": "left", "down": true, "x": 0, "y": 800}',
        '{"t": "button", "button": "left", "down": true, "x": -1, "y": 0}',
        '{"t": "button", "button": "left", "down": true, "x": 0.5, "y": 0}',
        '{"t": "button", "button": "left", "down": true, "x": 0}',
        '{"t": "button", "button": "Left", "down": true, "x": 0, "y": 0}',
        '{"t": "button", "button": ["left"], "down": true, "x": 0, "y": 0}',
        '{"t": "wheel", "dx": 0, "dy": 100000, "x": 0, "y": 0}',
        '{"t": "wheel", "dx": 0, "dy": NaN, "x": 0, "y": 0}',
        '{"t": "ping", "at": Infinity}',
        '{"t": "ping", "at": "now"}',
        '{"t": "visible", "visible": "yes"}',
        '{"t": "resize", "width": 0, "height": 800}',
        '{"t": "resize", "width": 8193, "height": 800}',
        json.dumps({"t": "clipboard", "text": "a" * (MAX_CLIPBOARD + 1), "n": 1}),
        '{"t": "clipboard", "text": "a", "n": -1}',
        '{"t": "lease", "want": "steal"}',
        '{"t": "ack", "seq": 4294967296}',
        "[" * 100_000,
        " " * (MAX_JSON_BYTES + 1),
    ],
)
def test_what_is_wrong_is_refused(text):
    with pytest.raises(MessageError):
        parse(text, 1280, 800)


def test_unknown_fields_are_dropped():
    assert parse('{"t": "alive", "x": 5, "more": {}}', 1, 1) == {"t": "alive"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)  # a loaded host is no failure
@given(st.fixed_dictionaries({"t": st.sampled_from([v["json"]["t"] for v in FROM_PAGE])}), st.data())
def test_any_fields_are_refused_or_known(base, data):
    fields = data.draw(
        st.dictionaries(
            st.sampled_from(
                ["down", "code", "keysym", "text", "button", "x", "y", "dx", "dy", "at", "n", "want", "seq"]
            ),
            json_values,
        )
    )
    try:
        found = parse(json.dumps({**fields, **base}), 100, 50)
    except MessageError:
        return
    assert found["t"] == base["t"]
    if "x" in found:
        assert 0 <= found["x"] < 100
        assert 0 <= found["y"] < 50


@settings(deadline=None)  # a loaded host is no failure
@given(st.binary(max_size=40))
def test_any_bytes_are_no_pointer_or_one_on_the_screen(data):
    try:
        _, x, y = parse_pointer(data, 100, 50)
    except MessageError:
        return
    assert x < 100
    assert y < 50


def test_sequence_numbers_wrap():
    assert newer(1, 0)
    assert newer(0, 0xFFFFFFFF)
    assert not newer(0, 0)
    assert not newer(0xFFFFFFFF, 0)
