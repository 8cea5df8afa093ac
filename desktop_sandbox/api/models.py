"""Bodies of requests and answers as pydantic models: checked coming in, documented going out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

ImageFormat = Literal["png", "jpeg", "webp", "raw"]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
TimeoutS = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Model(BaseModel):
    """Base: unknown fields are refused, so that a typing error is never ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class Resolution(Model):
    """A screen size in pixels."""

    width: int = Field(ge=1, le=16384, examples=[1280])
    height: int = Field(ge=1, le=16384, examples=[800])


class CreateSandbox(Model):
    """What a new sandbox shall be."""

    template: Name = Field(default="desktop", description="Name of the template to start from.")
    resolution: Resolution | None = Field(default=None, description="Screen size; default: the template's.")
    timeout: TimeoutS | None = Field(
        default=300, description="Seconds until it is ended by itself; null: never.", examples=[300]
    )
    metadata: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=256)],
        Annotated[str, StringConstraints(max_length=4096)],
    ] = Field(default_factory=dict, max_length=64, examples=[{"task": "42"}])


class Sandbox(Model):
    """One sandbox. Times are RFC 3339; `reason` says why it is dead."""

    id: str
    template: str
    state: Literal["creating", "running", "paused", "killing", "dead"]
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    expires_at: str | None = Field(json_schema_extra={"format": "date-time"})
    metadata: dict[str, str]
    resolution: Resolution
    reason: str | None


class SandboxList(Model):
    """One page, newest first; `cursor` leads to the next page and is null on the last."""

    sandboxes: list[Sandbox]
    cursor: str | None


class SetTimeout(Model):
    """A new time to live, counted from now."""

    timeout: TimeoutS | None = Field(description="Seconds from now; null: never.", examples=[600])


class ScreenshotOptions(Model):
    """How a screenshot is made."""

    format: ImageFormat = Field(default="png", description="raw: RGB rows, top to bottom, 3 bytes a pixel.")
    quality: int = Field(default=80, ge=1, le=100, description="For jpeg and webp.")
    scale: float = Field(default=1.0, gt=0, le=1, allow_inf_nan=False)
    region: tuple[int, int, int, int] | None = Field(default=None, description="x, y, width, height in pixels.")
    cursor: bool = Field(default=True, description="Draw the pointer into the picture.")
    stable: int | None = Field(default=None, ge=0, le=60_000, description="Wait until nothing changed for so many ms.")
    deadline: int = Field(default=5000, ge=0, le=60_000, description="Longest wait for that, in ms.")


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
    timeout: TimeoutS | None = Field(default=None, description="Seconds for the whole batch.")


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


class RunCommand(Model):
    """A command: a line for bash, or a list of program and arguments."""

    command: Annotated[str, StringConstraints(min_length=1, max_length=131_072)] | list[str] = Field(
        examples=["ls -l /"], min_length=1
    )
    user: UserName = "user"
    cwd: PathText | None = None
    env: dict[str, str] = Field(default_factory=dict, max_length=1000)
    timeout: TimeoutS | None = Field(default=60, description="Seconds until it is killed; null: never.")
    stdin: str | None = Field(default=None, description="Text, or base64 where encoding is base64.")
    stream: bool = Field(default=False, description="Answer with NDJSON: output as it comes, the exit last.")
    encoding: Literal["utf-8", "base64"] = Field(
        default="utf-8", description="How output is written; utf-8 replaces what is no text."
    )


class CommandDone(Model):
    """A command's whole output and how it ended; any exit code is an answer with status 200."""

    stdout: str
    stderr: str
    exit_code: int
    signal: int | None
    timed_out: bool


class CommandLine(Model):
    """One line of a streamed command: either output, or (last) its exit, or a problem that broke it off."""

    stream: Literal["stdout", "stderr"] | None = None
    data: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    timed_out: bool | None = None
    problem: dict[str, Any] | None = None


class File(Model):
    """One entry of the desktop's file system; `mode` as in stat(2)."""

    path: str
    type: str
    size_bytes: int
    mode: int
    modified_at: str = Field(json_schema_extra={"format": "date-time"})


class FileList(Model):
    """Entries of a folder."""

    files: list[File]


class MakeFolder(Model):
    """A folder to make, with those above it."""

    path: PathText = Field(examples=["/home/user/work"])
    user: UserName = "user"


class MoveFile(Model):
    """A file or folder to move."""

    source: PathText = Field(examples=["/home/user/a"])
    target: PathText = Field(examples=["/home/user/b"])
    user: UserName = "user"


class Launch(Model):
    """An app to start: its name or desktop file, or program and arguments."""

    app: PathText | list[str] = Field(examples=["xterm"], min_length=1)
    uri: PathText | None = Field(default=None, description="What it shall open.")


class Launched(Model):
    """The started app's process."""

    pid: int


class Open(Model):
    """A file or address for the desktop's default app."""

    target: PathText = Field(examples=["https://example.org"])


class Window(BaseModel):
    """One window, in screen pixels."""

    id: str
    title: str
    pid: int | None = None
    x: int
    y: int
    width: int
    height: int
    active: bool


class WindowList(Model):
    """All windows, bottom to top."""

    windows: list[Window]


class Template(Model):
    """A template: ready, building, missing (a recipe that was never built) or stale (`why` says what changed)."""

    name: str
    state: Literal["ready", "building", "missing", "stale"]
    why: str | None
    digest: str | None
    created_at: str | None
    size_bytes: int | None
    resolution: Resolution | None


class TemplateList(Model):
    """All recipes and templates."""

    templates: list[Template]


class BuildLine(Model):
    """One line of a build's progress; the last has `template` (done) or `problem` (failed)."""

    step: str | None = None
    fraction: float | None = None
    message: str | None = None
    template: str | None = None
    problem: dict[str, Any] | None = None


class Health(Model):
    """The server is up."""

    status: Literal["ok"]
    version: str


class Problem(BaseModel):
    """An error (RFC 9457). `type` is stable; `hint` says what to do next; `evidence` holds what was seen."""

    type: str = Field(examples=["urn:desktop-sandbox:problem:not-found"])
    title: str
    status: int
    detail: str
    hint: str | None = None
    instance: str | None = None
    evidence: dict[str, Any] = Field(default_factory=dict)
