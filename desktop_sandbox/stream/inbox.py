"""What viewers do, on its way to the desktop: checked against who drives, and against what their link allows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from desktop_sandbox import errors
from desktop_sandbox.node.interface import Node
from desktop_sandbox.stream.clipboards import Clipboards
from desktop_sandbox.stream.desk import Desk
from desktop_sandbox.stream.jobs import Jobs
from desktop_sandbox.stream.parties import Viewer


class Inbox:
    """Takes viewers' input and messages; refusals are told to the viewer, at most once a second."""

    def __init__(self, node: Node, jobs: Jobs, clipboards: Clipboards) -> None:
        self._node = node
        self._jobs = jobs
        self._clipboards = clipboards

    def input(self, desk: Desk, viewer: Viewer, events: Sequence[Mapping[str, Any]]) -> None:
        """Keys, buttons and moves."""
        if viewer.grant.rights != "control":
            desk.refuse(viewer, "not-allowed", "this link is for watching only", "ask for one that may control")
        elif desk.may_drive(viewer):
            desk.driver.feed(events)
        elif any(event.get("t") not in ("pointer", "release") for event in events):
            desk.refuse(viewer, "not-in-control", "you do not drive this desktop", "take control first")

    def message(self, desk: Desk, viewer: Viewer, message: Mapping[str, Any]) -> None:
        """Everything else."""
        match message.get("t"):
            case "lease":
                desk.asked(viewer, str(message.get("want")))
            case "clipboard" if not desk.may_drive(viewer):
                problem = {"code": "not-in-control", "message": "you do not drive this desktop"}
                desk.tell(viewer, {"t": "error", **problem, "hint": "take control first", "n": message.get("n")})
            case "resize" if not desk.may_drive(viewer):
                desk.refuse(viewer, "not-in-control", "you do not drive this desktop", "take control first")
            case "clipboard":
                self._jobs.start(self._paste(desk, viewer, str(message.get("text")), message.get("n")), "paste")
            case "resize":
                size = (message.get("width"), message.get("height"))
                self._jobs.start(self._resize(desk, viewer, size), "resize")

    async def _paste(self, desk: Desk, viewer: Viewer, text: str, number: Any) -> None:
        self._clipboards.knows(desk, text)
        try:
            await self._node.set_clipboard(desk.sandbox, text)
        except errors.DesktopSandboxError as error:
            self._tell_problem(desk, viewer, error, {"n": number})
        else:
            desk.tell(viewer, {"t": "clipboard-set", "n": number})

    async def _resize(self, desk: Desk, viewer: Viewer, size: tuple[Any, Any]) -> None:
        try:
            # what scales by two and halves chroma is even anyway; the guest knows its largest size
            width, height = (max(64, int(side)) // 2 * 2 for side in size)
            await self._node.set_resolution(desk.sandbox, width, height)
        except (TypeError, ValueError):
            desk.refuse(viewer, "invalid-request", "a size is two numbers", "")
        except errors.DesktopSandboxError as error:
            self._tell_problem(desk, viewer, error)

    def _tell_problem(
        self, desk: Desk, viewer: Viewer, error: errors.DesktopSandboxError, about: Mapping[str, Any] | None = None
    ) -> None:
        message = {"t": "error", "code": error.slug, "message": error.message, "hint": error.hint or ""}
        desk.tell(viewer, {**message, **(about or {})})
