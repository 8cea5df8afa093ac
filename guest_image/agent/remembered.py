"""Batches of actions that were begun: a repeated one gets the first one's results and is not done again."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

LIMIT = 1024


class Batch:
    """One batch: `done` gets its results; setting `cancelled` stops it after the present action or character."""

    def __init__(self, done: asyncio.Future[dict[str, Any]]) -> None:
        self.done = done
        self.cancelled = threading.Event()
        self.index = 0
        self.progressed_at: float | None = None

    def progress(self, report: dict[str, Any]) -> None:
        """The performer says that it goes on (from its thread)."""
        self.index = report.get("index", self.index)
        self.progressed_at = time.monotonic()


class Batches:
    """The last batches by id; the least recently asked for is forgotten first, but never a running one."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._known: OrderedDict[str, Batch] = OrderedDict()

    def get(self, batch_id: str) -> Batch | None:
        """The batch of that id, if it is remembered."""
        batch = self._known.get(batch_id)
        if batch is not None:
            self._known.move_to_end(batch_id)
        return batch

    def add(self, batch_id: str, batch: Batch) -> None:
        """Remember a batch from its beginning."""
        self._known[batch_id] = batch
        if len(self._known) > self._limit:
            for old, known in self._known.items():
                if known.done.done():
                    del self._known[old]
                    break

    def forget(self, batch_id: str) -> None:
        """A batch that did not even begin may be asked for again."""
        self._known.pop(batch_id, None)

    def __len__(self) -> int:
        return len(self._known)
