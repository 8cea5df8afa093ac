"""The reader of frames against everything a stream of bytes can be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_image.agent import protocol
from guest_image.agent.protocol import Frame, FrameReader, Kind, ProtocolError, encode, encode_json

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "protocol.json").read_text())
CAP = 1 << 12
HELLO = encode_json(Kind.HELLO, 0, {"nonce": "ab", "versions": [1], "port": "control"})
WELCOME = encode_json(Kind.WELCOME, 0, {"nonce": "ab", "version": 1, "agent": "x"})

frames = st.builds(Frame, st.sampled_from(list(Kind)), st.integers(0, 2**32 - 1), st.binary(max_size=200))


def wire(frame: Frame) -> bytes:
    return encode(frame.kind, frame.request, frame.payload)


def guest_reader() -> FrameReader:
    return FrameReader(Kind.HELLO, strict=False, max_payload=CAP)


def host_reader() -> FrameReader:
    return FrameReader(Kind.WELCOME, strict=True, max_payload=CAP)


def feed(reader: FrameReader, data: bytes, cuts: list[int]) -> list[Frame]:
    found, position = [], 0
    for cut in [*cuts, len(data)]:
        found += reader.feed(data[position : position + cut])
        position += cut
        assert reader.buffered_bytes <= CAP + protocol.HEADER_BYTES
        if position >= len(data):
            break
    return found


@pytest.mark.parametrize("vector", VECTORS["frames"], ids=lambda vector: vector["name"])
def test_golden_frames(vector):
    expected = Frame(Kind[vector["kind"]], vector["request"], bytes.fromhex(vector["payload_hex"]))
    data = bytes.fromhex(vector["frame_hex"])
    assert wire(expected) == data
    reader = guest_reader()
    reader.feed(HELLO)
    assert reader.feed(data) == [expected]


@pytest.mark.parametrize("vector", VECTORS["broken"], ids=lambda vector: vector["name"])
def test_golden_broken_frames(vector):
    reader = host_reader()
    reader.feed(WELCOME)
    with pytest.raises(ProtocolError):
        reader.feed(bytes.fromhex(vector["frame_hex"]))
    with pytest.raises(ProtocolError):
        reader.feed(b"")


@given(st.lists(frames, max_size=8), st.lists(st.integers(1, 50), max_size=200))
def test_cut_anywhere(sent, cuts):
    data = WELCOME + b"".join(map(wire, sent))
    assert feed(host_reader(), data, cuts)[1:] == sent


@given(st.lists(frames, max_size=4))
def test_one_byte_at_a_time(sent):
    data = HELLO + b"".join(map(wire, sent))
    assert feed(guest_reader(), data, [1] * len(data))[1:] == sent


@given(st.binary(max_size=3000), st.lists(st.integers(1, 300), max_size=20))
def test_random_bytes(data, cuts):
    feed(guest_reader(), data, cuts)
    guest = guest_reader()
    guest.feed(HELLO)
    feed(guest, data, cuts)
    host = host_reader()
    feed(host, data, cuts)
    host.feed(WELCOME)
    try:
        feed(host, data, cuts)
    except ProtocolError:
        with pytest.raises(ProtocolError):
            host.feed(WELCOME)


@given(st.lists(frames, min_size=1, max_size=4), st.integers(0), st.integers(0, 7))
def test_flipped_bit_is_never_taken_for_a_frame(sent, place, bit):
    data = bytearray(b"".join(map(wire, sent)))
    place %= len(data)
    data[place] ^= 1 << bit
    reader = host_reader()
    reader.feed(WELCOME)
    try:
        found = reader.feed(bytes(data))
    except ProtocolError:
        return
    assert found == sent[: len(found)]
    assert len(found) < len(sent)


@given(st.lists(frames, min_size=1, max_size=4), st.integers(0))
def test_truncated(sent, keep):
    data = b"".join(map(wire, sent))
    reader = host_reader()
    reader.feed(WELCOME)
    found = reader.feed(data[: keep % len(data)])
    assert found == sent[: len(found)]


@given(st.binary(max_size=500), st.lists(frames, max_size=3), st.binary(min_size=1, max_size=100))
def test_guest_finds_hello_after_any_junk(before, sent, junk):
    reader = guest_reader()
    expected = Frame(Kind.HELLO, 0, HELLO[protocol.HEADER_BYTES :])
    first = [*reader.feed(before), *reader.feed(HELLO + b"".join(map(wire, sent)) + b"\0" + junk)]
    assert first[-len(sent) - 1 :] == [expected, *sent] or junk.startswith(b"DS")
    found = [*reader.feed(bytes(CAP + protocol.HEADER_BYTES) + HELLO)]
    assert found[-1] == expected


@given(st.binary(min_size=60, max_size=2000), st.integers(1))
def test_guest_finds_hello_in_the_middle_of_a_frame(payload, cut):
    reader = guest_reader()
    reader.feed(HELLO)
    half = encode(Kind.REQUEST, 1, payload)
    cut = cut % (len(half) - 1) + 1
    found = [*reader.feed(half[:cut] + HELLO), *reader.stalled()]
    assert found[-1].kind is Kind.HELLO
    assert reader.feed(encode(Kind.CANCEL, 3)) == [Frame(Kind.CANCEL, 3, b"")]


def test_stall_alone_changes_nothing():
    reader = guest_reader()
    reader.feed(HELLO)
    data = encode(Kind.REQUEST, 1, b"x" * 100)
    assert reader.feed(data[:50]) == []
    assert reader.stalled() == []
    assert reader.feed(data[50:]) == [Frame(Kind.REQUEST, 1, b"x" * 100)]


def test_too_long_a_frame_is_refused_by_its_header():
    reader = host_reader()
    reader.feed(WELCOME)
    with pytest.raises(ProtocolError, match="at most 4096"):
        reader.feed(encode(Kind.REPLY, 1, b"x" * 5000)[:20])


def test_host_passes_over_welcomes_for_others():
    mine = FrameReader(Kind.WELCOME, strict=True, max_payload=CAP, accept=lambda frame: b"mine" in frame.payload)
    data = b"junk" + WELCOME + b"\xff" * 5 + encode(Kind.WELCOME, 0, b"mine") + encode(Kind.REPLY, 1, b"1")
    assert [frame.kind for frame in feed(mine, data, [1] * len(data))] == [Kind.WELCOME, Kind.REPLY]


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{",
        b"nul",
        b"\xff\xfe",
        b"NaN",
        b"[1e999]",
        b"[Infinity]",
        b"[" * 5000 + b"]" * 5000,
        b"[" * 100_000,
        b'{"a":' * 70 + b"1" + b"}" * 70,
        b"1" * 5000,
    ],
)
def test_bad_json(payload):
    with pytest.raises(ProtocolError):
        protocol.load_json(payload)


@given(st.binary(max_size=300))
def test_json_of_random_bytes(payload):
    try:
        protocol.load_json(payload)
    except ProtocolError:
        return


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**60), 2**60)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=10,
    )
)
def test_json_comes_back(value):
    assert protocol.load_json(protocol.dump_json(value)) == value


def test_lone_surrogates_become_replacement_characters():
    assert protocol.load_json(b'{"a\\udc80":["\\ud800x","\\ud83d\\ude42"]}') == {"a\ufffd": ["\ufffdx", "🙂"]}


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x07abc"])
def test_bad_data(payload):
    with pytest.raises(ProtocolError):
        protocol.parse_data(payload)


@pytest.mark.parametrize("payload", [b"", b"\x01\x02", b"\x09"])
def test_bad_end(payload):
    with pytest.raises(ProtocolError):
        protocol.parse_end(payload)


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x01\0\0\0", b"\x05\0\0\0\1"])
def test_bad_credit(payload):
    with pytest.raises(ProtocolError):
        protocol.parse_credit(payload)


def test_windows():
    sending = protocol.SendWindow(10)
    assert [sending.take(4), sending.take(40), sending.take(1)] == [4, 6, 0]
    sending.grant(5)
    assert sending.take(9) == 5
    with pytest.raises(ProtocolError):
        sending.grant(1 << 31)
    receiving = protocol.ReceiveWindow(100)
    receiving.received(100)
    with pytest.raises(ProtocolError):
        receiving.received(1)
    assert [receiving.consumed(20), receiving.consumed(20)] == [0, 40]
    receiving.received(40)


def test_too_large_a_payload_is_not_sent():
    with pytest.raises(ProtocolError):
        encode_json(Kind.REPLY, 1, "x" * (1 << 20))
    with pytest.raises(ProtocolError):
        protocol.dump_json(float("nan"))
    with pytest.raises(ProtocolError):
        protocol.encode_data(1, 1, bytes(64 << 10))
