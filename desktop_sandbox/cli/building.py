"""Steps of a template build, from the server where one runs, else done here (`make image` needs no server)."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator

from desktop_sandbox import Host
from desktop_sandbox.config import client_config, home_folder, is_loopback
from desktop_sandbox.errors import AuthenticationError, ServerError
from desktop_sandbox.sdk.models import BuildStep


def build_steps(name: str, *, rebuild: bool) -> Iterator[BuildStep]:
    """Build a template, yielding progress. Raises the errors of server or builder."""
    with Host.connect() as host:
        if not _is_here() or _answers(host):
            yield from host.build_template(name, rebuild=rebuild)
            return
    yield from _build_here(name, rebuild=rebuild)


def _is_here() -> bool:
    from urllib.parse import urlsplit

    return is_loopback(urlsplit(client_config().url).hostname or "")


def _answers(host: Host) -> bool:
    try:
        host.usage()
    except (ServerError, AuthenticationError):
        return False
    return True


def _build_here(name: str, *, rebuild: bool) -> Iterator[BuildStep]:
    """Build in a thread of its own; leaving early (Ctrl-C) stops the build and waits until it has cleaned up."""
    steps: queue.SimpleQueue[BuildStep | None] = queue.SimpleQueue()
    failed: list[BaseException] = []
    loop = asyncio.new_event_loop()
    working: list[asyncio.Task[None]] = []

    async def work() -> None:
        from desktop_sandbox.microvm.setup import find_hypervisor
        from desktop_sandbox.node.shop import TemplateShop

        home = home_folder()
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        shop = TemplateShop(home, await asyncio.to_thread(find_hypervisor, home))
        await shop.get(name, lambda step: steps.put(BuildStep(step.step, step.fraction, step.message)), rebuild=rebuild)

    def run() -> None:
        try:
            working.append(loop.create_task(work()))
            loop.run_until_complete(working[0])
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            failed.append(error)
        finally:
            steps.put(None)

    thread = threading.Thread(target=run, name="template-build")
    thread.start()
    try:
        while (step := steps.get()) is not None:
            yield step
    finally:
        if thread.is_alive() and working:
            loop.call_soon_threadsafe(working[0].cancel)
        thread.join()
        loop.close()
    if failed:
        raise failed[0]
