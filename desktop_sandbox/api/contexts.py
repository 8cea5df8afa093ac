"""Code contexts of desktops: jobs (see `jobs`) that run a Jupyter kernel, spoken to in lines.

Whatever becomes of a caller or of this server, a context goes on in its machine; what it said before is its own affair.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.api.code_lines import Lines
from desktop_sandbox.node.interface import Node
from desktop_sandbox.node.reach_interface import JobInfo, JobLink, JobSpec

PROGRAM = "/usr/local/lib/desktop-sandbox/code-context"
KIND = "code"
KERNELS = {"python": "python3", "python3": "python3", "bash": "bash", "sh": "bash"} | dict.fromkeys(
    ("javascript", "js", "typescript", "ts"), "deno"
)
START_S = 240.0
ACCEPT_S = 300.0
_TRIES = 20
# what the guest's program ends with (guest_image/code/context.py)
_NO_KERNEL = 3

Messages = AsyncGenerator[dict[str, Any], None]


class Contexts:
    """Starts contexts and runs code in them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._sending: weakref.WeakValueDictionary[str, asyncio.Lock] = weakref.WeakValueDictionary()

    async def create(
        self, sandbox_id: str, context_id: str, language: str, *, user: str, cwd: str | None, env: Mapping[str, str]
    ) -> JobInfo:
        """Start a context, and return once it takes code.

        InvalidRequestError where the template has no such kernel, GuestError where it does not start.
        """
        kernel = KERNELS.get(language.lower(), language)
        spec = JobSpec(command=[PROGRAM, kernel], user=user, cwd=cwd, env=env, stdin=True)
        info = await self._node.start_job(sandbox_id, context_id, spec)
        if info.start == 0:  # else what it said first is not kept, and it said much since
            await self._ready(sandbox_id, info)
        return info

    async def _ready(self, sandbox_id: str, info: JobInfo) -> None:
        said, missing = "", False
        try:
            async with (
                asyncio.timeout(START_S),
                self._node.attach_job(sandbox_id, info.id, after=0, resume=True) as link,
                aclosing(_messages(link)) as messages,
            ):
                async for message in messages:
                    if message.get("t") == "ready":
                        return
                    said = str(message.get("message") or message.get("stderr") or said)[:500]
                missing = (await link.ended()).exit_code == _NO_KERNEL
        except TimeoutError:
            said = f"it did not answer within {START_S:.0f} s"
        await self._node.end_job(sandbox_id, info.id)
        wrong = errors.InvalidRequestError if missing else errors.GuestError
        raise wrong(
            f"no context for {language_of(info)}: {said.strip() or 'it ended at once'}",
            hint="the desktop template has Python, bash and JavaScript; a recipe may have more Jupyter kernels",
        )

    async def default(self, sandbox_id: str, language: str) -> JobInfo:
        """The context that each desktop has for a language, started where it does not run."""
        ended = {each.id for each in await self.list(sandbox_id) if not each.running}
        for number in range(_TRIES):
            digest = hashlib.sha256(f"default {KERNELS.get(language.lower(), language)} {number}".encode()).hexdigest()
            context_id = f"{KIND}-{digest[:12]}"
            if context_id not in ended:
                return await self.create(sandbox_id, context_id, language, user="user", cwd=None, env={})
        raise errors.GuestError(f"the context for {language} ends again and again", hint="create one to see why")

    async def list(self, sandbox_id: str) -> list[JobInfo]:
        """Those that run, and that ended not long ago."""
        return [each for each in await self._node.jobs(sandbox_id) if each.id.startswith(f"{KIND}-")]

    async def find(self, sandbox_id: str, context_id: str) -> JobInfo:
        """One of them, or NotFoundError."""
        for each in await self.list(sandbox_id):
            if each.id == context_id:
                return each
        raise errors.NotFoundError(
            f"{sandbox_id} has no code context {context_id}",
            hint="list them; what ended is forgotten after some minutes",
        )

    async def run(self, sandbox_id: str, info: JobInfo, code: str, timeout_s: float | None) -> Messages:
        """Run code: what it says, and as the last what says that it is done. Who leaves does not stop it."""
        number = secrets.token_hex(8)
        timeout_ms = None if timeout_s is None else round(timeout_s * 1000)
        asked = {"op": "execute", "id": number, "code": code, "timeout_ms": timeout_ms}
        async with aclosing(self._exchange(sandbox_id, info, asked, "accepted", number)) as messages:
            async for message in messages:
                if message.get("id") != number:
                    continue
                if message.get("t") in ("output", "done"):
                    yield message
                if message.get("t") == "done":
                    return
        raise errors.GuestError(
            f"the code context {info.id} ended while the code ran", hint="was it removed? create another one"
        )

    async def tell(self, sandbox_id: str, info: JobInfo, op: str) -> None:
        """Interrupt what runs, or start the kernel anew."""
        answer = {"interrupt": "heard", "restart": "restarted"}[op]
        async with aclosing(self._exchange(sandbox_id, info, {"op": op}, answer, None)) as messages:
            async for message in messages:
                if message.get("t") in (answer, "done"):
                    return

    async def _exchange(
        self, sandbox_id: str, info: JobInfo, asked: dict[str, Any], answer: str, number: str | None
    ) -> Messages:
        """Send a line, and yield what comes from then on. One line at a time, so that none is torn by another."""
        line = json.dumps(asked).encode() + b"\n"
        lock = self._sending.setdefault(f"{sandbox_id} {info.id}", asyncio.Lock())
        now = await self.find(sandbox_id, info.id)
        if not now.running:
            raise errors.ConflictError(f"the code context {info.id} has ended", hint="create another one")

        async def given() -> AsyncIterator[bytes]:
            yield line
            await asyncio.Event().wait()  # its end would be the end of the context's input

        await lock.acquire()
        held = True
        try:
            attached = self._node.attach_job(sandbox_id, info.id, after=now.end, stdin=given())
            async with attached as link, aclosing(_messages(link)) as messages:
                async for message in messages:
                    if held and message.get("t") == answer and message.get("id") == number:
                        lock.release()
                        held = False
                    yield message
        finally:
            if held:
                lock.release()


async def _messages(link: JobLink) -> Messages:
    """What a context says; what it writes as errors, as {"stderr"}."""
    lines = Lines()
    async for output in link:
        if output.stream != "stdout":
            yield {"stderr": output.data.decode("utf-8", "replace")}
            continue
        for message in lines.feed(output.data):
            yield message


def language_of(info: JobInfo) -> str:
    """The language of a context, or the name of its kernel."""
    kernel = info.command[-1] if info.command else "?"
    return next((language for language, name in KERNELS.items() if name == kernel), kernel)
