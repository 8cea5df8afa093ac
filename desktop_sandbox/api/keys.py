"""Idempotency keys (draft-ietf-httpapi-idempotency-key-header): each change is done once, whoever asks how often.

`Once.run` does a piece of work in a task of its own, so a client that goes away cancels nothing. With a key, a
repeat joins the running work or gets the kept answer; the same key with another request is refused. Work that a
lower layer repeats safely (`repeatable`: create by key, batches by batch id) is simply done again after a crash;
other work is noted before it starts, and a crash in its middle is told, never guessed. Work that takes a halt can be
cancelled by its key; it then answers its request, and each repeat, with what was done.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from desktop_sandbox import errors
from desktop_sandbox.api.key_store import KeyStore, check_same
from desktop_sandbox.api.problems import problem_answer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

    from desktop_sandbox.api.answer import Answer
    from desktop_sandbox.node.halt import Halt

log = logging.getLogger("desktop_sandbox.api")

MEMORY_BYTES = 64 << 20
MEMORY_ANSWERS = 10_000
PURGE_SECONDS = 600
FLUSH_SECONDS = 0.05
STOP_SECONDS = 10.0
MOST_UNWANTED = 1000
NOTHING_DONE = (
    errors.InvalidRequestError,
    errors.NotFoundError,
    errors.ConflictError,
    errors.CapacityError,
    errors.AuthenticationError,
)


@dataclass(frozen=True)
class _Running:
    path: str
    digest: bytes
    answer: asyncio.Future[tuple[Answer, bool]]
    halt: Halt | None


class Once:
    """Does work once per key, in tasks of a group that outlives every request."""

    def __init__(self, store: KeyStore, tasks: asyncio.TaskGroup) -> None:
        self._store = store
        self._group = tasks
        self._tasks: set[asyncio.Task[None]] = set()
        self._running: dict[str, _Running] = {}
        self._unwanted: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._recent: OrderedDict[str, tuple[bytes, Answer]] = OrderedDict()
        self._recent_bytes = 0
        self._pending: list[tuple[str, bytes, Answer, float]] = []
        self._next_purge = 0.0

    def __repr__(self) -> str:
        return f"<Once {len(self._running)} running, {len(self._recent)} recent>"

    @classmethod
    async def open(cls, path: Path, tasks: asyncio.TaskGroup, *, hours: float) -> Self:
        """Open or make the file of kept answers."""
        return cls(await KeyStore.open(path, seconds=hours * 3600), tasks)

    async def close(self) -> None:
        """Close the file of kept answers."""
        await self._store.close()

    async def drain(self, seconds: float) -> None:
        """Let running work end, and cancel what has not after `seconds`."""
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=seconds)
            for task in late:
                log.warning("x %s cancelled: the server stops", task.get_name())
                task.cancel()
        while self._tasks:  # what just ended is being kept
            await asyncio.wait(set(self._tasks))

    async def run(
        self,
        request: Request,
        work: Callable[[], Awaitable[Answer]],
        *,
        repeatable: bool = True,
        halt: Halt | None = None,
    ) -> Response:
        """Answer a request by its key (see the module). `halt`: what `cancel` asks."""
        key = request_key(request)
        future: asyncio.Future[tuple[Answer, bool]] = asyncio.get_running_loop().create_future()
        if key is None:
            self._start(self._settle(future, work()))
            return (await asyncio.shield(future))[0].response()
        digest = request_digest(request, await request.body())
        running = self._running.get(key)
        if running is not None:
            check_same(key, running.digest, digest)
            return (await asyncio.shield(running.answer))[0].response(replayed=True)
        path = request.url.path
        self._running[key] = _Running(path, digest, future, halt)
        if halt is not None and self._unwanted.pop((path, key), True) is None:
            halt.ask()
        self._start(self._settle_keyed(key, digest, work, repeatable, future))
        answer, replayed = await asyncio.shield(future)
        return answer.response(replayed=replayed)

    async def cancel(self, path: str, key: str) -> None:
        """Halt what runs under a key of requests to `path`; returns once that is answered.

        NotFoundError where nothing runs under it; should its request come after all, it is halted from the beginning.
        DeadlineError if it does not stop in time.
        """
        running = self._running.get(key)
        if running is None or running.halt is None or running.path != path:
            self._unwanted[path, key] = None
            if len(self._unwanted) > MOST_UNWANTED:
                self._unwanted.popitem(last=False)
            raise errors.NotFoundError(
                f"nothing that could be cancelled runs under the key {key!r}",
                hint="it is over, or did not begin yet and will do nothing; its own request, repeated, says which",
            )
        running.halt.ask()
        await asyncio.wait([running.answer], timeout=STOP_SECONDS)
        if not running.answer.done():
            raise errors.DeadlineError(
                f"what runs under the key {key!r} has not stopped within {STOP_SECONDS:g} s",
                hint="it stops as soon as its desktop answers",
            )

    async def claim(self, request: Request, body: bytes) -> str | None:
        """Note that work begins whose answer is a stream and cannot be kept; ConflictError if it began before."""
        key = request_key(request)
        if key is None:
            return None
        found = self._recall(key, digest := request_digest(request, body))
        if found is None:
            found = await self._store.begin(key, digest, time.time())
        if found is not None:
            raise errors.ConflictError(
                "this was started with the same Idempotency-Key before; its output was streamed and is not kept",
                hint="use a new key to run it again",
                outcome=found.body.decode("utf-8", "replace"),
            )
        return key

    async def release(self, key: str | None) -> None:
        """Nothing was done under a claimed key."""
        if key is not None:
            await self._store.forget(key)

    async def finish(self, key: str | None, digest: bytes, outcome: Answer) -> None:
        """Keep what came of work that was not done by `run`."""
        if key is not None:
            self._remember(key, digest, outcome)
            await self._store.save(key, digest, outcome, time.time())

    def finish_soon(self, key: str | None, digest: bytes, outcome: Answer) -> None:
        """`finish` from where nothing can be awaited."""
        if key is not None:
            self._remember(key, digest, outcome)
            self._start(self._store.save(key, digest, outcome, time.time()))

    def knows(self, key: str) -> bool:
        """Whether the key was used before."""
        return key in self._recent or key in self._running or self._store.knows(key, time.time())

    def lookup(self, key: str, digest: bytes) -> Answer | None:
        """The kept answer of a key; errors as `KeyStore.lookup`."""
        return self._recall(key, digest) or self._store.lookup(key, digest, time.time())

    async def _settle_keyed(
        self,
        key: str,
        digest: bytes,
        work: Callable[[], Awaitable[Answer]],
        repeatable: bool,
        future: asyncio.Future[tuple[Answer, bool]],
    ) -> None:
        """Give the future its answer, and keep it where a repeat must not do the work again."""

        kept: Answer | None = None

        async def answered() -> Answer | None:
            nonlocal kept
            found = self._recall(key, digest)
            if found is None and repeatable:
                found = self._store.lookup(key, digest, time.time())
            elif found is None:
                found = await self._store.begin(key, digest, time.time())
            if found is not None:
                future.set_result((found, True))
                return None
            answer, keep = await _outcome(work, repeatable)
            if keep:
                kept = answer
                self._remember(key, digest, answer)
            if not repeatable:
                await (self._store.save(key, digest, answer, time.time()) if keep else self._store.forget(key))
            return answer

        try:
            await self._settle(future, answered())
        finally:
            self._running.pop(key, None)
        if repeatable and kept is not None:
            self._pending.append((key, digest, kept, time.time()))
            if len(self._pending) == 1:
                self._start(self._flush())

    async def _flush(self) -> None:
        """Keep the answers of a short while in one go: none of them has to be on the disk before it is sent."""
        await asyncio.sleep(FLUSH_SECONDS)
        pending, self._pending = self._pending, []
        await self._store.save_all(pending)
        now = time.time()
        if now >= self._next_purge:
            self._next_purge = now + PURGE_SECONDS
            await self._store.purge(now)

    async def _settle(self, future: asyncio.Future[tuple[Answer, bool]], work: Awaitable[Answer | None]) -> None:
        try:
            answer = await work
            if answer is not None:
                future.set_result((answer, False))
        except BaseException as error:
            stopped = isinstance(error, asyncio.CancelledError)
            future.set_exception(_stopped() if stopped else error)
            future.exception()  # seen: the client may be gone
            if not isinstance(error, Exception):
                raise

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = self._group.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _recall(self, key: str, digest: bytes) -> Answer | None:
        recent = self._recent.get(key)
        if recent is None:
            return None
        check_same(key, recent[0], digest)
        return recent[1]

    def _remember(self, key: str, digest: bytes, answer: Answer) -> None:
        old = self._recent.pop(key, None)
        self._recent_bytes += len(answer.body) - (len(old[1].body) if old else 0)
        self._recent[key] = (digest, answer)
        while self._recent_bytes > MEMORY_BYTES or len(self._recent) > MEMORY_ANSWERS:
            _, (_, dropped) = self._recent.popitem(last=False)
            self._recent_bytes -= len(dropped.body)


async def _outcome(work: Callable[[], Awaitable[Answer]], repeatable: bool) -> tuple[Answer, bool]:
    """The work's answer, errors included, and whether a repeat must get it instead of doing the work again."""
    try:
        return await work(), True
    except errors.ActionFailedError as error:
        return problem_answer(error), True
    except NOTHING_DONE as error:
        return problem_answer(error), False
    except Exception as error:
        return problem_answer(error), not repeatable


def request_key(request: Request) -> str | None:
    """The Idempotency-Key, checked; None without one."""
    key = request.headers.get("idempotency-key")
    if key is not None and not (1 <= len(key) <= 255 and key.isascii() and key.isprintable() and " " not in key):
        raise errors.InvalidRequestError(
            "the Idempotency-Key must be 1 to 255 printable ASCII characters", hint="a random UUID does well"
        )
    return key


def request_digest(request: Request, body: bytes) -> bytes:
    """What makes a request the same request: method, path, query and body."""
    digest = hashlib.sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode())
    digest.update(body)
    return digest.digest()


def _stopped() -> errors.ServerError:
    return errors.ServerError("the server stopped before this was done", hint="repeat it with the same Idempotency-Key")
