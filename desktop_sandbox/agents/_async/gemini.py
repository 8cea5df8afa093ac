"""Gemini's computer-use function calls on a desktop, for loops over `generate_content`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from actions.dialects import gemini
from actions.model import Screenshot
from desktop_sandbox.agents._async.hands import MENDABLE, AsyncHands
from desktop_sandbox.agents.runtime import plain, told
from desktop_sandbox.errors import NotAllowedError

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.sandbox import AsyncSandbox

LEGACY_MODELS = ("gemini-2.5-computer-use", "gemini-3-flash-preview", "gemini-3.1-pro-preview", "gemini-3-pro")
# what a desktop has no use for: the functions of phones
EXCLUDED = ("list_apps",)


class AsyncGeminiComputer:
    """Runs Gemini's function calls on a desktop.

    `model` decides which generation of functions it speaks. `confirm` is shown a call's safety decision before
    anything is done, and says whether to go on; without it such a call is refused with NotAllowedError.
    """

    def __init__(
        self,
        sandbox: AsyncSandbox,
        model: str,
        *,
        confirm: Callable[[Mapping[str, Any]], bool] | None = None,
        settle_ms: int = 200,
    ) -> None:
        self.generation: gemini.Generation = "legacy" if model.startswith(LEGACY_MODELS) else "current"
        self.hands = AsyncHands(sandbox, grid=gemini.GRID, settle_ms=settle_ms)
        self._confirm = confirm

    @property
    def tool(self) -> dict[str, Any]:
        """The entry of `tools` that offers this desktop to the model."""
        legacy = self.generation == "legacy"
        use: dict[str, Any] = {"environment": "ENVIRONMENT_BROWSER" if legacy else "ENVIRONMENT_DESKTOP"}
        return {"computer_use": use if legacy else {**use, "excluded_predefined_functions": [*EXCLUDED]}}

    async def run(self, parts: Iterable[object]) -> list[dict[str, Any]]:
        """The parts that answer those of a model's content: one `function_response` a computer call, with the screen.

        Other parts, and calls of other functions, are left alone. `response` has the address that was opened last
        (`url`), `error` where the model can mend something, and `safety_acknowledgement` where somebody confirmed.
        Calls after one that failed are not done.
        """
        answers: list[dict[str, Any]] = []
        failed = False
        for part in parts:
            call = plain(part).get("function_call")
            if call is None or not self._is_ours(call):
                continue
            response, failed = await self._run_one(call, skipped=failed)
            picture = await self.hands.look()
            answer: dict[str, Any] = {"name": call["name"], "response": response}
            answer["parts"] = [{"inline_data": {"mime_type": picture.media_type, "data": picture.data}}]
            answers.append({"function_response": answer | ({"id": call["id"]} if call.get("id") else {})})
        return answers

    def _is_ours(self, call: Mapping[str, Any]) -> bool:
        return call.get("name") in gemini.ACTIONS[self.generation] or call.get("name") in EXCLUDED

    async def _run_one(self, call: Mapping[str, Any], *, skipped: bool) -> tuple[dict[str, Any], bool]:
        args = dict(call.get("args") or {})
        decision = args.pop("safety_decision", None)
        response: dict[str, Any] = {}
        if decision:
            self._ask(decision)
            response["safety_acknowledgement"] = "true"
        if skipped:
            return {**response, "error": "not done: an earlier call failed", "url": self.hands.address}, True
        try:
            steps = gemini.read(self.generation, call["name"], args, await self.hands.view())
            await self.hands.do([step for step in steps if not isinstance(step, Screenshot)])
        except MENDABLE as error:
            return {**response, "error": told(error), "url": self.hands.address}, True
        return {**response, "url": self.hands.address}, False

    def _ask(self, decision: Mapping[str, Any]) -> None:
        if self._confirm is None or not self._confirm(decision):
            raise NotAllowedError(
                f"the model's call needs a person's consent: {decision.get('explanation', 'no reason given')}",
                hint="give confirm= a function that asks a person and returns True to go on",
                decision=dict(decision),
            )
