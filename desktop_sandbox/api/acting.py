"""One request to act: when its batch may begin, what is looked at around it, and how it is answered.

It can be cancelled at any moment; the answer says what was done by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from actions.model import Action, CursorPosition, Wait
from actions.model import Screenshot as ScreenshotAction
from desktop_sandbox import errors
from desktop_sandbox.api.answer import Answer
from desktop_sandbox.api.looking import ActWatch
from desktop_sandbox.api.pictures import picture_json, spec_of
from desktop_sandbox.api.problems import problem_answer
from desktop_sandbox.api.services import answer_json
from desktop_sandbox.node.batches import CANCELLED, stopped
from desktop_sandbox.node.facts import BatchResult, Screenshot, ScreenshotSpec
from desktop_sandbox.node.halt import Halt
from desktop_sandbox.problem import plain
from desktop_sandbox.stream.desk import LOOK_AGAIN

if TYPE_CHECKING:
    from desktop_sandbox.api import desktop_models
    from desktop_sandbox.api.services import Services

SETTLED_MS = 100
_HARMLESS = (ScreenshotAction, CursorPosition, Wait)
_NOTHING = BatchResult([], stopped(0, CANCELLED, "the batch was cancelled before it began", None), {})


class Acting:
    """A batch that somebody asked for. `halt` cancels it, and so does a person who takes control."""

    def __init__(
        self,
        the: Services,
        sandbox_id: str,
        actions: Sequence[Action],
        batch_id: str,
        body: desktop_models.RunActions,
    ) -> None:
        self.halt = Halt()
        self._taken = False
        self._the = the
        self._sandbox = sandbox_id
        self._actions = actions
        self._batch_id = batch_id
        self._body = body
        self._final = final_spec(body.screenshot)
        self._watch = None if body.changes is False else ActWatch(the.eyes, sandbox_id, body.changes, self._final)

    async def work(self) -> Answer:
        """Do it, once it may be done, and answer."""
        try:
            result = await self._act()
        except errors.DeadlineError as error:
            if "results" not in error.evidence:
                raise
            seen: dict[str, Any] = error.evidence
            seen |= _done(seen["results"], seen["screenshots"], seen["screenshot"])
            return problem_answer(error)  # it is over: a repeat gets the same
        if self._watch is None or (self.halt.asked and result.failed is not None):
            return self._answer(result)
        return await self._look(self._watch, result)

    async def _act(self) -> BatchResult:
        try:
            async with self.halt.block() as waiting:
                if all(isinstance(action, _HARMLESS) for action in self._actions):
                    return await self._begin(waiting)
                patience_s = self._body.wait_for_control
                return await self._the.views.as_agent(
                    self._sandbox, lambda: self._begin(waiting), patience_s, self._give_way
                )
        except TimeoutError:
            if not waiting.expired():
                raise
            return _NOTHING

    async def _begin(self, waiting: asyncio.Timeout) -> BatchResult:
        if self._watch is not None:
            await self._watch.begin()
        if self.halt.asked:
            return _NOTHING
        self.halt.spare(waiting)
        return await self._the.node.act(
            self._sandbox,
            self._actions,
            batch_id=self._batch_id,
            screenshot=self._final if self._watch is None else None,
            timeout_s=self._body.timeout,
            halt=self.halt,
        )

    async def _look(self, watch: ActWatch, result: BatchResult) -> Answer:
        """What changed. The batch is done: nothing that goes wrong here may hide that."""
        try:
            async with self.halt.block():
                final, changes = await watch.end()
        except TimeoutError:
            missed = stopped(None, CANCELLED, "the batch was cancelled after its last action", None)
        except errors.DesktopSandboxError as error:
            missed = stopped(None, error.slug, f"all of it was done, but not looked at: {error.message}", error.hint)
        else:
            return self._answer(replace(result, final=final), changes)
        return self._answer(replace(result, failed=result.failed or missed))

    def _give_way(self) -> None:
        self._taken = True
        self.halt.ask()

    def _answer(self, result: BatchResult, changes: dict[str, Any] | None = None) -> Answer:
        if not self._taken or result.failed is None or result.failed["code"] != CANCELLED:
            return batch_answer(result, changes)
        told = f"a person took control: {result.failed['message']}"
        failed = {**result.failed, "code": errors.ControlHeldError.slug, "message": told, "hint": LOOK_AGAIN}
        return batch_answer(
            replace(result, failed=failed), changes, self._the.views.control(self._sandbox).control_facts()
        )


def final_spec(wish: desktop_models.ScreenshotOptions | bool) -> ScreenshotSpec | None:
    """How the picture at the end is made; by itself it waits until the screen has settled."""
    if wish is False:
        return None
    spec = spec_of(wish)
    return replace(spec, stable_ms=SETTLED_MS) if spec.stable_ms is None else spec


def batch_answer(
    result: BatchResult, changes: dict[str, Any] | None = None, control: Mapping[str, Any] | None = None
) -> Answer:
    """The answer to a batch. ActionFailedError if not all of it was done, with who has `control` if that is why."""
    done = _done(result.results, result.screenshots, result.final)
    asked = {} if changes is None else {"changes": changes}
    if result.failed is not None:
        failed = dict(result.failed)
        index = failed.get("index")
        raise errors.ActionFailedError(
            f"{failed.get('message')}" if index is None else f"action {index} failed: {failed.get('message')}",
            hint=failed.get("hint"),
            index=index,
            code=failed.get("code"),
            partial=failed.get("partial"),
            **done,
            **asked,
            **(control or {}),
        )
    full = {**done, **asked}
    if not result.screenshots and result.final is None:
        return answer_json(full)
    return answer_json(full, kept={**full, "screenshots": {}, "screenshot": None})


def _done(
    results: Sequence[Mapping[str, Any]], screenshots: Mapping[int, Screenshot], final: Screenshot | None
) -> dict[str, Any]:
    return {
        "results": [plain(entry) for entry in results],
        "screenshots": {str(index): picture_json(shot) for index, shot in screenshots.items()},
        "screenshot": None if final is None else picture_json(final),
    }
