"""Shapes of requests and answers about elements and windows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from desktop_sandbox.api.desktop_models import Window
from desktop_sandbox.api.shapes import Model, PathText, WaitForControl

MatchKind = Literal["substring", "exact", "regex"]
ScopeKind = Literal["focused", "all"]
ElementText = Annotated[str, Field(min_length=1, max_length=300, examples=["1.23/45"])]
Pixels = Annotated[int, Field(ge=-32768, le=32767)]
Size = Annotated[int, Field(ge=1, le=32767)]
_AMERICAN = {"minimize": "minimise", "maximize": "maximise"}


class Bounds(Model):
    """A place on the screen, in pixels."""

    x: int
    y: int
    width: int
    height: int


class ElementShape(Model):
    """An element of an app. `id` stays its own while it is there; `depth` 0 is its app; `more`: children not read."""

    id: str
    app: int = Field(description="Which of `apps` it belongs to.")
    depth: int
    role: str
    name: str
    description: str
    value: str | None
    states: list[str]
    bounds: Bounds | None
    actions: list[str]
    more: int


class AppShape(Model):
    """An app that was read; `error`: why there is not all of it, or nothing."""

    name: str
    pid: int | None
    error: str | None


class Tree(Model):
    """Elements, parents before their children. `truncated`: why there would be more (deadline, nodes, depth, bytes)."""

    window: str | None = Field(description="Title of the window with the focus, where that was asked for.")
    apps: list[AppShape]
    elements: list[ElementShape]
    total: int | None = Field(description="How many fitted, where some were looked for.")
    truncated: list[str]
    elapsed_ms: int


class DoElement(Model):
    """What to do to an element."""

    id: ElementText
    do: Literal["look", "show", "focus", "click", "set", "invoke"] = Field(
        description="click: its middle, scrolled to and brought to front, with the pointer. set: its text or number."
        " invoke: one of its actions. show: scroll to it."
    )
    value: str | None = Field(default=None, max_length=100_000, description="For set.")
    action: str | None = Field(default=None, max_length=200, description="For invoke; default: the first.")
    button: Literal["left", "middle", "right"] = "left"
    count: int = Field(default=1, ge=1, le=3)
    modifiers: list[str] = Field(default=[], max_length=8)
    wait_for_control: float = Field(default=0, ge=0, le=86_400)

    @model_validator(mode="after")
    def _fits(self) -> DoElement:
        if (self.do == "set") != (self.value is not None):
            raise ValueError('value goes with "set", and with nothing else')
        return self


class ElementDone(Model):
    """The element as it is afterwards; `x`, `y`: where it was clicked."""

    element: ElementShape
    x: int | None
    y: int | None


class ChangeWindow(Model):
    """What to do to a window."""

    window: PathText = Field(description="Its id, or its title or class, or a part of one.", examples=["Mousepad"])
    do: Literal["activate", "close", "minimise", "maximise", "restore", "fullscreen", "move", "resize"]
    x: Pixels | None = None
    y: Pixels | None = None
    width: Size | None = None
    height: Size | None = None
    timeout: float = Field(default=5, ge=0, le=60, description="Seconds it may take to happen.")
    wait_for_control: WaitForControl = 0

    @model_validator(mode="before")
    @classmethod
    def _either_spelling(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("do"), str):
            return {**data, "do": _AMERICAN.get(data["do"], data["do"])}
        return data

    @model_validator(mode="after")
    def _fits(self) -> ChangeWindow:
        given = {name for name in ("x", "y", "width", "height") if getattr(self, name) is not None}
        needed = {"move": {"x", "y"}, "resize": {"width", "height"}}.get(self.do, set())
        if not needed <= given or (given and not needed):
            raise ValueError("move takes x and y (and maybe a size), resize width and height, others none of them")
        return self


class WindowDone(Model):
    """The window as it is now, null once it is closed. `done` false: asked for, and not so in time; a window may ask
    its user first, so look at `windows`."""

    done: bool
    window: Window | None
    windows: list[Window]


class LaunchWindow(Model):
    """An app to start, and how many seconds to wait for its window."""

    app: PathText | list[str] = Field(examples=["mousepad"], min_length=1)
    uri: PathText | None = Field(default=None, description="What it shall open.")
    timeout: float = Field(default=30, ge=0, le=300)
    wait_for_control: WaitForControl = 0


class LaunchedWindow(Model):
    """The started process, and its window."""

    pid: int
    window: Window
