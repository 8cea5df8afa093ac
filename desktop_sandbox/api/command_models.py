"""Bodies of requests and answers about commands."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from desktop_sandbox.api.shapes import (
    Model,
    PathText,
    TimeoutS,
    UserName,
)


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
