"""OpenAI's computer calls on a desktop, for loops over `responses.create`."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from actions.dialects import openai
from actions.errors import ActionValueError
from actions.model import Screenshot
from desktop_sandbox.agents._async.hands import MENDABLE, AsyncHands
from desktop_sandbox.agents.runtime import plain, told
from desktop_sandbox.errors import NotAllowedError

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.sandbox import AsyncSandbox

Checks = Sequence[Mapping[str, Any]]


class AsyncOpenAIComputer:
    """Runs a GPT's computer calls on a desktop: the GA tool's batches and the preview tool's single actions.

    `acknowledge` is shown a call's pending safety checks before anything is done, and says whether to go on; without
    it such a call is refused with NotAllowedError.
    """

    def __init__(
        self,
        sandbox: AsyncSandbox,
        *,
        acknowledge: Callable[[Checks], bool] | None = None,
        preview: bool = False,
        settle_ms: int = 200,
    ) -> None:
        self.hands = AsyncHands(sandbox, settle_ms=settle_ms)
        self._acknowledge = acknowledge
        self._preview = preview

    async def tool(self) -> dict[str, Any]:
        """The entry of `tools` that offers this desktop to the model."""
        if not self._preview:
            return {"type": "computer"}
        width, height = (await self.hands.view()).screen
        size = {"display_width": width, "display_height": height}
        return {"type": "computer_use_preview", **size, "environment": "linux"}

    async def run(self, output: Iterable[object]) -> list[dict[str, Any]]:
        """The input items that answer a response's output: one `computer_call_output` a computer call.

        Where an action was refused or failed, those after it are not done and a message says so, since an output is
        nothing but a picture. Errors that the model cannot mend are raised.
        """
        items: list[dict[str, Any]] = []
        for item in output:
            call = plain(item)
            if call.get("type") == "computer_call":
                items += await self._run_one(call)
        return items

    async def _run_one(self, call: Mapping[str, Any]) -> list[dict[str, Any]]:
        checks: list[dict[str, Any]] = [dict(check) for check in call.get("pending_safety_checks") or []]
        if checks and not (self._acknowledge is not None and self._acknowledge(checks)):
            said = "; ".join(str(check.get("message") or check.get("code") or check.get("id")) for check in checks)
            raise NotAllowedError(
                f"the model's call has safety checks that nobody acknowledged: {said}",
                hint="give acknowledge= a function that asks a person and returns True to go on",
                checks=checks,
            )
        message = await self._do(call)
        picture = await self.hands.look()
        data = base64.b64encode(picture.data).decode()
        output: dict[str, Any] = {"type": "computer_call_output", "call_id": call.get("call_id")}
        output["output"] = {"type": "computer_screenshot", "image_url": f"data:{picture.media_type};base64,{data}"}
        if checks:
            output["acknowledged_safety_checks"] = checks
        if message is None:
            return [output]
        return [output, {"role": "user", "content": [{"type": "input_text", "text": message}]}]

    async def _do(self, call: Mapping[str, Any]) -> str | None:
        """What went wrong, in words for the model."""
        actions = call.get("actions") or ([call["action"]] if call.get("action") is not None else [])
        for number, action in enumerate(actions):
            try:
                steps = openai.read(action, await self.hands.view())
                # one picture is taken at the end, whether or not one was asked for
                await self.hands.do([step for step in steps if not isinstance(step, Screenshot)])
            except MENDABLE as error:
                kind = action.get("type") if isinstance(action, Mapping) else None
                rest = len(actions) - number - 1
                skipped = f" The {rest} after it were not done." if rest else ""
                return f"Action {number + 1} of {len(actions)} ({kind}) failed: {told(error)}.{skipped}"
        return None if actions else told(ActionValueError("the call has no action"))
