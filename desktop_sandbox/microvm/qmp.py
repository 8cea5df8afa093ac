"""QEMU's control socket, through the qemu.qmp package: commands with deadlines, errors of our tree, migration waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from typing import Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from desktop_sandbox.errors import MachineError

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Qmp:
    """One connection. A QMP socket takes one client at a time."""

    def __init__(self, client: QMPClient, name: str) -> None:
        self._client = client
        self._name = name

    @classmethod
    async def connect(cls, path: str, name: str, timeout_s: float = 10.0) -> Qmp:
        """Connect and negotiate. Raises MachineError if QEMU does not answer in time."""
        client = QMPClient(name)
        client.logger.setLevel(logging.CRITICAL)
        try:
            async with asyncio.timeout(timeout_s):
                await client.connect(path)
        except (QMPError, OSError, TimeoutError) as error:
            with contextlib.suppress(Exception):
                await client.disconnect()
            raise MachineError(f"QEMU's control socket does not answer: {error or 'timeout'}") from error
        return cls(client, name)

    async def execute(
        self, command: str, arguments: Mapping[str, Any] | None = None, *, timeout_s: float = 10.0
    ) -> Any:
        """Run one command; its return value. Raises MachineError with what was sent and what came back."""
        try:
            async with asyncio.timeout(timeout_s):
                return await self._client.execute(command, dict(arguments) if arguments else None)
        except ExecuteError as error:
            raise MachineError(f"QEMU refused {command}: {error}", sent=command) from error
        except TimeoutError:
            raise MachineError(f"QEMU did not answer {command} within {timeout_s:.0f} s", sent=command) from None
        except (QMPError, OSError) as error:
            raise MachineError(f"QEMU's control connection broke during {command}: {error}", sent=command) from error

    async def migrate(self, command: str, uri: str, *, ignore_shared: bool = True, timeout_s: float = 30.0) -> None:
        """Save (`migrate`) or load (`migrate-incoming`) state, and wait until it is complete."""
        capabilities = [{"capability": "events", "state": True}]
        if ignore_shared:
            capabilities.append({"capability": "x-ignore-shared", "state": True})
        listener = EventListener(("MIGRATION",))
        with self._client.listen(listener):
            await self.execute("migrate-set-capabilities", {"capabilities": capabilities})
            if command == "migrate":
                # the default of 128 MiB/s also applies to a stopped machine writing to a file
                await self.execute("migrate-set-parameters", {"max-bandwidth": 1 << 40})
            await self.execute(command, {"uri": uri})
            try:
                async with asyncio.timeout(timeout_s):
                    async for event in listener:
                        status = event["data"]["status"]
                        if status == "completed":
                            return
                        if status in ("failed", "cancelled"):
                            details = await self.execute("query-migrate")
                            raise MachineError(f"{command} {status}: {details.get('error-desc', 'no reason given')}")
            except TimeoutError:
                raise MachineError(f"{command} did not complete within {timeout_s:.0f} s") from None
        raise MachineError(f"{command} ended without a result: the control connection closed")

    async def close(self) -> None:
        """Disconnect; QEMU goes on. Safe to call again."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(2):
                await self._client.disconnect()
