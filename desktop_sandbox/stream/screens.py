"""Which desktops the media process reads: attached when somebody wants to see them, again when their pixels moved."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable

from desktop_sandbox import errors
from desktop_sandbox.node.interface import Node
from desktop_sandbox.stream.desk import Desk
from desktop_sandbox.stream.ends import is_over
from desktop_sandbox.stream.link import StreamerLink
from desktop_sandbox.stream.supervisor import Supervisor

log = logging.getLogger("desktop_sandbox.stream")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
FROZEN_S = 0.5
"""A screen that is found again within so long was never frozen."""


class Screens:
    """Gives the media process the descriptors that it reads screens through."""

    def __init__(self, node: Node, supervisor: Supervisor) -> None:
        self._node = node
        self._supervisor = supervisor

    async def attached(self, desk: Desk) -> StreamerLink:
        """The media process, started if need be, which reads this desktop's screen."""
        link = await self._supervisor.link()
        async with desk.attaching:
            if desk.attached_to is not link:
                await self._attach(desk, link, fresh=False)
        return link

    async def again(
        self, desk: Desk, ended: Callable[[Desk, str], Awaitable[None]], kept: Callable[[Desk], bool]
    ) -> None:
        """Attach once more, with the screen's place as the guest tells it now; `ended` if there is no such desktop.

        `kept`: whether it is still this desk that stands for the desktop.
        """
        frozen = asyncio.get_running_loop().call_later(FROZEN_S, self._frozen, desk, desk.attachments)
        try:
            await self._search(desk, ended, kept)
        finally:
            frozen.cancel()

    def _frozen(self, desk: Desk, attachments: int) -> None:
        if desk.attached_to is not None and desk.attachments == attachments:
            desk.show("frozen", "The screen cannot be read just now; it comes back by itself.")

    async def _search(
        self, desk: Desk, ended: Callable[[Desk, str], Awaitable[None]], kept: Callable[[Desk], bool]
    ) -> None:
        pause = FIRST_PAUSE_S
        while desk.attached_to is not None and kept(desk):
            link = self._supervisor.link_now()
            if link is None:
                return
            try:
                async with desk.attaching:
                    await self._attach(desk, link, fresh=True)
                return
            except errors.DesktopSandboxError as error:
                if is_over(error):
                    await ended(desk, error.message)
                    return
                log.info("%s x its screen is not found: %s", desk.sandbox, error.message)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE_S, pause * 2)

    async def detach(self, desk: Desk, reason: str, *, ended: bool = True) -> None:
        """Have the media process let go of a desktop; its viewers are told that it ended, or may come again."""
        link = self._supervisor.link_now()
        if link is not None and desk.attached_to is link:
            desk.attached_to = None
            try:
                params = {"sandbox": desk.sandbox, "reason": reason, "ended": ended}
                await link.request("desktop.detach", params, deadline_s=3.0)
            except errors.DesktopSandboxError as error:
                log.debug("%s not detached: %s", desk.sandbox, error.message)

    async def _attach(self, desk: Desk, link: StreamerLink, *, fresh: bool) -> None:
        source = await self._node.screen_source(desk.sandbox, fresh=fresh)
        try:
            await link.request("desktop.attach", {"sandbox": desk.sandbox, "source": dict(source.facts)}, fd=source.fd)
        finally:
            os.close(source.fd)
        desk.attached_to = link
        desk.attachments += 1
        desk.show("live")
