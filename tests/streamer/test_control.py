"""The control socket: frames in pieces, descriptors with their frames, a broken peer."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from streamer.control import (
    MAX_PAYLOAD,
    ControlError,
    ControlFrame,
    ControlReader,
    ControlSocket,
    encode_binary,
    encode_message,
)


def test_frames_come_whole_whatever_the_pieces() -> None:
    stream = encode_message({"op": "stats", "id": 1}) + encode_binary(7, b"\x00pixels") + encode_message({"ü": "世"})
    for size in (1, 2, 5, len(stream)):
        reader = ControlReader()
        frames = [frame for at in range(0, len(stream), size) for frame in reader.feed(stream[at : at + size])]
        assert frames == [
            ControlFrame(message={"op": "stats", "id": 1}),
            ControlFrame(viewer=7, data=b"\x00pixels"),
            ControlFrame(message={"ü": "世"}),
        ]


@pytest.mark.parametrize(
    "stream",
    [
        b"\x00\x00\x00\x02\x00[]",
        b"\x00\x00\x00\x01\x00{",
        b"\x00\x00\x00\x01\x07x",
        b"\xff\xff\xff\xff\x00",
        b"\0\0\0\3\1abc",
    ],
)
def test_what_is_no_frame_is_an_error(stream: bytes) -> None:
    with pytest.raises(ControlError):
        ControlReader().feed(stream)


def test_a_frame_too_large_is_not_sent() -> None:
    with pytest.raises(ControlError):
        encode_binary(1, bytes(MAX_PAYLOAD))


async def test_descriptors_arrive_with_their_frames_and_large_frames_in_order() -> None:
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    got: list[ControlFrame] = []
    done = asyncio.Event()
    ended: list[Exception | None] = []

    def received(frame: ControlFrame) -> None:
        got.append(frame)
        if len(got) == 5:
            done.set()

    left = ControlSocket(here, lambda _: None, ended.append)
    right = ControlSocket(there, received, ended.append)
    read, write = os.pipe()
    left.send({"n": 0})
    left.send_binary(3, bytes(3_000_000))
    left.send({"n": 2}, fd=write)
    left.send({"n": 3})
    left.send({"n": 4}, fd=read)
    os.close(read)
    os.close(write)
    await asyncio.wait_for(done.wait(), 5)
    assert [frame.fd is not None for frame in got] == [False, False, True, False, True]
    assert len(got[1].data) == 3_000_000
    assert got[2].fd is not None
    assert got[4].fd is not None
    os.write(got[2].fd, b"over")
    os.close(got[2].fd)
    assert os.read(got[4].fd, 9) == b"over"
    os.close(got[4].fd)
    left.close()
    while len(ended) < 2:
        await asyncio.sleep(0.01)
    assert ended[0] is None
    assert isinstance(ended[1], ControlError)
    assert not right.open
    with pytest.raises(ControlError):
        left.send({})
