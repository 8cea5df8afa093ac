"""Desktops as an OpenEnv environment (docs/agents.md). Needs the extra: pip install 'desktop-sandbox[openenv]'.

A thin name over `desktop_sandbox.gym`: the same tasks, starts and steps, as OpenEnv's types. It runs in your program,
or behind OpenEnv's own server (`app`), where `DesktopClient` finds it.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from pydantic import Field

from desktop_sandbox.agents.extras import extra
from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.gym.env import DesktopEnv
from desktop_sandbox.gym.tasks import Task

with extra("openenv"):
    from openenv.core.client_types import StepResult
    from openenv.core.env_client import EnvClient
    from openenv.core.env_server import Action, Environment, Observation, State, create_fastapi_app

if TYPE_CHECKING:
    from fastapi import FastAPI

FORMATS = {"png": "image/png", "jpeg": "image/jpeg"}


class DesktopAction(Action):  # type: ignore[misc]
    """A step: a batch of actions as in docs/actions.md, such as `{"type": "click", "x": 4, "y": 5}`."""

    actions: list[dict[str, Any]] = Field(default_factory=list, max_length=1000)


class DesktopObservation(Observation):  # type: ignore[misc]
    """The screen after a step: `image` is base64, `cursor` in screen pixels, `text` what was said of the step.

    `tree`: the elements of the window with the focus, with the option `tree=True`.

    `truncated`: the episode is over by a limit, not by the task; `info` is the task's own.
    """

    image: str = Field(repr=False)
    media_type: str
    width: int
    height: int
    cursor: tuple[int, int]
    text: str
    tree: str | None = None
    truncated: bool = False
    info: dict[str, Any] = Field(default_factory=dict)


class DesktopState(State):  # type: ignore[misc]
    """Where the episode stands: its task, and the sandbox that it runs on."""

    task: str | None = None
    sandbox: str | None = None


class DesktopEnvironment(Environment[DesktopAction, DesktopObservation, DesktopState]):  # type: ignore[misc]
    """A desktop for OpenEnv. `options` are those of `desktop_sandbox.gym.DesktopEnv`; `image_format` is png or jpeg."""

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, tasks: Task | Sequence[Task] = (), *, image_format: str = "png", **options: Any) -> None:
        super().__init__()
        if image_format not in FORMATS:
            raise InvalidRequestError(f"there is no image format {image_format!r}", hint=f"{', '.join(FORMATS)}")
        self._env = DesktopEnv(tasks, **options)
        self._format = image_format
        self._state = DesktopState()

    def reset(self, seed: int | None = None, episode_id: str | None = None, **kwargs: Any) -> DesktopObservation:
        """Begin an episode. `kwargs`: `task`, the name of one; `snapshot`, where it begins instead."""
        seen, info = self._env.reset(seed=seed, options=kwargs or None)
        self._state = DesktopState(
            episode_id=episode_id or uuid.uuid4().hex, step_count=0, task=info["task"], sandbox=info["sandbox"]
        )
        return self._observed(seen, info)

    def step(self, action: DesktopAction, timeout_s: float | None = None, **kwargs: Any) -> DesktopObservation:
        """Carry out the batch, look, and let the task judge: `reward` and `done`. Raises as the Gymnasium one does.

        `timeout_s` is not needed: every call has a deadline of its own.
        """
        seen, reward, terminated, truncated, info = self._env.step(action.actions)
        self._state.step_count += 1
        return self._observed(seen, info, reward=reward, done=terminated or truncated, truncated=truncated)

    @property
    def state(self) -> DesktopState:
        """Where the episode stands."""
        return self._state

    def close(self) -> None:
        """End the desktop, and remove the snapshots that were made for it."""
        self._env.close()

    def _observed(self, seen: Mapping[str, Any], info: Mapping[str, Any], **outcome: Any) -> DesktopObservation:
        image: np.ndarray[Any, np.dtype[np.uint8]] = seen["image"]
        _, data = cv2.imencode(f".{self._format}", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
        return DesktopObservation(
            image=base64.b64encode(data.tobytes()).decode(),
            media_type=FORMATS[self._format],
            width=image.shape[1],
            height=image.shape[0],
            cursor=(int(seen["cursor"][0]), int(seen["cursor"][1])),
            text=seen["text"],
            tree=seen.get("tree"),
            info=dict(info),
            **outcome,
        )


class DesktopClient(EnvClient[DesktopAction, DesktopObservation, DesktopState]):  # type: ignore[misc]
    """A desktop behind OpenEnv's server: `async with DesktopClient(base_url="http://host:8000") as env: ...`."""

    def _step_payload(self, action: DesktopAction) -> dict[str, Any]:
        found: dict[str, Any] = action.model_dump()
        return found

    def _parse_result(self, payload: dict[str, Any]) -> StepResult[DesktopObservation]:
        outcome = {"reward": payload.get("reward"), "done": bool(payload.get("done"))}
        seen = DesktopObservation.model_validate({**payload["observation"], **outcome})
        return StepResult(observation=seen, reward=seen.reward, done=seen.done)

    def _parse_state(self, payload: dict[str, Any]) -> DesktopState:
        found: DesktopState = DesktopState.model_validate(payload)
        return found


def app(tasks: Task | Sequence[Task] = (), *, most: int = 8, **options: Any) -> FastAPI:
    """OpenEnv's server with desktops, `most` sessions at once: hand it to uvicorn. It has no key of its own."""
    made: FastAPI = create_fastapi_app(
        lambda: DesktopEnvironment(tasks, **options), DesktopAction, DesktopObservation, max_concurrent_envs=most
    )
    return made
