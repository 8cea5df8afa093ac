"""Recipes: what an image consists of, read from TOML into frozen values. Decides nothing and starts nothing.

A recipe that cannot be used is refused here, with its file, the line where that can be found, and what is allowed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

RECIPES_DIRECTORY = Path(__file__).parent / "recipes"
TREE_DIRECTORY = Path(__file__).parent / "tree"

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!]+")


class RecipeError(Exception):
    """A recipe is missing or wrong: `message` says where and what, `hint` what to do next."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


@dataclass(frozen=True)
class Condition:
    """One thing that must be true; exactly one field is set.

    `window`: a regular expression that a mapped window's WM_CLASS or title matches; `file`: a path that exists in
    the guest; `unit`: a systemd unit that is active.
    """

    window: str | None = None
    file: str | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        if sum(value is not None for value in (self.window, self.file, self.unit)) != 1:
            raise ValueError("a condition has exactly one of window, file, unit")
        if self.window is not None:
            try:
                re.compile(self.window)
            except re.error as error:
                raise ValueError(f"window = {self.window!r} is not a regular expression: {error}") from error

    def to_wire(self) -> dict[str, str]:
        """The condition as the guest agent's operation session.wait takes it."""
        return {key: value for key, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class WarmUp:
    """A command that is started once before the template is taken, and what must be true before going on.

    `beside`: the next ones do not wait for it; the template does.
    """

    argv: tuple[str, ...]
    until: tuple[Condition, ...] = ()
    timeout_ms: int = 180_000
    beside: bool = False

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("argv is empty")
        if self.timeout_ms <= 0:
            raise ValueError(f"timeout_ms = {self.timeout_ms} is not above 0")


@dataclass(frozen=True)
class App:
    """A program of the session: started after the window manager, again if it ends unless `restart` is false.

    `early`: started beside the window manager, since that and all others ask it for their settings.
    """

    argv: tuple[str, ...]
    restart: bool = True
    early: bool = False

    def __post_init__(self) -> None:
        if not self.argv:
            raise ValueError("argv is empty")


@dataclass(frozen=True)
class Recipe:
    """What an image consists of. Sizes: pixels (width, height), MiB, GiB."""

    name: str
    description: str
    suite: str
    packages: tuple[str, ...]
    window_manager: tuple[str, ...]
    apps: tuple[App, ...]
    ready: tuple[Condition, ...]
    trees: tuple[str, ...] = ("common",)
    python_packages: tuple[str, ...] = ()
    warm_up: tuple[WarmUp, ...] = ()
    resolution: tuple[int, int] = (1280, 800)
    max_resolution: tuple[int, int] = (1920, 1200)
    memory_mib: int = 1024
    vcpus: int = 1
    disk_gib: int = 8
    environment: Mapping[str, str] = field(default_factory=dict)
    clock_set: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"name = {self.name!r} is not lower-case letters, digits and '-'")
        if not self.window_manager:
            raise ValueError("window_manager is empty")
        for package in self.packages:
            if not _PACKAGE.fullmatch(package):
                raise ValueError(f"packages: {package!r} is not the name of a Debian package")
        for package in self.python_packages:
            if not _PINNED.fullmatch(package):
                raise ValueError(f"python_packages: {package!r} is not NAME==VERSION")
        for label, low, high in (("memory_mib", 256, 65536), ("vcpus", 1, 64), ("disk_gib", 2, 1024)):
            value = getattr(self, label)
            if not low <= value <= high:
                raise ValueError(f"{label} = {value} is not between {low} and {high}")
        for label in ("resolution", "max_resolution"):
            width, height = getattr(self, label)
            if not (320 <= width <= 7680 and 200 <= height <= 4320):
                raise ValueError(f"{label} = [{width}, {height}] is not between [320, 200] and [7680, 4320]")
        if any(size > limit for size, limit in zip(self.resolution, self.max_resolution, strict=True)):
            raise ValueError(f"resolution = {list(self.resolution)} is above {list(self.max_resolution)}")
        for tree in self.trees:
            if not (TREE_DIRECTORY / tree).is_dir():
                raise ValueError(f"trees: there is no {tree!r} in {TREE_DIRECTORY}")


def recipe_names(directory: Path = RECIPES_DIRECTORY) -> list[str]:
    """Names of all recipes in the directory, sorted."""
    return sorted(path.stem for path in directory.glob("*.toml"))


def load_recipe(name: str, directory: Path = RECIPES_DIRECTORY) -> Recipe:
    """Read a recipe by its name. Raises RecipeError where there is none or it is wrong."""
    path = directory / f"{name}.toml"
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(recipe_names(directory)) or "none"
        raise RecipeError(f"there is no recipe {name!r} in {directory}", hint=f"there are: {known}") from None
    recipe = parse_recipe(text, source=str(path))
    if recipe.name != name:
        raise RecipeError(f"{path}: name = {recipe.name!r}, but the file is called {path.name}")
    return recipe


def parse_recipe(text: str, source: str = "<recipe>") -> Recipe:
    """Parse a recipe. `source` stands in errors (a path). Raises RecipeError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{source}: {error}", hint="recipes are TOML files") from error
    reader = _Reader(text, source)
    recipe: Recipe = reader.read(Recipe, table, "")
    return recipe


class _Reader:
    """Turns TOML tables into dataclasses; knows the text, so that errors can name a line."""

    def __init__(self, text: str, source: str) -> None:
        self._lines = text.splitlines()
        self._source = source

    def fail(self, key: str, problem: str, hint: str | None = None) -> RecipeError:
        pattern = re.compile(rf"\s*\[*\s*(\w+\.)?{re.escape(key)}\s*[=\]]") if key else None
        line = next((n for n, text in enumerate(self._lines, 1) if pattern and pattern.match(text)), None)
        return RecipeError(f"{self._source}{f':{line}' if line else ''}: {problem}", hint=hint)

    def read(self, kind: type[Any], table: object, where: str) -> Any:
        if not isinstance(table, dict):
            raise self.fail(where, f"{where} is not a table")
        allowed = {item.name: item for item in fields(kind)}
        for key in table:
            if key not in allowed:
                raise self.fail(key, f"unknown key {key!r}", f"allowed here: {', '.join(allowed)}")
        values: dict[str, Any] = {}
        for key, item in allowed.items():
            if key in table:
                values[key] = self._value(str(item.type), key, table[key])
            elif item.default is MISSING and item.default_factory is MISSING:
                raise self.fail(where, f"{key} is missing{f' in {where}' if where else ''}")
        try:
            return kind(**values)
        except ValueError as error:
            raise self.fail(str(error).split(" ", 1)[0].rstrip(":"), str(error)) from error

    def _value(self, kind: str, key: str, value: Any) -> Any:
        nested = {"App": App, "Condition": Condition, "WarmUp": WarmUp}
        inner = re.fullmatch(r"tuple\[(\w+), \.\.\.\]", kind)
        if inner and inner[1] in nested and isinstance(value, list):
            return tuple(self.read(nested[inner[1]], entry, key) for entry in value)
        match kind, value:
            case "tuple[str, ...]", list() if all(isinstance(entry, str) for entry in value):
                return tuple(value)
            case "tuple[int, int]", [int(), int()]:
                return tuple(value)
            case ("int", bool()):
                pass
            case ("str" | "str | None", str()) | ("int", int()) | ("bool", bool()):
                return value
            case "Mapping[str, str]", dict() if all(isinstance(entry, str) for entry in value.values()):
                return dict(value)
        raise self.fail(key, f"{key} = {value!r} has the wrong type", f"expected: {kind}")
