"""What is kept of a program's output. Pure."""

from __future__ import annotations

import random

from guest_image.agent.scrollback import Scrollback


def everything(kept: Scrollback, most: int = 1 << 20) -> list[tuple[int, bytes]]:
    found, offset = [], kept.start
    while (piece := kept.piece(offset, most)) is not None:
        found.append(piece)
        offset += len(piece[1])
    assert offset == kept.end
    return found


def test_order_and_joining():
    kept = Scrollback(100)
    for stream, data in ((1, b"ab"), (1, b"c"), (2, b"E"), (1, b"d"), (1, b"")):
        kept.add(stream, data)
    assert everything(kept) == [(1, b"abc"), (2, b"E"), (1, b"d")]
    assert kept.piece(1, 1) == (1, b"b")
    assert kept.piece(5, 9) is None


def test_the_oldest_goes_byte_by_byte():
    kept = Scrollback(10)
    kept.add(1, b"0123456789")
    kept.add(2, b"ab")
    assert (kept.start, kept.end) == (2, 12)
    assert everything(kept) == [(1, b"23456789"), (2, b"ab")]
    kept.add(1, b"x" * 1000)
    assert everything(kept) == [(1, b"x" * 10)]
    assert kept.start == 1002
    assert (kept.nearest(None), kept.nearest(0), kept.nearest(1005), kept.nearest(5000)) == (1002, 1002, 1005, 1012)


def test_many_tiny_pieces_are_bounded():
    kept = Scrollback()
    for number in range(20_000):
        kept.add(1 + number % 2, b"x")
    assert len(everything(kept)) <= 2048
    assert kept.end == 20_000


def test_any_cutting_gives_the_tail():
    rng = random.Random(7)
    kept, written = Scrollback(500), b""
    for _ in range(300):
        data = rng.randbytes(rng.randrange(0, 90))
        kept.add(rng.choice((1, 2)), data)
        written += data
        assert b"".join(data for _, data in everything(kept, 13)) == written[-500:]
        assert kept.end == len(written)
