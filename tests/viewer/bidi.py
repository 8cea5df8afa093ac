"""A small WebDriver BiDi client for a headless Firefox: opens pages, evaluates, presses. Drives nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import websockets

STARTS_WITHIN_S = 30.0
ANSWERS_WITHIN_S = 20.0
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.gmp-manager.updateEnabled": False,
    "media.peerconnection.ice.loopback": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.enabled": False,
}


class BidiError(Exception):
    """What the browser answered instead of a result."""


class Firefox:
    """One tab of a Firefox that listens for BiDi."""

    def __init__(self, socket: websockets.ClientConnection, log: list[str]) -> None:
        self._socket = socket
        self._count = 0
        self._tab = ""
        self.log = log

    async def command(self, method: str, **params: Any) -> Any:
        """Ask and wait for the answer; events that come before it are passed over. Raises `BidiError`."""
        self._count += 1
        await self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            while True:
                answer = json.loads(await self._socket.recv())
                if answer.get("id") == self._count:
                    break
        if answer["type"] == "error":
            raise BidiError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]

    async def begin(self) -> None:
        """A session, and the tab that is there."""
        await self.command("session.new", capabilities={})
        tree = await self.command("browsingContext.getTree")
        self._tab = tree["contexts"][0]["context"]

    async def size(self, width: int, height: int) -> None:
        """Set the window's inner size, CSS pixels."""
        viewport = {"width": width, "height": height}
        await self.command("browsingContext.setViewport", context=self._tab, viewport=viewport)

    async def goto(self, url: str) -> None:
        """Open a page; returns when it has loaded."""
        await self.command("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression (awaited), through JSON. Raises `BidiError` when it throws."""
        wrapped = f"Promise.resolve({expression}).then((value) => JSON.stringify(value ?? null))"
        answer = await self.command(
            "script.evaluate", expression=wrapped, target={"context": self._tab}, awaitPromise=True
        )
        if answer["type"] == "exception":
            raise BidiError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"])

    async def until(self, expression: str, timeout_s: float = 20.0) -> Any:
        """Wait until the expression is true; returns its value."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while not (found := await self.evaluate(expression)):
            shown = "document.body && [document.body.dataset.state, document.body.innerText.slice(0, 300)]"
            late = asyncio.get_running_loop().time() >= deadline
            assert not late, f"in {timeout_s} s not: {expression}; the page: {await self.evaluate(shown)}"
            await asyncio.sleep(0.05)
        return found

    async def click(self, x: float, y: float) -> None:
        """Press and let go of the left button at a place of the window."""
        await self._act(
            "pointer",
            {"type": "pointerMove", "x": round(x), "y": round(y)},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        )

    async def press(self, *keys: str) -> None:
        """Press keys in order, let go in reverse."""
        down = [{"type": "keyDown", "value": key} for key in keys]
        await self._act("key", *down, *({"type": "keyUp", "value": key} for key in reversed(keys)))

    async def hold(self, key: str) -> None:
        """Press a key and keep it down."""
        await self._act("key", {"type": "keyDown", "value": key})

    async def wheel(self, x: float, y: float, dx: int, dy: int) -> None:
        """Turn the wheel by CSS pixels, right and down positive."""
        await self._act("wheel", {"type": "scroll", "x": round(x), "y": round(y), "deltaX": dx, "deltaY": dy})

    async def _act(self, kind: str, *actions: dict[str, Any]) -> None:
        source = {"type": kind, "id": kind, "actions": list(actions)}
        await self.command("input.performActions", context=self._tab, actions=[source])


@asynccontextmanager
async def firefox(program: str, profile: Path) -> AsyncIterator[Firefox]:
    """A headless Firefox with a profile of its own; gone at the end."""
    profile.mkdir(parents=True, exist_ok=True)
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *(program, "--headless", "--no-remote", "--remote-debugging-port=0", "--profile", str(profile)),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    log: list[str] = []
    try:
        async with asyncio.TaskGroup() as group:
            address = asyncio.get_running_loop().create_future()
            reading = group.create_task(_read(process, log, _finder(address)))
            async with asyncio.timeout(STARTS_WITHIN_S):
                url = await address
            async with websockets.connect(f"{url}/session", max_size=None) as socket:
                found = Firefox(socket, log)
                await found.begin()
                yield found
            reading.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(10):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _finder(address: asyncio.Future[str]) -> Callable[[str], None]:
    """Gives the future the address that Firefox says."""

    def look(line: str) -> None:
        said = re.search(r"WebDriver BiDi listening on (ws://\S+)", line)
        if said and not address.done():
            address.set_result(said[1])

    return look


async def _read(process: asyncio.subprocess.Process, log: list[str], look: Callable[[str], None]) -> None:
    """Keep what the process says, so that its pipe never fills."""
    assert process.stderr is not None
    async for line in process.stderr:
        log.append(line.decode(errors="replace"))
        look(log[-1])
