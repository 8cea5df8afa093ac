"""A connection to a D-Bus daemon: many calls under way at once, and no wait without an end.

Nothing here blocks but `pump`, which waits for news until a given time at most.
"""

from __future__ import annotations

import os
import select
import socket
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote_to_bytes

from guest_image.agent.a11y import wire

DRIVER, DRIVER_PATH = "org.freedesktop.DBus", "/org/freedesktop/DBus"
PROPERTIES = "org.freedesktop.DBus.Properties"
_READ_BYTES = 1 << 16

Answered = Callable[[Any], None]
"""Takes what a call came to: a tuple of values, or a BusError."""


class BusError(Exception):
    """A call was answered by an error (`name`: the D-Bus error's, or "" where the connection itself failed)."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}" if name else message)
        self.name = name
        self.message = message


class Bus:
    """One connection; BusError where there is none to be had by `deadline` (monotonic seconds)."""

    def __init__(self, address: str, deadline: float) -> None:
        self._buffer = bytearray()
        self._out = bytearray()
        self._skip = 0
        self._serial = 0
        self._waiting: dict[int, Answered] = {}
        try:
            self._socket = _connect(address, deadline)
        except (OSError, ValueError) as error:
            raise BusError("", f"no D-Bus at {address!r:.200}: {error}") from error
        try:
            self._socket.setblocking(False)
            (self.name,) = self.call(DRIVER, DRIVER_PATH, DRIVER, "Hello", deadline=deadline)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close it; calls under way are not answered."""
        self._waiting.clear()
        self._socket.close()

    def send(
        self,
        to: str,
        path: str,
        interface: str,
        member: str,
        signature: str = "",
        *values: Any,
        answered: Answered,
    ) -> int:
        """Make a call, whose outcome `answered` gets some time while `pump` runs; its number, for `forget`."""
        self._serial += 1
        self._waiting[self._serial] = answered
        message = wire.Message(
            wire.CALL,
            self._serial,
            path=path,
            interface=interface,
            member=member,
            destination=to,
            signature=signature,
            body=values,
        )
        self._out += wire.encode(message)
        return self._serial

    def forget(self, number: int) -> None:
        """Do not wait for that call any more."""
        self._waiting.pop(number, None)

    def call(
        self, to: str, path: str, interface: str, member: str, signature: str = "", *values: Any, deadline: float
    ) -> tuple[Any, ...]:
        """Make a call and wait for its answer. BusError if it is an error, or does not come by `deadline`."""
        got: list[Any] = []
        number = self.send(to, path, interface, member, signature, *values, answered=got.append)
        while not got:
            if time.monotonic() >= deadline:
                self.forget(number)
                raise BusError("", f"{to} did not answer {member} in time")
            self.pump(deadline)
        if isinstance(got[0], BusError):
            raise got[0]
        answer: tuple[Any, ...] = got[0]
        return answer

    def pump(self, until: float) -> None:
        """Send and receive what can be; wait for something at most until `until`. BusError: the connection is gone."""
        wait = max(0.0, until - time.monotonic())
        readable, writable, _ = select.select([self._socket], [self._socket] if self._out else [], [], wait)
        try:
            if writable:
                del self._out[: self._socket.send(memoryview(self._out)[:_READ_BYTES])]
            if readable:
                data = self._socket.recv(_READ_BYTES)
                if not data:
                    raise BusError("", "the D-Bus daemon closed the connection")
                self._received(data)
        except BlockingIOError:
            pass
        except (OSError, wire.WireError) as error:
            raise BusError("", f"the connection to the D-Bus daemon broke: {error}") from error

    def _received(self, data: bytes) -> None:
        skipped = min(self._skip, len(data))
        self._skip -= skipped
        self._buffer += data[skipped:]
        while len(self._buffer) >= wire.FIXED_BYTES:
            head, body = wire.lengths(self._buffer)
            if len(self._buffer) < head:
                return
            if body > wire.MAX_BODY_BYTES:
                message = wire.decode(bytes(self._buffer[:head]), with_body=False)
                self._answer(message, BusError("too-large", f"an answer of {body} bytes"))
                dropped = min(len(self._buffer), head + body)
                self._skip = head + body - dropped
                del self._buffer[:dropped]
                continue
            if len(self._buffer) < head + body:
                return
            data = bytes(self._buffer[: head + body])
            del self._buffer[: head + body]
            self._take(data, head)

    def _take(self, data: bytes, head: int) -> None:
        try:
            message = wire.decode(data)
        except wire.WireError as error:  # what the daemon lets pass and we do not: the fault of one answer
            self._answer(wire.decode(data[:head], with_body=False), BusError("malformed", str(error)))
            return
        if message.kind == wire.ERROR:
            said = str(message.body[0]) if message.body else ""
            self._answer(message, BusError(message.error_name, said[:300]))
        else:
            self._answer(message, message.body)

    def _answer(self, message: wire.Message, outcome: Any) -> None:
        if message.kind in (wire.REPLY, wire.ERROR):
            answered = self._waiting.pop(message.reply_serial, None)
            if answered is not None:
                answered(outcome)


def _connect(address: str, deadline: float) -> socket.socket:
    """A socket on which D-Bus messages may be sent: connected, and known by our user id (SASL EXTERNAL)."""
    problem: OSError | ValueError = ValueError("no unix socket among the addresses")
    for entry in address.split(";"):
        kind, _, rest = entry.partition(":")
        options = dict(part.partition("=")[::2] for part in rest.split(","))
        if kind != "unix" or not ("path" in options or "abstract" in options):
            continue
        target = b"\0" + unquote_to_bytes(options["abstract"]) if "abstract" in options else options["path"].encode()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(max(0.01, deadline - time.monotonic()))
            connection.connect(target)
            connection.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
            line = b""
            while not line.endswith(b"\r\n") and len(line) < 512:
                piece = connection.recv(1)  # byte by byte: nothing of what comes after may be lost
                if not piece:
                    raise ValueError("the daemon closed the connection")
                line += piece
            if not line.startswith(b"OK "):
                raise ValueError(f"the daemon refused us: {line!r:.100}")
            connection.sendall(b"BEGIN\r\n")
            return connection
        except (OSError, ValueError) as error:
            connection.close()
            problem = error
    raise problem
