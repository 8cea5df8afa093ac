"""Desktops as Gymnasium environments (docs/gymnasium.md). Needs the extra `gym`: pip install 'desktop-sandbox[gym]'.

An episode begins at a snapshot, a step is a batch of actions, reward and end are a task's own function.
"""

from __future__ import annotations

from desktop_sandbox.errors import ConfigurationError

try:
    import gymnasium
except ImportError as error:
    raise ConfigurationError(
        "the package gymnasium is not installed", hint="pip install 'desktop-sandbox[gym]'"
    ) from error

from desktop_sandbox.gym.env import DesktopEnv
from desktop_sandbox.gym.spaces import KEYS, KINDS
from desktop_sandbox.gym.tasks import Step, Task, Verdict
from desktop_sandbox.gym.vector import DesktopVectorEnv

__all__ = ["ENV_ID", "KEYS", "KINDS", "DesktopEnv", "DesktopVectorEnv", "Step", "Task", "Verdict"]

ENV_ID = "desktop_sandbox/Desktop-v0"

if ENV_ID not in gymnasium.registry:
    gymnasium.register(
        id=ENV_ID,
        entry_point="desktop_sandbox.gym.env:DesktopEnv",
        vector_entry_point="desktop_sandbox.gym.vector:DesktopVectorEnv",
        nondeterministic=True,  # its clock goes on, and programs take the time that they take
    )
