"""What the API takes and gives of the inside of a desktop: files' changes and links, terminals, background commands."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from desktop_sandbox.api.port_access import MAX_TTL_S as MAX_PORT_TTL_S
from desktop_sandbox.api.shapes import Model, PathText, TimeoutS, UserName


class FileChange(BaseModel):
    """One line of a watch: a change (`from`: where it was moved from), or (last) a problem that broke it off."""

    event: Literal["ready", "created", "changed", "written", "attributes", "removed", "moved", "overflow"]
    path: str
    folder: bool
    from_: str | None = Field(default=None, alias="from")
    problem: dict[str, Any] | None = None


class MakeFileLink(Model):
    """A link to make: who has it may read, write (replace) or archive that path until it expires."""

    path: PathText = Field(examples=["/home/user/report.pdf"])
    access: Literal["read", "write", "archive"] = "read"
    user: UserName = Field(default="user", description="Whose rights are used.")
    expires_in: float = Field(
        default=3600, gt=0, le=604_800, allow_inf_nan=False, description="Seconds; 7 days at most."
    )


class FileLink(Model):
    """A link that was made; it needs no key."""

    url: str
    access: Literal["read", "write", "archive"]
    expires_at: str = Field(json_schema_extra={"format": "date-time"})


class StartJob(Model):
    """A command to run in the background: a line for bash, or a list of program and arguments."""

    command: Annotated[str, StringConstraints(min_length=1, max_length=131_072)] | list[str] = Field(
        examples=["make -C /home/user/work"], min_length=1
    )
    user: UserName = "user"
    cwd: PathText | None = None
    env: dict[str, str] = Field(default_factory=dict, max_length=1000)
    timeout: TimeoutS | None = Field(default=None, description="Seconds until it is killed; null: never.")
    stdin: bool = Field(default=False, description="Give it input, from whoever connects; else it has none.")


class CreateTerminal(Model):
    """A terminal to start; without a command it is the user's login shell."""

    command: Annotated[str, StringConstraints(min_length=1, max_length=131_072)] | list[str] | None = Field(
        default=None, examples=["htop"]
    )
    user: UserName = Field(default="user", description="user, or root.")
    cwd: PathText | None = None
    env: dict[str, str] = Field(default_factory=dict, max_length=1000)
    rows: int = Field(default=24, ge=1, le=1000)
    columns: int = Field(default=80, ge=1, le=1000)


class TerminalSize(Model):
    """A terminal's size, in characters."""

    rows: int = Field(ge=1, le=1000)
    columns: int = Field(ge=1, le=1000)


class OpenPort(Model):
    """Who may use a port of the desktop by its address."""

    public: bool = Field(default=False, description="Everybody; else whoever has the token. Kept until it is changed.")
    expires_in: float = Field(
        default=24 * 3600.0, gt=0, le=MAX_PORT_TTL_S, description="Seconds until the token in the address expires."
    )


class PortAddress(Model):
    """Where a port of the desktop is reached by HTTP and WebSocket."""

    host: str = Field(examples=["8080-sb-0f951e627d871665.localhost"])
    url: str = Field(description="Opens it; holds the token, unless the port is public.")
    token: str | None = Field(description="The same for programs, as the header X-Desktop-Sandbox-Token.")
    public: bool
    expires_at: str | None = Field(json_schema_extra={"format": "date-time"})


class SendSignal(Model):
    """A signal of Linux, by number."""

    signal: int = Field(ge=1, le=64, examples=[2])


class Job(Model):
    """A terminal or background command. `output_start` to `output_end` is kept, in bytes of all that it ever wrote."""

    id: str
    command: list[str]
    user: str
    pid: int
    rows: int | None
    columns: int | None
    running: bool
    started_at: str = Field(json_schema_extra={"format": "date-time"})
    ended_at: str | None = Field(json_schema_extra={"format": "date-time"})
    exit_code: int | None = Field(description="128 + signal where a signal ended it; null while it runs.")
    signal: int | None
    timed_out: bool
    connections: int
    output_start: int
    output_end: int


class JobList(Model):
    """Terminals or background commands, the oldest first."""

    jobs: list[Job]
