"""A Jupyter kernel behind a pair of pipes: see `lines` for what it hears and says.

The kernel is reached over sockets in a folder of its own: no port of the desktop, and all of it is in the machine's
memory, so a checkpoint has the kernel with its state. It ends with this process. A kernel that can only speak TCP says
so in its specification (`"metadata": {"desktop-sandbox": {"transport": "tcp"}}`): what is said is signed with a key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import select
import site
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

from guest_image.code.lines import BadRequestError, Execute, output, read_request, write_line

START_S = 180.0
GRACE_S = 10.0
"""How long code has to end after it was interrupted; then the kernel is started anew."""
CHARTS = Path(__file__).with_name("charts.py")
LOAD = """
def _load():
    import importlib.util
    spec = importlib.util.spec_from_file_location("_desktop_sandbox_charts", {path!r})
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.load_ipython_extension(get_ipython())
_load(); del _load
"""
# siblings of one template would draw the same random numbers
SETTLE = """
def _settle():
    import os, random
    os.chdir({directory!r})
    os.environ.update({environment!r})
    random.seed()
_settle(); del _settle
"""
_LOOK_S = 1.0
_LINE_BYTES = 64 << 20


class Context:
    """One kernel, and one execution at a time."""

    def __init__(self, manager: Any, say: Any) -> None:
        self._manager = manager
        self._client: Any = None
        self._say = say
        self._running: str | None = None
        self._interrupted = False
        self._restart = asyncio.Event()
        self._launch: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the kernel. RuntimeError if it does not answer."""
        await self._manager.start_kernel()
        await self._connect()

    async def settle(self, directory: str, environment: Mapping[str, str]) -> None:
        """Make a kernel that was started for nobody in particular one for this place; only Python's can be."""
        self._launch = {"cwd": directory, "env": dict(environment)}
        code = SETTLE.format(directory=directory, environment=dict(environment))
        await self._reply(self._client.execute(code, silent=True, allow_stdin=False))

    def ready(self, name: str) -> None:
        """Say that it takes code."""
        self._say(t="ready", language=self._language, name=name)

    @property
    def _language(self) -> str:
        return str(self._manager.kernel_spec.language).lower()

    async def _connect(self) -> None:
        self._client = self._manager.client()
        # no heartbeat: the process is watched, and an idle desktop has nothing to do once a second
        self._client.start_channels(hb=False)
        await self._client.wait_for_ready(timeout=START_S)
        if self._language == "python":
            number = self._client.execute(LOAD.format(path=str(CHARTS)), silent=True, allow_stdin=False)
            await self._reply(number)

    async def execute(self, asked: Execute) -> None:
        """Run code, and tell what it says until it is done."""
        self._running, self._interrupted = asked.id, False
        self._restart.clear()
        count = None
        try:
            status, count = await self._run(asked)
        finally:
            self._running = None
        if status in ("restarted", "died", "timeout-restarted"):
            await self._anew()
            status = "timeout" if status == "timeout-restarted" else status
        self._say(t="done", id=asked.id, status=status, count=count)

    async def _run(self, asked: Execute) -> tuple[str, int | None]:
        loop = asyncio.get_running_loop()
        number = self._client.execute(asked.code, allow_stdin=False, stop_on_error=False)
        end = None if asked.timeout_s is None else loop.time() + asked.timeout_s
        failed, timed_out = False, False
        while True:
            message = await self._next(_LOOK_S if end is None else min(_LOOK_S, max(0.01, end - loop.time())))
            if self._restart.is_set():
                return "restarted", None
            now = loop.time()
            if end is not None and now > end:
                if timed_out:
                    return "timeout-restarted", None
                timed_out, end = True, now + GRACE_S
                await self._manager.interrupt_kernel()
            if message is None:
                if not await self._manager.is_alive():
                    return "timeout-restarted" if timed_out else "died", None
                continue
            if message["parent_header"].get("msg_id") != number:
                continue
            kind, content = message["msg_type"], message["content"]
            failed = failed or kind == "error"
            said = output(asked.id, kind, content)
            if said is not None:
                self._say(**said)
            if kind == "status" and content["execution_state"] == "idle":
                break
        reply = await self._reply(number)
        if timed_out:
            return "timeout", reply.get("execution_count")
        if self._interrupted and failed:
            return "interrupted", reply.get("execution_count")
        return "error" if failed or reply.get("status") == "error" else "ok", reply.get("execution_count")

    async def _next(self, timeout_s: float) -> Any:
        with contextlib.suppress(queue.Empty):
            return await self._client.get_iopub_msg(timeout=timeout_s)
        return None

    async def _reply(self, number: str) -> dict[str, Any]:
        for _ in range(20):
            try:
                reply = await self._client.get_shell_msg(timeout=_LOOK_S)
            except queue.Empty:
                continue
            if reply["parent_header"].get("msg_id") == number:
                return dict(reply["content"])
        return {}

    async def _anew(self) -> None:
        self._client.stop_channels()
        await self._manager.restart_kernel(now=True, **self._launch)
        await self._connect()

    async def interrupt(self) -> None:
        """Interrupt what runs; nothing if nothing does."""
        if self._running is not None:
            self._interrupted = True
            await self._manager.interrupt_kernel()

    async def restart(self) -> None:
        """Start the kernel anew: what runs is ended, and its state is gone."""
        if self._running is not None:
            self._restart.set()
        else:
            await self._anew()
            self._say(t="restarted")

    async def close(self) -> None:
        """End the kernel."""
        if self._client is not None:
            self._client.stop_channels()
        await self._manager.shutdown_kernel(now=True)


