"""What the API takes and gives of code that keeps its state."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from desktop_sandbox.api.shapes import Model, PathText, TimeoutS, UserName

Language = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")]
ContextId = Annotated[str, StringConstraints(pattern=r"^code-[0-9a-f]{12}$")]


class CreateContext(Model):
    """A context to start: a Jupyter kernel with a state of its own."""

    language: Language = Field(
        default="python", description="python, bash, javascript, or the name of a kernel that the template has."
    )
    user: UserName = "user"
    cwd: PathText | None = None
    env: dict[str, str] = Field(default_factory=dict, max_length=1000)


class CodeContext(BaseModel):
    """A context: what was defined in it is there for the next code, also after a checkpoint, a fork or a pause."""

    id: str = Field(examples=["code-0123456789ab"])
    language: str
    user: str
    running: bool = Field(description="Whether it takes code; one that ended is forgotten after some minutes.")
    started_at: str = Field(json_schema_extra={"format": "date-time"})


class ContextList(BaseModel):
    """Contexts, the oldest first."""

    contexts: list[CodeContext]


class RunCode(Model):
    """Code to run, in a context, or in the language's own that every desktop has."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=1 << 20)] = Field(examples=["x = 6\nx * 7"])
    language: Language = Field(default="python", description="Of the context that is used where none is named.")
    context: ContextId | None = None
    timeout: TimeoutS | None = Field(
        default=60,
        description="Seconds until it is interrupted; then the kernel starts anew. null: never.",
    )
    stream: bool = Field(default=False, description="Answer as NDJSON, one line (CodeLine) for each thing it says.")


class CodeError(BaseModel):
    """What the code raised."""

    name: str
    value: str
    traceback: str


class CodeResult(BaseModel):
    """A thing that was shown: `data` by MIME type (base64 if not text); `main`: the last expression's value."""

    data: dict[str, Any]
    main: bool


class CodeDone(BaseModel):
    """How the code ended, with all that it said."""

    status: Literal["ok", "error", "interrupted", "timeout", "restarted", "died"] = Field(
        description="died and restarted: the state of the context is lost, and the context goes on with a new one."
    )
    results: list[CodeResult]
    stdout: str
    stderr: str
    error: CodeError | None
    count: int | None = Field(description="Number of this execution in its kernel.")
    context: str


class CodeLine(BaseModel):
    """One line of a stream: text, a result, an error, a problem that broke it off; at last `status` alone."""

    stream: Literal["stdout", "stderr"] | None = None
    text: str | None = None
    result: CodeResult | None = None
    error: CodeError | None = None
    status: str | None = None
    count: int | None = None
    context: str | None = None
    problem: dict[str, Any] | None = None
