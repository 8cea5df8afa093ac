"""Template builds that outlive the client who asked: one at a time per template, followed by any number of clients."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from desktop_sandbox import errors
from desktop_sandbox.api.problems import unexpected
from desktop_sandbox.problem import plain, to_problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from desktop_sandbox.node.interface import Node

KEPT_KEYS = 1000


class Build:
    """One build: its events so far; the last has "template" (done) or "problem" (failed)."""

    def __init__(self, name: str, rebuild: bool) -> None:
        self.name = name
        self.rebuild = rebuild
        self.done = False
        self._events: list[bytes] = []
        self._news = asyncio.Event()

    def add(self, event: dict[str, Any]) -> None:
        """Tell all followers."""
        self._events.append(json.dumps(plain(event)).encode() + b"\n")
        self._news.set()
        self._news = asyncio.Event()

    def end(self) -> None:
        """No more events will come."""
        self.done = True
        self._news.set()

    async def follow(self) -> AsyncIterator[bytes]:
        """All events as NDJSON lines, from the first, until the build has ended."""
        at = 0
        while True:
            while at < len(self._events):
                yield self._events[at]
                at += 1
            if self.done:
                return
            await self._news.wait()


class Builds:
    """The builds of one server."""

    def __init__(self, node: Node, tasks: asyncio.TaskGroup) -> None:
        self._node = node
        self._tasks = tasks
        self._running: dict[str, Build] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._keys: OrderedDict[str, Build] = OrderedDict()

    def start(self, name: str, *, rebuild: bool, key: str | None) -> Build:
        """Start a build, or join the one that is running; a known key gives the build it started."""
        known = self._keys.get(key) if key else None
        if known is not None:
            if (known.name, known.rebuild) != (name, rebuild):
                raise errors.InvalidRequestError(
                    f"the Idempotency-Key {key!r} was used for another build", hint="use a new key for each build"
                )
            return known
        build = self._running.get(name)
        if build is None:
            build = self._running[name] = Build(name, rebuild)
            job = self._tasks.create_task(self._run(build))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
        if key:
            self._keys[key] = build
            while len(self._keys) > KEPT_KEYS:
                self._keys.popitem(last=False)
        return build

    def cancel(self) -> None:
        """End all builds: the server stops."""
        for job in self._jobs:
            job.cancel()

    async def _run(self, build: Build) -> None:
        try:
            async for step in self._node.build_template(build.name, rebuild=build.rebuild):
                build.add({"step": step.get("step"), "fraction": step.get("fraction"), "message": step.get("message")})
            build.add({"template": build.name})
        except asyncio.CancelledError:
            build.add({"problem": to_problem(errors.ServerError("the server stopped during the build"))})
            raise
        except errors.DesktopSandboxError as error:
            build.add({"problem": to_problem(error)})
        except Exception as error:
            build.add({"problem": to_problem(unexpected(error))})
        finally:
            build.end()
            self._running.pop(build.name, None)