def speak(**message: Any) -> None:
    """Say one line."""
    data = memoryview(write_line(**message))
    while data:
        try:
            data = data[os.write(1, data) :]
        except BlockingIOError:  # a socket that is input too, and so does not block
            select.select([], [1], [])


class NoKernelError(Exception):
    """Why there is none, and the exit code that says it."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


@contextlib.asynccontextmanager
async def started(name: str) -> AsyncIterator[Context]:
    """A context whose kernel has answered; the kernel ends with it. Raises NoKernelError."""
    try:
        from jupyter_client.kernelspec import NoSuchKernel
        from jupyter_client.manager import AsyncKernelManager
    except ImportError:
        raise NoKernelError("this desktop has no Jupyter", 3) from None
    with tempfile.TemporaryDirectory(prefix="code-") as folder:
        manager = AsyncKernelManager(kernel_name=name)
        try:
            specification = manager.kernel_spec
        except NoSuchKernel:
            raise NoKernelError(f"there is no kernel {name!r} in this desktop", 3) from None
        metadata = {} if specification is None else specification.metadata
        if metadata.get("desktop-sandbox", {}).get("transport") != "tcp":
            manager.transport, manager.ip = "ipc", f"{folder}/kernel"
        # Python looks there only if it was there when it started: pip shall be able to install into it later
        os.makedirs(site.getusersitepackages(), exist_ok=True)
        context = Context(manager, speak)
        try:
            try:
                await context.start()
            except RuntimeError as error:
                raise NoKernelError(f"the kernel {name!r} did not start: {error}", 4) from None
            yield context
        finally:
            await context.close()


async def serve(name: str) -> int:
    """Until the input ends; its exit code."""
    try:
        async with started(name) as context:
            context.ready(name)
            await listen(context)
    except NoKernelError as error:
        speak(t="failed", message=str(error))
        return error.code
    return 0


async def listen(context: Context) -> None:
    """Do what is asked for, until the input ends."""
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    waiting: asyncio.Queue[Execute] = asyncio.Queue()

    async def work() -> None:
        while True:
            await context.execute(await waiting.get())

    async with asyncio.TaskGroup() as tasks:
        working = tasks.create_task(work())
        while line := await reader.readline():
            try:
                asked = read_request(line)
            except BadRequestError as error:
                speak(t="failed", message=str(error))
                continue
            if isinstance(asked, Execute):
                speak(t="accepted", id=asked.id)
                waiting.put_nowait(asked)
            elif asked == "interrupt":
                speak(t="heard")
                await context.interrupt()
            else:
                await context.restart()
        working.cancel()
