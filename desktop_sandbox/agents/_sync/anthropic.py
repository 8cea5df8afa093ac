# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""Anthropic's tool calls on a desktop, for loops over `messages.create`: the single tool and the toolset."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from actions.dialects import anthropic
from actions.dialects.anthropic import SKIPPED, TOOLSET, Version, acknowledged
from actions.dialects.budget import budget_for
from actions.dialects.models import BETAS, version_for
from desktop_sandbox.agents._sync.hands import MENDABLE, Hands
from desktop_sandbox.agents.runtime import Picture, plain, told

if TYPE_CHECKING:
    from desktop_sandbox.sdk._sync.sandbox import Sandbox


class AnthropicComputer:
    """Runs Claude's computer calls on a desktop.

    `model` decides how large its pictures are and, unless `version` is given, which tool it is offered. Actions of the
    single tool are answered with the settled screen as well; `look_after` says otherwise.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        model: str,
        *,
        version: Version | None = None,
        zoom: bool = True,
        look_after: bool | None = None,
        settle_ms: int = 200,
    ) -> None:
        self.version: Version = version or version_for(model)
        self.hands = Hands(sandbox, budget=budget_for(model), settle_ms=settle_ms)
        self._zoom = zoom
        self._look_after = self.version != TOOLSET if look_after is None else look_after

    @property
    def betas(self) -> list[str]:
        """The beta headers its tool needs."""
        return [BETAS[self.version]] if self.version in BETAS else []

    def tool(self) -> dict[str, Any]:
        """The entry of `tools` that offers this desktop to the model."""
        if self.version == TOOLSET:
            return {"type": TOOLSET, **({} if self._zoom else {"configs": {"zoom": {"enabled": False}}})}
        width, height = (self.hands.view()).picture
        entry: dict[str, Any] = {"type": self.version, "name": "computer"}
        entry |= {"display_width_px": width, "display_height_px": height}
        return entry | ({"enable_zoom": self._zoom} if self.version == "computer_20251124" else {})

    def run(self, content: Iterable[object]) -> list[dict[str, Any]]:
        """The tool_result blocks for a message's content: its computer calls in order, up to the first that fails.

        Other blocks, and calls of other tools, are left alone. What the model can mend is told to it; other errors
        (a dead sandbox, an unreachable server) are raised.
        """
        results: list[dict[str, Any]] = []
        for block in content:
            call = plain(block)
            if call.get("type") == "tool_use" and self._is_ours(call):
                failed = any(result.get("is_error") for result in results)
                results.append(_result(call, SKIPPED, failed=True) if failed else self._run_one(call))
        return results

    def _is_ours(self, call: Mapping[str, Any]) -> bool:
        return call.get("toolset_name") == "computer" if self.version == TOOLSET else call.get("name") == "computer"

    def _run_one(self, call: Mapping[str, Any]) -> dict[str, Any]:
        given = call.get("input")
        name = (
            call.get("name") if self.version == TOOLSET else given.get("action") if isinstance(given, Mapping) else None
        )
        try:
            view = self.hands.view()
            if self.version == TOOLSET:
                steps = anthropic.read_member(self.version, name, given, view, zoom=self._zoom)
            else:
                steps = anthropic.read(self.version, given, view, zoom=self._zoom)
            done = self.hands.do(steps)
        except MENDABLE as error:
            return _result(call, told(error), failed=True)
        if done.pictures:
            return _result(call, [_image(picture) for picture in done.pictures])
        if done.pointer is not None and name == "cursor_position":
            x, y = view.to_picture(*done.pointer)
            return _result(call, f"X={x},Y={y}")
        said: list[dict[str, Any]] = [{"type": "text", "text": acknowledged(str(name), given)}]
        return _result(call, [*said, _image(self.hands.look())] if self._look_after else said)


def _image(picture: Picture) -> dict[str, Any]:
    data = base64.b64encode(picture.data).decode()
    return {"type": "image", "source": {"type": "base64", "media_type": picture.media_type, "data": data}}


def _result(call: Mapping[str, Any], content: str | list[dict[str, Any]], *, failed: bool = False) -> dict[str, Any]:
    blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": call.get("id"), "content": blocks}
    if call.get("toolset_name") is not None:
        result["toolset_name"] = call["toolset_name"]
    return result | ({"is_error": True} if failed else {})
