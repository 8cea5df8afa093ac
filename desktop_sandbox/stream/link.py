"""The server's end of the control socket: requests by number with deadlines, events and binaries to a listener.

What the media process answers is checked no further than its form: it has no power over machines, and is believed in
what a viewer sees and sends.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import socket
from collections.abc import Callable, Mapping
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.errors import StreamerError
from desktop_sandbox.problem import error_classes
from streamer.control import ControlError, ControlFrame, ControlSocket

log = logging.getLogger("desktop_sandbox.stream")

REQUEST_S = 10.0
_KINDS: dict[str, type[errors.DesktopSandboxError]] = {
    "bad-offer": errors.InvalidRequestError,
    "recording": errors.ConflictError,
    "not-recording": errors.ConflictError,
}


class StreamerLink:
    """One connection to one media process. `event`, `binary` and `lost` are called in the loop; `lost` once."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        event: Callable[[dict[str, Any]], None],
        binary: Callable[[int, bytes], None],
        lost: Callable[[], None],
    ) -> None:
        self._event = event
        self._binary = binary
        self._lost = lost
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.heard = 0
        """Messages that came: while this grows, the process works."""
        self._socket = ControlSocket(sock, self._received, self._closed)

    @property
    def open(self) -> bool:
        """Whether it can be asked."""
        return self._socket.open

    async def request(
        self, op: str, params: Mapping[str, Any], *, fd: int | None = None, deadline_s: float = REQUEST_S
    ) -> dict[str, Any]:
        """Ask, and wait for the answer. `fd` travels along; the caller still closes its own.

        Raises the error that the media process reports, StreamerError if it is gone or says nothing in time.
        """
        number = next(self._numbers)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = answer
        try:
            self._send({"id": number, "op": op, **params}, fd)
            async with asyncio.timeout(deadline_s):
                result = await answer
        except TimeoutError:
            raise StreamerError(
                f"the media process did not answer {op} within {deadline_s:.0f} s", hint="it is busy; try again"
            ) from None
        finally:
            del self._waiting[number]
        return result if isinstance(result, dict) else {}

    def ask(self, op: str, params: Mapping[str, Any]) -> None:
        """Ask without caring for the answer; nothing happens if the media process is gone."""
        if self._socket.open:
            try:
                self._send({"id": next(self._numbers), "op": op, **params}, None)
            except StreamerError as error:
                log.debug("%s not sent: %s", op, error.message)

    def send_binary(self, viewer: int, data: bytes) -> None:
        """Pass on what a viewer's WebSocket said."""
        try:
            self._socket.send_binary(viewer, data)
        except ControlError as error:
            raise StreamerError(str(error), hint="reconnect") from error

    def close(self) -> None:
        """End the connection."""
        self._socket.close()

    def _send(self, message: dict[str, Any], fd: int | None) -> None:
        try:
            self._socket.send(message, fd)
        except ControlError as error:
            raise StreamerError(f"the media process is gone: {error}", hint="it is started again; retry") from error

    def _received(self, frame: ControlFrame) -> None:
        self.heard += 1
        if frame.message is None:
            self._binary(frame.viewer, frame.data)
        elif "event" in frame.message:
            try:
                self._event(frame.message)
            except Exception:  # one viewer's trouble must not end the others' link
                log.exception("event of the media process: %.200s", frame.message)
        else:
            self._answered(frame.message)

    def _answered(self, message: dict[str, Any]) -> None:
        answer = self._waiting.get(message.get("id", 0))
        if answer is None or answer.done():
            return
        error = message.get("error")
        if isinstance(error, Mapping):
            answer.set_exception(to_error(error))
        else:
            answer.set_result(message.get("result"))

    def _closed(self, error: Exception | None) -> None:
        gone = StreamerError("the media process ended", hint="it is started again; retry")
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(gone)
        if error is not None:
            log.warning("x media process: %s", error)
        self._lost()


def to_error(wire: Mapping[str, Any]) -> errors.DesktopSandboxError:
    """The error that the media process reports, as one of ours."""
    code = str(wire.get("code"))
    kind = _KINDS.get(code) or error_classes().get(code, StreamerError)
    hint = wire.get("hint")
    return kind(str(wire.get("message") or "the media process failed"), hint=hint if isinstance(hint, str) else None)
