"""A media process without media: a peer on the control socket, in a thread, that a test asks and tells."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from streamer.control import ControlReader, encode_binary, encode_message


class FakeStreamer:
    """Answers as `answers` says (a value, or an error object under "error"), and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.binaries: list[tuple[int, bytes]] = []
        self.starts = 0
        self.live = True
        """Whether viewers become live at once."""
        self.refuse_starts = 0
        self.answers: dict[str, dict[str, Any]] = {}
        self._sock: socket.socket | None = None
        self._lock = threading.Lock()

    def launch(self, end: socket.socket) -> subprocess.Popen[bytes]:
        self.starts += 1
        child = subprocess.Popen(["true"])
        if self.refuse_starts:
            self.refuse_starts -= 1
            return child  # the socket closes at once, as if the process had crashed
        sock = end.dup()
        sock.setblocking(True)
        self._sock = sock
        threading.Thread(target=self._serve, args=(sock,), daemon=True).start()
        return child

    def die(self) -> None:
        """As if the process was killed."""
        sock = self._sock
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)

    def emit(self, event: str, **facts: Any) -> None:
        self._send(encode_message({"event": event, **facts}))

    def say(self, viewer: int, data: bytes) -> None:
        self._send(encode_binary(viewer, data))

    def asked(self, op: str) -> list[dict[str, Any]]:
        return [request for request in self.requests if request["op"] == op]

    def told(self, viewer: int, kind: str) -> list[dict[str, Any]]:
        """Messages of a kind that a viewer was told."""
        messages = [request["message"] for request in self.asked("tell") if request.get("viewer") == viewer]
        return [message for message in messages if message["t"] == kind]

    def _send(self, frame: bytes) -> None:
        assert self._sock is not None
        with self._lock:
            self._sock.sendall(frame)

    def _serve(self, sock: socket.socket) -> None:
        reader = ControlReader()
        with sock:
            while True:
                try:
                    data, fds, _, _ = socket.recv_fds(sock, 1 << 16, 8)
                except OSError:
                    return
                if not data:
                    return
                for frame in reader.feed(data, tuple(fds)):
                    if frame.message is None:
                        self.binaries.append((frame.viewer, frame.data))
                    else:
                        self._answer(frame.message, frame.fd)

    def _answer(self, request: dict[str, Any], fd: int | None) -> None:
        op = request["op"]
        self.requests.append({**request, "has_fd": fd is not None})
        if op == "record.start" and fd is not None:
            os.write(fd, b"an mp4")
        if fd is not None:
            os.close(fd)
        result = self.answers.get(op, {"sdp": "v=0\r\nanswer"} if op == "viewer.offer" else {})
        outcome = {"error": result["error"]} if "error" in result else {"result": result}
        self._send(encode_message({"id": request["id"], **outcome}))
        if op in ("viewer.offer", "viewer.socket") and self.live and "error" not in result:
            self.emit("viewer.state", viewer=request["viewer"], state="live", transport="webrtc", reason=None)


def until(look: Callable[[], Any], what: str = "it", timeout_s: float = 10.0) -> Any:
    """Wait for something true."""
    deadline = time.monotonic() + timeout_s
    while not (found := look()):
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)
    return found
