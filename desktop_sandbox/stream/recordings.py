"""The recordings of sandboxes: an MP4 and a JSON record beside it, in the sandbox's folder. One at a time for each.

The media process writes into a descriptor that it is given; it never sees the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from desktop_sandbox.errors import NotFoundError

FOLDER = "recordings"


@dataclass(frozen=True)
class Recording:
    """One recording. `state`: recording, done, or broken (the media process ended; what is there may still play)."""

    id: str
    state: str
    started_at: float
    cursor: bool
    ended_at: float | None = None
    frames: int | None = None
    duration_ms: int | None = None
    reason: str | None = None
    size_bytes: int = 0


class Recordings:
    """The files in one sandbox's folder."""

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._folder = folder / FOLDER
        self._clock = clock

    def begin(self, *, cursor: bool) -> tuple[Recording, int]:
        """A new recording, and the descriptor of its file, which the caller closes."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        now = self._clock()
        stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
        recording = Recording(f"rec-{stamp}-{secrets.token_hex(2)}", "recording", now, cursor)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(self.path(recording.id), flags, 0o600)
        self._keep(recording)
        return recording, descriptor

    def finish(self, recording: Recording, state: str, reason: str, facts: dict[str, Any] | None = None) -> Recording:
        """Note how it ended."""
        facts = facts or {}
        done = replace(
            recording,
            state=state,
            ended_at=self._clock(),
            reason=reason,
            frames=_number(facts.get("frames")),
            duration_ms=_number(facts.get("duration_ms")),
            size_bytes=self.size(recording.id),
        )
        if self._folder.exists():
            self._keep(done)
        return done

    def list(self, running: str | None = None) -> list[Recording]:
        """All of them, newest first. `running` is the one that is going on: others that never ended are broken."""
        found = []
        for path in sorted(self._folder.glob("rec-*.json"), reverse=True):
            try:
                recording = Recording(**json.loads(path.read_text()))
            except (OSError, ValueError, TypeError):
                continue
            if recording.state == "recording" and recording.id != running:
                recording = replace(recording, state="broken", reason="the server or the media process ended")
            found.append(replace(recording, size_bytes=self.size(recording.id)))
        return found

    def get(self, recording_id: str | None, running: str | None = None) -> Recording:
        """One of them, or the newest. NotFoundError."""
        for recording in self.list(running):
            if recording_id is None or recording.id == recording_id:
                return recording
        raise NotFoundError(
            "there is no such recording" if recording_id else "nothing was recorded yet",
            hint="POST …/recording starts one, GET …/recordings lists them",
        )

    def remove(self, recording: Recording) -> None:
        """Delete the file and its record."""
        self.path(recording.id).unlink(missing_ok=True)
        self.path(recording.id).with_suffix(".json").unlink(missing_ok=True)

    def path(self, recording_id: str) -> Path:
        """The MP4's place."""
        return self._folder / f"{recording_id}.mp4"

    def size(self, recording_id: str) -> int:
        """The MP4's size in bytes now."""
        try:
            return self.path(recording_id).stat().st_size
        except OSError:
            return 0

    def _keep(self, recording: Recording) -> None:
        path = self.path(recording.id).with_suffix(".json")
        aside = path.with_suffix(".part")
        aside.write_text(json.dumps(asdict(recording)))
        aside.rename(path)


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
