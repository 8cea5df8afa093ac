"""Does the steps of any dialect on a desktop, and looks at its screen in the size a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from actions.dialects.budget import Budget
from actions.dialects.steps import DragBy, DragTo, Launch, MoveBy, Open, Step, Stop, from_pointer
from actions.dialects.view import View
from actions.errors import ActionValueError
from actions.model import CursorPosition, Screenshot, to_wire
from desktop_sandbox import errors
from desktop_sandbox.agents.runtime import MOST_BYTES, Picture, async_fitted

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.sandbox import AsyncSandbox

# what a model can do something about; everything else ends its loop
MENDABLE = (
    ActionValueError,
    errors.InvalidRequestError,
    errors.ActionFailedError,
    errors.ControlHeldError,
    errors.DeadlineError,
)


@dataclass(frozen=True)
class Done:
    """What steps came to: the pictures they took, where the pointer was found to be (screen pixels), and a stop."""

    pictures: Sequence[Picture] = ()
    pointer: tuple[int, int] | None = None
    stop: Stop | None = None


class AsyncHands:
    """A desktop as a model's dialect sees it.

    `budget` limits pictures (None: the screen as it is); `grid` says that places are not pixels of the picture but of
    a grid of this size. A picture is taken when nothing changed for `settle_ms`, or after `deadline_ms` as it is then.
    """

    def __init__(
        self,
        sandbox: AsyncSandbox,
        *,
        budget: Budget | None = None,
        grid: tuple[int, int] | None = None,
        settle_ms: int = 200,
        deadline_ms: int = 3000,
    ) -> None:
        self.sandbox = sandbox
        self.budget = budget
        self._grid = grid
        self._settle_ms, self._deadline_ms = settle_ms, deadline_ms
        self._screen: tuple[int, int] | None = None
        self.address = "about:blank"

    async def view(self) -> View:
        """How the model's places stand for the screen's."""
        if self._screen is None:
            self._screen = await self.sandbox.get_screen_size()
        return View(self._screen, self._grid or self._fit(self._screen))

    async def look(self, region: tuple[int, int, int, int] | None = None) -> Picture:
        """The settled screen in the size the model takes; a region (x, y, width, height) as large as it takes."""
        shot = await self.sandbox.capture(
            region=region, stable_ms=self._settle_ms, deadline_ms=self._deadline_ms, cursor=True
        )
        size = shot.width, shot.height
        if region is None:
            self._screen = size
            wanted = self._fit(size)
        else:
            wanted = size if self.budget is None else self.budget.fit(*size, enlarge=True)
        if wanted == size and len(shot.data) <= MOST_BYTES:
            return Picture(shot.data, *size)
        return await async_fitted(shot.data, wanted)

    async def do(self, steps: Sequence[Step]) -> Done:
        """Do steps in order; as many as can be go in one batch. Raises at the first that fails (see MENDABLE)."""
        batch: list[dict[str, Any]] = []
        pictures: list[Picture] = []
        pointer: tuple[int, int] | None = None
        for step in steps:
            if isinstance(step, DragTo | MoveBy | DragBy | CursorPosition):
                await self._act(batch)
                pointer = await self.sandbox.get_cursor_position()
                if not isinstance(step, CursorPosition):
                    batch = [to_wire(from_pointer(step, pointer, (await self.view()).screen))]
            elif isinstance(step, Screenshot | Open | Launch | Stop):
                await self._act(batch)
                if isinstance(step, Screenshot):
                    pictures.append(await self.look(step.region))
                elif isinstance(step, Stop):
                    return Done(pictures, pointer, step)
                else:
                    await self._open(step)
            else:
                batch.append(to_wire(step))
        await self._act(batch)
        return Done(pictures, pointer)

    async def _act(self, batch: list[dict[str, Any]]) -> None:
        if batch:
            actions = batch.copy()
            batch.clear()
            await self.sandbox.act(actions)

    async def _open(self, step: Open | Launch) -> None:
        try:
            if isinstance(step, Open):
                await self.sandbox.open(step.target)
                self.address = step.target
            else:
                await self.sandbox.launch(step.app)
        except (errors.NotFoundError, errors.GuestError, errors.CommandFailedError) as error:
            await self.sandbox.get_info()  # a sandbox that is gone is not the model's to mend
            raise ActionValueError(error.message, hint=error.hint) from error

    def _fit(self, size: tuple[int, int]) -> tuple[int, int]:
        return size if self.budget is None else self.budget.fit(*size)
