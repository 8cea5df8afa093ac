"""What a task is: where its episodes begin, and how they are judged. Values only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from desktop_sandbox.errors import InvalidRequestError

if TYPE_CHECKING:
    import numpy as np

    from desktop_sandbox import Sandbox


@dataclass(frozen=True)
class Step:
    """One step as a judge sees it. `number` counts from 1; `actions` are those of the batch, as in docs/actions.md.

    `goal` is what the task's `begin` returned for this episode; `failed` says why the batch stopped early, or None.
    """

    number: int
    actions: Sequence[Mapping[str, Any]]
    observation: Mapping[str, Any]
    goal: Mapping[str, Any]
    failed: str | None = None


@dataclass(frozen=True)
class Verdict:
    """What a step was worth; `terminated`: the episode is over. `info` is passed on."""

    reward: float = 0.0
    terminated: bool = False
    info: Mapping[str, Any] = field(default_factory=dict)


def no_reward(desktop: Sandbox, step: Step) -> Verdict:
    """Judge nothing: every step is worth 0, and the episode goes on."""
    return Verdict()


@dataclass(frozen=True)
class Task:
    """A task: `judge(desktop, step)` decides reward and end, and may look at anything in the desktop.

    `setup(desktop)` runs once, and every episode begins from what it left (log in once). `begin(desktop, rng)` runs at
    each reset and varies the episode by the seed; what it returns is the step's `goal` and fills `prompt`, which is the
    text of the first observation. Episodes begin from `snapshot`, or from `template` as it is when it was made.
    """

    name: str = "free"
    judge: Callable[[Sandbox, Step], Verdict] = no_reward
    prompt: str = ""
    template: str = "desktop"
    snapshot: str | None = None
    setup: Callable[[Sandbox], None] | None = None
    begin: Callable[[Sandbox, np.random.Generator], Mapping[str, Any]] | None = None

    def words(self, goal: Mapping[str, Any]) -> str:
        """The prompt of an episode. Raises InvalidRequestError where it names what `goal` does not have."""
        try:
            return self.prompt.format_map(goal) if goal else self.prompt
        except (KeyError, IndexError, ValueError) as error:
            raise InvalidRequestError(
                f"the prompt of task {self.name!r} cannot be filled in: {error!r}",
                hint="each {name} in it must be a key of what begin() returns",
            ) from error


def by_name(tasks: Sequence[Task]) -> dict[str, Task]:
    """Tasks by their names. Raises InvalidRequestError if there is none, or two share a name."""
    found = {task.name: task for task in tasks}
    if not tasks or len(found) != len(tasks):
        names = ", ".join(task.name for task in tasks) or "none"
        raise InvalidRequestError(f"tasks need names of their own: {names}", hint="give at least one, each named once")
    return found
