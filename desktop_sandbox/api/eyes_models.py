"""Bodies of the calls that wait, compare, find and read: checked coming in, documented going out."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from desktop_sandbox.api.desktop_models import ActChanges, FoundBox, Picture, Region, ScreenshotOptions
from desktop_sandbox.api.shapes import Model

Regions = Annotated[list[Region], Field(max_length=64)]
WaitS = Annotated[float, Field(ge=0, le=600, allow_inf_nan=False, description="Longest wait, in seconds.")]
Moment = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Base64 = Annotated[str, Field(min_length=4, max_length=4_000_000, json_schema_extra={"contentEncoding": "base64"})]
Language = Annotated[str, StringConstraints(min_length=3, max_length=64)]
OnTimeout = Literal["answer", "error"]


class Watch(Model):
    """Which changes of the screen count."""

    region: Region | None = Field(default=None, description="Only changes in here count; default: the whole screen.")
    ignore: Regions = Field(default_factory=list, description="Changes in these do not count: a clock, a caret.")


class Seeing(Watch):
    """A wait for the screen, and what comes with its answer."""

    timeout: WaitS = 10.0
    on_timeout: OnTimeout = Field(default="answer", description="error: a `deadline` problem instead of an answer.")
    screenshot: ScreenshotOptions | bool = Field(default=False, description="Return the screen at the end.")


class WaitStable(Seeing):
    """How long nothing may change."""

    quiet_ms: int = Field(default=300, ge=0, le=60_000, description="Nothing that counts changed for so long.")
    blinking: bool = Field(
        default=True,
        description="What goes back and forth between two pictures, as a caret does, does not count once it has done so"
        " a few times.",
    )


class WaitChange(Seeing):
    """From when on a change counts."""

    since: Moment | None = Field(default=None, description="A moment to compare with; default: now.")


class WaitWindow(Model):
    """Which window to wait for: by title, by class, or both."""

    title: Text | None = Field(default=None, description="In the title, in any case.", examples=["Firefox"])
    regex: bool = Field(default=False, description="`title` is a regular expression.")
    window_class: Text | None = Field(default=None, description="In the class, in any case.")
    gone: bool = Field(default=False, description="Wait until there is none instead.")
    timeout: WaitS = 10.0
    on_timeout: OnTimeout = Field(default="error", description="answer: an answer without a window.")


class ReadText(Model):
    """Where to read, and in which language."""

    region: Region | None = Field(default=None, description="Read only here: quicker.")
    language: Language = Field(default="eng", description='Of tesseract: "eng", "deu", "eng+deu".')
    min_confidence: float = Field(default=30, ge=0, le=100, allow_inf_nan=False)


class WaitText(ReadText):
    """Text to wait for."""

    text: Text = Field(description="In a line of the screen, in any case.", examples=["Sign in"])
    regex: bool = Field(default=False, description="`text` is a regular expression.")
    gone: bool = Field(default=False, description="Wait until it is not there instead.")
    timeout: WaitS = 15.0
    on_timeout: OnTimeout = Field(default="error", description="answer: an answer without matches.")


class Compare(Watch):
    """What to compare the screen with: a moment, or a picture of the screen's size."""

    since: Moment | None = None
    picture: Base64 | None = Field(default=None, description="PNG, JPEG, WebP, BMP or GIF, base64.")


class Changes(Model):
    """Where the screen differs from how it was. `moment` is how it is now, kept for some minutes to compare with."""

    changed: bool
    regions: list[FoundBox]
    moment: str


class Stable(ActChanges):
    """How a wait for stillness or change ended; `regions`: what changed meanwhile."""

    waited_ms: int
    screenshot: Picture | None = None


class OpenWindow(Model):
    """A window."""

    id: str
    title: str
    window_class: str
    pid: int | None
    x: int
    y: int
    width: int
    height: int
    active: bool


class WindowWaited(Model):
    """The window that was waited for; null where there is none."""

    window: OpenWindow | None
    waited_ms: int


class FindPicture(Model):
    """A picture to find on the screen."""

    picture: Base64 | None = Field(default=None, description="PNG, JPEG, WebP, BMP or GIF, base64.")
    like: Region | None = Field(default=None, description="Instead of a picture: what the screen shows here.")
    region: Region | None = Field(default=None, description="Look for it only here.")
    threshold: float = Field(default=0.9, ge=0.3, le=1, allow_inf_nan=False, description="Least score.")
    scale: tuple[float, float] = Field(
        default=(1.0, 1.0), description="It may be shown at these sizes, smallest and largest, within 0.5 and 2."
    )
    limit: int = Field(default=100, ge=1, le=100)


class PictureMatch(Model):
    """A place of the picture; 1.0 is pixel for pixel the same."""

    box: FoundBox
    score: float
    scale: float


class PictureMatches(Model):
    """Where the picture is, best first."""

    matches: list[PictureMatch]


class Word(Model):
    """A word: its box in screen pixels, confidence 0 to 100, and the number of its line."""

    text: str
    box: FoundBox
    confidence: float
    line: int


class TextRead(Model):
    """The text, a line for each line, and its words."""

    text: str
    words: list[Word]


class TextMatch(Model):
    """The words that hold what was looked for, and the box around them."""

    text: str
    box: FoundBox
    confidence: float


class TextWaited(Model):
    """Where the text is, in reading order."""

    matches: list[TextMatch]
    waited_ms: int


class Box(Model):
    """Something on the screen."""

    box: Region
    label: str = Field(default="", max_length=200)


class MarkElements(Model):
    """What to number: boxes of your own, or the text on the screen."""

    boxes: list[Box] | None = Field(default=None, max_length=500)
    text: bool = Field(default=False, description="Number the lines of text on the screen as well.")
    screenshot: ScreenshotOptions = Field(default_factory=ScreenshotOptions)


class Mark(Model):
    """A numbered box."""

    number: int
    box: FoundBox
    label: str


class Marked(Model):
    """The screen with the numbers drawn on it, and what each stands for."""

    marks: list[Mark]
    screenshot: Picture


class CursorSeen(Model):
    """The pointer: (x, y) is what it points at, (hot_x, hot_y) the pixel of its picture that lies there.

    `name` as its program called it, null where it did not or the desktop stands still; `data`: its picture as PNG.
    """

    x: int
    y: int
    hot_x: int
    hot_y: int
    width: int
    height: int
    name: str | None
    data: str | None = Field(json_schema_extra={"contentEncoding": "base64"})
