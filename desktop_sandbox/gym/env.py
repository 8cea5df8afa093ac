"""One desktop as a gymnasium.Env. Decides nothing about tasks; how desktops begin is in `starts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from desktop_sandbox import Sandbox
from desktop_sandbox.errors import (
    ActionFailedError,
    ConflictError,
    ControlHeldError,
    DeadlineError,
    GuestError,
    InvalidRequestError,
    NotFoundError,
)
from desktop_sandbox.gym.spaces import (
    Observation,
    action_space,
    batch_of,
    observation_space,
    picture,
    plain_text,
    plain_tree,
    scaled,
)
from desktop_sandbox.gym.starts import Seat, Server, Starts
from desktop_sandbox.gym.tasks import Step, Task, by_name

Batch = Sequence[Mapping[str, Any]]
_WHERE = {"type": "cursor_position"}


class DesktopEnv(gymnasium.Env[Observation, Batch]):
    """A desktop: reset goes back to a snapshot, a step is a batch of actions and the screen after it.

    `tasks` (one or several): which one an episode has is chosen by `reset(options={"task": NAME})`, else by the seed.
    `settle_ms`: an observation is taken when the screen has not changed for so long, at most `settle_deadline_ms`
    after the last action; 0: at once. `scale`: the image's share of the screen. `tree`: observations have the elements
    of the window with the focus, too, which the guest's apps are asked for. `max_steps` truncates an episode.
    `timeout`: seconds until a desktop that nobody resets ends by itself. `url`, `api_key`: as in `Sandbox.create`.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 4}  # noqa: RUF012

    def __init__(
        self,
        tasks: Task | Sequence[Task] = (),
        *,
        resolution: tuple[int, int] = (1280, 800),
        scale: float = 1.0,
        tree: bool = False,
        settle_ms: int = 100,
        settle_deadline_ms: int = 2000,
        max_steps: int | None = None,
        timeout: float | None = 3600.0,
        render_mode: str | None = None,
        url: str | None = None,
        api_key: str | None = None,
        starts: Starts | None = None,
    ) -> None:
        if not 0 < scale <= 1:
            raise InvalidRequestError(f"a scale of {scale}", hint="above 0 and at most 1")
        if render_mode not in (None, "rgb_array"):
            raise InvalidRequestError(f"render mode {render_mode!r}", hint='None or "rgb_array"')
        self._tasks = by_name((tasks,) if isinstance(tasks, Task) else tuple(tasks) or (Task(),))
        self.render_mode = render_mode
        self.observation_space = observation_space(*resolution, scale, tree=tree)
        self.action_space = action_space(*resolution)
        self._scale = scale
        self._tree = tree
        self._settle = (settle_ms, max(settle_ms, settle_deadline_ms))
        self._max_steps = max_steps
        self._own_starts = starts is None
        self._starts = starts or Starts(Server(url, api_key), resolution)
        self._size = resolution
        self._seat = Seat(self._starts, timeout)
        self._task = next(iter(self._tasks.values()))
        self._goal: Mapping[str, Any] = {}
        self._number = 0
        self._last: Observation | None = None

    @property
    def desktop(self) -> Sandbox | None:
        """The sandbox that the episode runs on; None before the first reset."""
        return self._seat.desktop

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode. `options`: `task`, the name of one; `snapshot`, where it begins instead of where it would.

        The text of the observation is the task's prompt. Raises InvalidRequestError for options that it does not know.
        """
        super().reset(seed=seed)
        task, snapshot = self._chosen(options or {})
        desktop = self._seat.begin(snapshot or self._starts.get(task))
        self._task, self._number = task, 0
        self._goal = {} if task.begin is None else dict(task.begin(desktop, self.np_random))
        self._last = self._look(desktop, [], task.words(self._goal))[0]
        return _copy(self._last), {"task": task.name, "sandbox": desktop.sandbox_id, "goal": dict(self._goal)}

    def step(self, action: Batch) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Carry out a batch, look, and let the task judge.

        An action that fails ends the batch, and the text says how. A desktop that has ended truncates the episode
        (`info["lost"]` says why). Raises InvalidActionError before anything is done for actions that are none, and
        ControlHeldError while a person drives.
        """
        desktop = self._seat.desktop
        if desktop is None or self._last is None:
            raise InvalidRequestError("there is no episode to step in", hint="call reset() first")
        actions = batch_of(action)
        try:
            self._last, failed = self._look(desktop, actions, None)
            self._number += 1
            step = Step(self._number, actions, self._last, self._goal, failed)
            verdict = self._task.judge(desktop, step)
        except ControlHeldError:
            raise
        except (NotFoundError, ConflictError) as error:
            self._seat.close()
            return _copy(self._last), 0.0, False, True, {"task": self._task.name, "lost": error.message}
        truncated = self._max_steps is not None and self._number >= self._max_steps
        info = {"task": self._task.name, **verdict.info}
        if failed is not None:
            info["failed"] = failed
        return _copy(self._last), float(verdict.reward), bool(verdict.terminated), truncated, info

    def render(self) -> npt.NDArray[np.uint8] | None:
        """The last observation's image, with render_mode="rgb_array"."""
        if self.render_mode is None or self._last is None:
            return None
        image: npt.NDArray[np.uint8] = self._last["image"].copy()
        return image

    def close(self) -> None:
        """End the desktop, and remove the snapshots that were made for it. Once more does nothing."""
        self._seat.close()
        if self._own_starts:
            self._starts.close()

    def _chosen(self, options: Mapping[str, Any]) -> tuple[Task, str | None]:
        unknown = set(options) - {"task", "snapshot"}
        if unknown:
            raise InvalidRequestError(
                f"unknown options: {', '.join(sorted(unknown))}", hint="there are task and snapshot"
            )
        name, snapshot = options.get("task"), options.get("snapshot")
        if name is None:
            names = list(self._tasks)
            name = names[0] if len(names) == 1 else names[int(self.np_random.integers(len(names)))]
        if name not in self._tasks:
            raise InvalidRequestError(f"there is no task {name!r}", hint=f"there are {', '.join(self._tasks)}")
        return self._tasks[name], snapshot

    def _look(
        self, desktop: Sandbox, actions: list[dict[str, Any]], text: str | None
    ) -> tuple[Observation, str | None]:
        """Act, then see: the observation, and why the batch stopped early."""
        failed = None
        try:
            results = desktop.act([*actions, _WHERE]).results
        except ActionFailedError as error:
            failed = error.message
            results = desktop.act([_WHERE]).results
        where = results[-1]
        if text is None:
            typed = sum(result.get("typed", 0) for result in results)
            said = f"typed {typed} characters" if typed else ""
            text = f"{len(actions)} actions done{'; ' * bool(said)}{said}" if failed is None else f"failed: {failed}"
        cursor = np.array([where["x"], where["y"]], np.int32)
        seen: Observation = {"image": self._image(desktop), "cursor": cursor, "text": plain_text(text)}
        if self._tree:
            seen["tree"] = plain_tree(_outline(desktop))
        return seen, failed

    def _image(self, desktop: Sandbox) -> npt.NDArray[np.uint8]:
        width, height = (scaled(side, self._scale) for side in self._size)
        settle_ms, deadline_ms = self._settle
        data = desktop.screenshot("raw", scale=self._scale, stable_ms=settle_ms or None, deadline_ms=deadline_ms)
        if len(data) != width * height * 3:
            raise ConflictError(
                f"the screen has another size than {self._size[0]}×{self._size[1]} now", hint="reset the environment"
            )
        return picture(data, width, height)


def _outline(desktop: Sandbox) -> str:
    """The elements of the window with the focus, or a line that says why there are none: not every window has some."""
    try:
        return desktop.tree().text
    except (NotFoundError, GuestError, DeadlineError) as error:
        return f"! {error.message}"


def _copy(observation: Observation) -> Observation:
    """An observation that its receiver may change."""
    return {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in observation.items()}
