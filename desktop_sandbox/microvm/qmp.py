"""QEMU's control socket, through the qemu.qmp package: commands with deadlines, errors of our tree, migration waits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Mapping
from typing import Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from desktop_sandbox.errors import MachineError

logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Qmp:
    """One connection. A QMP socket takes one client at a time."""

    def __init__(self, client: QMPClient, link: socket.socket) -> None:
        self._client = client
        self._link = link

    @classmethod
    async def connect(cls, path: str, name: str, timeout_s: float = 10.0) -> Qmp:
        """Connect and negotiate. Raises MachineError if QEMU does not answer in time."""
        client = QMPClient(name)
        client.logger.setLevel(logging.CRITICAL)
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # our own hold on the connection, to pass descriptors over it: event loops do not offer that
        passing = link
        try:
            link.setblocking(False)
            async with asyncio.timeout(timeout_s):
                await asyncio.get_running_loop().sock_connect(link, path)
                passing = link.dup()
                await client.connect(link)
        except (QMPError, OSError, TimeoutError) as error:
            with contextlib.suppress(Exception):
                await client.disconnect()
            link.close()
            passing.close()
            said = str(error) or f"nothing within {timeout_s:.0f} s"
            raise MachineError(f"QEMU's control socket does not answer: {said}") from error
        return cls(client, passing)

    async def pass_descriptor(self, name: str, descriptor: int) -> None:
        """Give QEMU an open file under a name, for `fd:NAME`."""
        socket.send_fds(self._link, [b" "], [descriptor])
        await self.execute("getfd", {"fdname": name})

    async def lend(self, descriptor: int) -> int:
        """Give QEMU an open file as /dev/fdset/N; N, for `take_back`."""
        socket.send_fds(self._link, [b" "], [descriptor])
        return int((await self.execute("add-fd"))["fdset-id"])

    async def take_back(self, number: int) -> None:
        """Have QEMU close what `lend` gave it."""
        await self.execute("remove-fd", {"fdset-id": number})

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

    async def migrate(
        self, command: str, state_fd: int, *, ignore_shared: bool = True, timeout_s: float = 30.0
    ) -> None:
        """Save (`migrate`) state to an open file or load (`migrate-incoming`) it, and wait for the end."""
        capabilities = [{"capability": "events", "state": True}]
        if ignore_shared:
            capabilities.append({"capability": "x-ignore-shared", "state": True})
        listener = EventListener(("MIGRATION",))
        with self._client.listen(listener):
            await self.execute("migrate-set-capabilities", {"capabilities": capabilities})
            if command == "migrate":
                # the default of 128 MiB/s also applies to a stopped machine writing to a file
                await self.execute("migrate-set-parameters", {"max-bandwidth": 1 << 40})
            await self.pass_descriptor("state", state_fd)
            await self.execute(command, {"uri": "fd:state"})
            try:
                async with asyncio.timeout(timeout_s):
                    async for event in listener:
                        status = dict(event["data"])["status"]  # type: ignore[call-overload]
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
        self._link.close()
