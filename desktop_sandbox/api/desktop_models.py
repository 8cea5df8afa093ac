"""Bodies of requests and answers about a desktop: pictures, actions, windows, the clipboard."""

from typing import Annotated, Any

from pydantic import BaseModel, Field

from desktop_sandbox.api.shapes import ImageFormat, Model, PathText, TimeoutS, WaitForControl


class ScreenshotOptions(Model):
    """How a screenshot is made."""

    format: ImageFormat = Field(default="png", description="raw: RGB rows, top to bottom, 3 bytes a pixel.")
    quality: int = Field(default=80, ge=1, le=100, description="For jpeg and webp.")
    scale: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    region: tuple[int, int, int, int] | None = Field(default=None, description="x, y, width, height in pixels.")
    cursor: bool = Field(default=True, description="Draw the pointer into the picture.")
    stable: int | None = Field(default=None, ge=0, le=60_000, description="Wait until nothing changed for so many ms.")
    deadline: int = Field(default=5000, ge=0, le=60_000, description="Longest wait for that, in ms.")


Region = Annotated[tuple[int, int, int, int], Field(description="x, y, width, height in screen pixels.")]


FoundBox = Annotated[list[int], Field(min_length=4, max_length=4, description="x, y, width, height in screen pixels.")]


class ChangeOptions(Model):
    """Which changes of the screen count, and how they are waited for."""

    region: Region | None = Field(default=None, description="Only changes in here count; default: the whole screen.")
    ignore: list[Region] = Field(
        default_factory=list, max_length=64, description="Changes in these do not count: a clock, a caret."
    )
    quiet_ms: int = Field(default=150, ge=0, le=60_000, description="Nothing changed for so long: it has settled.")
    reaction_ms: int = Field(default=1000, ge=0, le=60_000, description="So long it has to begin to change.")
    timeout: float = Field(default=5.0, ge=0, le=600, allow_inf_nan=False, description="Longest wait, in seconds.")


class ActChanges(Model):
    """What a batch changed on the screen. `stable`: it has come to rest; `moving`: where it has not.

    `moment` is how the screen is now, kept for some minutes to compare with.
    """

    changed: bool
    regions: list[FoundBox]
    moment: str
    stable: bool
    moving: list[FoundBox]


class RunActions(Model):
    """A batch: done in order, halting at the first failure."""

    actions: list[Any] = Field(
        min_length=1,
        max_length=1000,
        examples=[[{"type": "click", "x": 400, "y": 300}, {"type": "type", "text": "héllo"}]],
    )
    screenshot: ScreenshotOptions | bool = Field(
        default=False, description="true or options: return the screen at the end, once it has settled."
    )
    changes: ChangeOptions | bool = Field(
        default=False,
        description="true or options: say what changed on the screen, once it has settled; `screenshot` is of then.",
    )
    timeout: TimeoutS | None = Field(
        default=None, description="Seconds for the whole batch; null: as long as such actions may take."
    )
    wait_for_control: float = Field(
        default=0, ge=0, le=3600, description="Seconds to wait while a person drives, before this is refused."
    )


class Picture(Model):
    """A screenshot inside JSON; `data` is base64."""

    data: str = Field(json_schema_extra={"contentEncoding": "base64"})
    media_type: str
    width: int
    height: int
    stable: bool | None


class ActionsDone(Model):
    """What the batch did: one result per action; `screenshots` by the index of their action."""

    results: list[dict[str, Any]]
    screenshots: dict[str, Picture]
    screenshot: Picture | None
    changes: ActChanges | None = Field(default=None, description="Only where they were asked for.")


class Launch(Model):
    """An app to start: its name or desktop file, or program and arguments."""

    app: PathText | list[str] = Field(examples=["xterm"], min_length=1)
    uri: PathText | None = Field(default=None, description="What it shall open.")
    wait_for_control: WaitForControl = 0


class Launched(Model):
    """The started app's process."""

    pid: int


class Open(Model):
    """A file or address for the desktop's default app."""

    target: PathText = Field(examples=["https://example.org"])
    wait_for_control: WaitForControl = 0


class Window(BaseModel):
    """One window, in screen pixels."""

    id: str
    title: str
    window_class: str = Field(default="", alias="class")
    pid: int | None = None
    x: int
    y: int
    width: int
    height: int
    active: bool
    states: list[str] = Field(default=[], description="Of minimised, maximised, fullscreen, modal, above, attention.")


class WindowList(Model):
    """All windows, bottom to top."""

    windows: list[Window]


class Clipboard(Model):
    """Text in the clipboard."""

    text: str = Field(max_length=1_048_576, examples=["héllo"])


class SetClipboard(Clipboard):
    """Text to put into the clipboard."""

    wait_for_control: WaitForControl = 0
