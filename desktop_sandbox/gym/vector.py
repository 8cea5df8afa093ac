"""Many desktops as one gymnasium.vector.VectorEnv: all begin from one snapshot, and act at the same time in threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.gym.env import Batch, DesktopEnv
from desktop_sandbox.gym.spaces import Observation
from desktop_sandbox.gym.starts import Server, Starts
from desktop_sandbox.gym.tasks import Task

T = TypeVar("T")
Flags = npt.NDArray[np.bool_]
Rewards = npt.NDArray[np.float64]
Outcome = tuple[Observation, float, bool, bool, dict[str, Any]]
MAX_ENVS = 256


class DesktopVectorEnv(VectorEnv[Observation, Sequence[Batch], npt.NDArray[Any]]):
    """`num_envs` desktops; parameters as in DesktopEnv. An episode that is over begins anew with the next step.

    `reset(seed=7)` seeds them with 7, 8, 9, …; a list gives each its own. `options["reset_mask"]`, one flag a
    desktop, resets only some. Calls return when the slowest desktop is done.
    """

    metadata = {  # noqa: RUF012
        "render_modes": ["rgb_array"],
        "render_fps": 4,
        "autoreset_mode": AutoresetMode.NEXT_STEP,
    }

    def __init__(self, num_envs: int, tasks: Task | Sequence[Task] = (), **options: Any) -> None:
        if not 1 <= num_envs <= MAX_ENVS:
            raise InvalidRequestError(f"{num_envs} desktops", hint=f"from 1 to {MAX_ENVS}")
        server = Server(options.get("url"), options.get("api_key"))
        self._starts = Starts(server, options.get("resolution", (1280, 800)))
        self.envs = [DesktopEnv(tasks, **options, starts=self._starts) for _ in range(num_envs)]
        self._pool = ThreadPoolExecutor(num_envs, thread_name_prefix="desktop-env")
        self.num_envs = num_envs
        self.render_mode = options.get("render_mode")
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._seen: list[Observation | None] = [None] * num_envs
        self._over: Flags = np.zeros(num_envs, np.bool_)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin episodes on all desktops, or on those of `options["reset_mask"]`."""
        seeds = self._seeds(seed)
        given = dict(options or {})
        mask = self._mask(given.pop("reset_mask", None))

        def begin(index: int) -> tuple[Observation, dict[str, Any]] | None:
            return self.envs[index].reset(seed=seeds[index], options=given) if mask[index] else None

        infos: dict[str, Any] = {}
        for index, begun in enumerate(self._all(begin)):
            if begun is not None:
                self._seen[index] = begun[0]
                infos = self._add_info(infos, begun[1], index)
        self._over[mask] = False
        return self._together(), infos

    def step(self, actions: Sequence[Batch]) -> tuple[Observation, Rewards, Flags, Flags, dict[str, Any]]:
        """A step on each desktop; where the last one ended an episode, a new one begins instead."""
        if len(actions) != self.num_envs:
            raise InvalidRequestError(f"{len(actions)} batches for {self.num_envs} desktops", hint="one for each")

        def one(index: int) -> Outcome:
            if self._over[index]:
                seen, info = self.envs[index].reset()
                return seen, 0.0, False, False, info
            return self.envs[index].step(actions[index])

        outcomes = self._all(one)
        infos: dict[str, Any] = {}
        for index, outcome in enumerate(outcomes):
            self._seen[index] = outcome[0]
            infos = self._add_info(infos, outcome[4], index)
        rewards = np.array([outcome[1] for outcome in outcomes], np.float64)
        terminated = np.array([outcome[2] for outcome in outcomes], np.bool_)
        truncated = np.array([outcome[3] for outcome in outcomes], np.bool_)
        self._over = terminated | truncated
        return self._together(), rewards, terminated, truncated, infos

    def render(self) -> tuple[npt.NDArray[np.uint8] | None, ...]:  # type: ignore[override]
        """The last image of each desktop."""
        return tuple(env.render() for env in self.envs)

    def close_extras(self, **kwargs: Any) -> None:
        """End all desktops, and remove the snapshots that were made for them."""
        list(self._pool.map(lambda env: env.close(), self.envs))
        self._starts.close()
        self._pool.shutdown()

    def _all(self, work: Callable[[int], T]) -> list[T]:
        """Do it for every desktop at once; the first error is raised when all have come to an end."""
        futures = [self._pool.submit(work, index) for index in range(self.num_envs)]
        failed = [error for future in futures if (error := future.exception()) is not None]
        if failed:
            raise failed[0]
        return [future.result() for future in futures]

    def _seeds(self, seed: int | Sequence[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        seeds: list[int | None] = list(range(seed, seed + self.num_envs)) if isinstance(seed, int) else list(seed)
        if len(seeds) != self.num_envs:
            raise InvalidRequestError(f"{len(seeds)} seeds for {self.num_envs} desktops", hint="one for each, or one")
        return seeds

    def _mask(self, given: Any) -> Flags:
        mask = np.ones(self.num_envs, np.bool_) if given is None else np.asarray(given)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_ or not mask.any():
            raise InvalidRequestError(
                "reset_mask is no mask", hint=f"{self.num_envs} booleans, at least one of them true"
            )
        if not mask.all() and any(seen is None for seen in self._seen):
            raise InvalidRequestError("the first reset is of all desktops", hint="leave out reset_mask")
        return mask

    def _together(self) -> Observation:
        """All observations as one, the receiver's own."""
        room: Any = create_empty_array(self.single_observation_space, self.num_envs)
        seen = [one for one in self._seen if one is not None]
        joined: Any = concatenate(self.single_observation_space, seen, room)
        return dict(joined)
