"""Runs in the guest: figures of one network, as JSON. Nothing but the standard library."""

from __future__ import annotations

import json
import socket
import sys
import time

HOST, SECONDS = sys.argv[1], float(sys.argv[2])
SOURCE, SINK, ECHO = 9001, 9002, 9003


def dial(port: int) -> socket.socket:
    """A connection that sends small pieces at once."""
    made = socket.create_connection((HOST, port), 30)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def download() -> float:
    """Bytes a second."""
    buffer, count = bytearray(1 << 18), 0
    with dial(SOURCE) as source:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            count += source.recv_into(buffer)
        return count / (time.monotonic() - began)


def upload() -> float:
    """Bytes a second, until the other end has them."""
    piece, count = bytes(1 << 17), 0
    with dial(SINK) as sink:
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            sink.sendall(piece)
            count += len(piece)
        sink.shutdown(socket.SHUT_WR)
        assert int.from_bytes(sink.recv(8), "big") == count
        return count / (time.monotonic() - began)


def round_trips() -> list[float]:
    """Seconds of each byte that goes there and back."""
    took = []
    with dial(ECHO) as echo:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            began = time.monotonic()
            echo.sendall(b"x")
            echo.recv(1)
            took.append(time.monotonic() - began)
    return took


def connections() -> list[float]:
    """Seconds of each connection that is made, used for one byte and ended."""
    took = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.monotonic()
        with dial(ECHO) as echo:
            echo.sendall(b"x")
            echo.recv(1)
        took.append(time.monotonic() - began)
    return took


dial(ECHO).close()
found = {"download": download(), "upload": upload(), "round_trips": round_trips(), "connections": connections()}
print(json.dumps(found))
