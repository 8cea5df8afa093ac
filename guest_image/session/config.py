"""What the session must know of its recipe, out of /etc/desktop-sandbox/recipe.json. Pure but for `load`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECIPE_PATH = Path("/etc/desktop-sandbox/recipe.json")
RUNTIME_DIRECTORY = Path("/run/desktop-session")
DISPLAY_NUMBER = 0
USER_PATH = (
    "/home/user/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/games:/usr/games"
)


@dataclass(frozen=True)
class AppConfig:
    """A program of the session; `restart`: started again when it ends; `early`: beside the window manager."""

    argv: tuple[str, ...]
    restart: bool = True
    early: bool = False


@dataclass(frozen=True)
class SessionConfig:
    """Sizes in pixels (width, height); `apps` are started once the window manager is there.

    `clock_set`: run when somebody has set the clock, as a restore does; empty for nothing.
    """

    resolution: tuple[int, int]
    max_resolution: tuple[int, int]
    window_manager: AppConfig
    apps: tuple[AppConfig, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    clock_set: tuple[str, ...] = ()


def parse(facts: Mapping[str, Any]) -> SessionConfig:
    """The configuration out of the recipe's JSON. Raises KeyError, TypeError or ValueError where it is wrong."""
    width, height = facts["resolution"]
    max_width, max_height = facts["max_resolution"]
    return SessionConfig(
        resolution=(int(width), int(height)),
        max_resolution=(int(max_width), int(max_height)),
        window_manager=AppConfig(tuple(facts["window_manager"])),
        apps=tuple(_app(app) for app in facts["apps"]),
        environment=dict(facts.get("environment", {})),
        clock_set=tuple(facts.get("clock_set", ())),
    )


def _app(facts: Mapping[str, Any]) -> AppConfig:
    return AppConfig(tuple(facts["argv"]), bool(facts.get("restart", True)), bool(facts.get("early", False)))


def load(path: Path = RECIPE_PATH) -> SessionConfig:
    """Read the configuration."""
    return parse(json.loads(path.read_text()))


def user_environment(uid: int, extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of all programs of the desktop, and of the commands that the agent runs for the user."""
    runtime = f"/run/user/{uid}"
    return {
        "HOME": "/home/user",
        "USER": "user",
        "LOGNAME": "user",
        "SHELL": "/bin/bash",
        "PATH": USER_PATH,
        "LANG": "C.UTF-8",
        "DISPLAY": f":{DISPLAY_NUMBER}",
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
        **extra,
    }


def environment_file(environment: Mapping[str, str]) -> str:
    """KEY=VALUE lines, as the agent reads them."""
    return "".join(f"{key}={value}\n" for key, value in environment.items())
