"""Batches of actions that were begun: a repeated one gets the first one's results and is not done again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from guest_image.agent.errors import OpError

if TYPE_CHECKING:
    import asyncio

LIMIT = 1024


class Batch:
    """One batch: `done` gets its results; setting `cancelled` stops it after the present action or character.

    A batch of the lane has no future: its `outcome` is there once it is over.
    """

    def __init__(self, done: asyncio.Future[dict[str, Any]] | None = None) -> None:
        self.done = done
        self.outcome: dict[str, Any] | None = None
        self.cancelled = threading.Event()
        self.index = 0
        self.progressed_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether nothing of it is still to be done."""
        return self.outcome is not None or (self.done is not None and self.done.done())

    def give_up(self, silence_s: float) -> OpError:
        """The performer has said nothing for so long: stop it should it come back. What its host is told."""
        self.cancelled.set()
        return OpError(
            "deadline",
            f"the X server has not answered for {silence_s:g} s, at action {self.index}",
            hint="the actions before it were done; look at the screen",
            detail={"index": self.index},
        )

    def progress(self, report: dict[str, Any]) -> None:
        """The performer says that it goes on (from its thread)."""
        self.index = report.get("index", self.index)
        self.progressed_at = time.monotonic()


def is_undone(outcome: dict[str, Any]) -> bool:
    """Whether nothing at all was done, for want of a display: then it may be asked for again."""
    failed = outcome["failed"]
    return not outcome["results"] and bool(failed) and failed["code"] == "no_display"


class Batches:
    """The last batches by id; the least recently asked for is forgotten first, but never a running one.

    Asked by the agent's loop and by the lane.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Batch] = OrderedDict()

    def get(self, batch_id: str) -> Batch | None:
        """The batch of that id, if it is remembered."""
        with self._lock:
            batch = self._known.get(batch_id)
            if batch is not None:
                self._known.move_to_end(batch_id)
            return batch

    def add(self, batch_id: str, batch: Batch) -> None:
        """Remember a batch from its beginning."""
        with self._lock:
            self._known[batch_id] = batch
            if len(self._known) > self._limit:
                old = next((name for name, known in self._known.items() if known.over), None)
                if old is not None:
                    del self._known[old]

    def forget(self, batch_id: str) -> None:
        """A batch that did not even begin may be asked for again."""
        with self._lock:
            self._known.pop(batch_id, None)

    def __len__(self) -> int:
        return len(self._known)
