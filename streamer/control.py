"""The control socket between server and media process, spoken by both sides alike. A door.

A frame is `u32 length | u8 kind | payload`, big endian; `length` counts the payload. Kind 0 is a JSON object, kind 1 is
binary: `u32 viewer | bytes`, a message to or from that viewer's WebSocket. A descriptor travels with the bytes of its
frame, whose kind then has bit 7 set. Who is at the other end is trusted to keep to the form: a broken frame ends the
connection. Blocks nowhere.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import os
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_PAYLOAD = 4 << 20
JSON, BINARY = 0, 1
_HAS_FD = 0x80
_HEAD = struct.Struct(">IB")
_VIEWER = struct.Struct(">I")
_READ_BYTES = 256 << 10
_HIGH_WATER = 16 << 20


class ControlError(ConnectionError):
    """The other end broke the form, or does not read."""


@dataclass(frozen=True)
class ControlFrame:
    """One frame: `message` for JSON, `viewer` and `data` for binary. `fd`: a descriptor that now belongs to us."""

    message: dict[str, Any] | None = None
    viewer: int = 0
    data: bytes = b""
    fd: int | None = None


def encode_message(message: dict[str, Any], *, has_fd: bool = False) -> bytes:
    """A JSON frame. ControlError above MAX_PAYLOAD."""
    return _frame(JSON | (_HAS_FD if has_fd else 0), json.dumps(message, ensure_ascii=False).encode())


def encode_binary(viewer: int, data: bytes) -> bytes:
    """A binary frame to or from `viewer`'s WebSocket. ControlError above MAX_PAYLOAD."""
    return _frame(BINARY, _VIEWER.pack(viewer) + data)


def _frame(kind: int, payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD:
        raise ControlError(f"a control frame of {len(payload)} bytes; {MAX_PAYLOAD} are allowed")
    return _HEAD.pack(len(payload), kind) + payload


class ControlReader:
    """Bytes and descriptors in, frames out."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._fds: deque[int] = deque()

    def feed(self, data: bytes, fds: tuple[int, ...] = ()) -> list[ControlFrame]:
        """Take what one recvmsg gave; a descriptor never comes later than its frame. ControlError: this is no frame."""
        self._fds.extend(fds)
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEAD.size:
            length, kind = _HEAD.unpack_from(self._buffer)
            if length > MAX_PAYLOAD or kind & ~_HAS_FD not in (JSON, BINARY):
                raise ControlError(f"no control frame: kind {kind}, {length} bytes")
            whole = _HEAD.size + length
            if len(self._buffer) < whole:
                break
            payload = bytes(self._buffer[_HEAD.size : whole])
            del self._buffer[:whole]
            if kind & _HAS_FD and not self._fds:
                raise ControlError("a control frame whose descriptor did not come")
            fd = self._fds.popleft() if kind & _HAS_FD else None
            frames.append(self._parse(kind & ~_HAS_FD, payload, fd))
        return frames

    def close(self) -> None:
        """Close descriptors that no frame has claimed."""
        while self._fds:
            os.close(self._fds.popleft())

    def _parse(self, kind: int, payload: bytes, fd: int | None) -> ControlFrame:
        if kind == BINARY:
            if len(payload) < _VIEWER.size:
                raise ControlError("a binary control frame without a viewer")
            return ControlFrame(viewer=_VIEWER.unpack_from(payload)[0], data=payload[_VIEWER.size :], fd=fd)
        try:
            message = json.loads(payload)
        except ValueError as error:
            raise ControlError(f"a control message that is no JSON: {error}") from None
        if not isinstance(message, dict):
            raise ControlError("a control message that is no object")
        return ControlFrame(message=message, fd=fd)


class ControlSocket:
    """One end of the control socket, in the running loop; `received` and `closed` are called in it.

    `closed` is called once, with None after `close`, else with what ended it.
    """

    def __init__(
        self,
        sock: socket.socket,
        received: Callable[[ControlFrame], None],
        closed: Callable[[Exception | None], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._received = received
        self._closed = closed
        self._loop = asyncio.get_running_loop()
        self._reader = ControlReader()
        self._out: deque[tuple[memoryview, int | None]] = deque()
        self._out_bytes = 0
        self._open = True
        self._loop.add_reader(sock.fileno(), self._read)

    @property
    def open(self) -> bool:
        """Whether frames can still be sent."""
        return self._open

    @property
    def backlog_bytes(self) -> int:
        """What is still to be written."""
        return self._out_bytes

    def send(self, message: dict[str, Any], fd: int | None = None) -> None:
        """Send a JSON message; `fd` is duplicated at once, so the caller may close its own. ControlError if closed."""
        self._put(encode_message(message, has_fd=fd is not None), fd)

    def send_binary(self, viewer: int, data: bytes) -> None:
        """Send bytes of `viewer`'s WebSocket."""
        self._put(encode_binary(viewer, data), None)

    def close(self, error: Exception | None = None) -> None:
        """End it; what is not written yet is lost."""
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._reader.close()
        for _, fd in self._out:
            if fd is not None:
                os.close(fd)
        self._out.clear()
        self._out_bytes = 0
        self._closed(error)

    def _put(self, frame: bytes, fd: int | None) -> None:
        if not self._open:
            raise ControlError("the control socket is closed")
        if self._out_bytes > _HIGH_WATER:
            self.close(ControlError("the other end of the control socket does not read"))
            raise ControlError("the other end of the control socket does not read")
        self._out.append((memoryview(frame), None if fd is None else os.dup(fd)))
        self._out_bytes += len(frame)
        if len(self._out) == 1:
            self._write()

    def _write(self) -> None:
        try:
            while self._out:
                view, fd = self._out[0]
                ancillary = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
                sent = self._sock.sendmsg([view], ancillary)
                if fd is not None:
                    os.close(fd)
                self._out_bytes -= sent
                if sent < len(view):
                    self._out[0] = (view[sent:], None)
                else:
                    self._out.popleft()
        except BlockingIOError:
            self._loop.add_writer(self._sock.fileno(), self._write)
            return
        except OSError as error:
            self.close(error)
            return
        self._loop.remove_writer(self._sock.fileno())

    def _read(self) -> None:
        try:
            data, ancillary, _, _ = self._sock.recvmsg(_READ_BYTES, socket.CMSG_SPACE(4 * 8), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(error)
            return
        fds = array.array("i")
        for level, kind, carried in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(carried[: len(carried) - len(carried) % fds.itemsize])
        if not data:
            self.close(ControlError("the other end of the control socket closed it"))
            return
        try:
            frames = self._reader.feed(data, tuple(fds))
        except ControlError as error:
            self.close(error)
            return
        for frame in frames:
            if self._open:
                self._received(frame)
            elif frame.fd is not None:
                with contextlib.suppress(OSError):
                    os.close(frame.fd)
