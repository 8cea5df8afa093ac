# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""Commands that run in the background of a desktop."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from desktop_sandbox.sdk._sync.attached import Attached
from desktop_sandbox.sdk.models import CommandOutput, CommandResult

if TYPE_CHECKING:
    from desktop_sandbox.sdk.reach import JobInfo

_STREAMS = {1: "stdout", 2: "stderr"}


class BackgroundCommand(Attached):
    """A command in the background. Iterating gives its output, CommandOutput by CommandOutput, until it ends."""

    def read(self) -> CommandOutput | None:
        """The next piece of its output; None once it has ended."""
        message = self._receive()
        if message is None:
            return None
        self.offset = (self.offset or 0) + len(message) - 1
        return CommandOutput(_STREAMS.get(message[0], "stdout"), message[1:])

    def __iter__(self) -> Iterator[CommandOutput]:
        while (piece := self.read()) is not None:
            yield piece

    def send_stdin(self, data: str | bytes) -> None:
        """Write to its input (start it with `stdin=True`)."""
        self._send(data.encode() if isinstance(data, str) else data)

    def close_stdin(self) -> None:
        """Let it see the end of its input."""
        self._send(json.dumps({"t": "eof"}))

    def wait(self) -> CommandResult:
        """Read until it ends: the output that was not read before, and how it ended (any exit code is fine)."""
        parts: dict[str, list[str]] = {"stdout": [], "stderr": []}
        decoders = {name: codecs.getincrementaldecoder("utf-8")("replace") for name in parts}
        while (piece := self.read()) is not None:
            parts[piece.stream].append(decoders[piece.stream].decode(piece.data))
        for name, decoder in decoders.items():
            parts[name].append(decoder.decode(b"", final=True))
        info: JobInfo = self.info
        code = -1 if info.exit_code is None else info.exit_code
        return CommandResult("".join(parts["stdout"]), "".join(parts["stderr"]), code, info.signal, info.timed_out)
