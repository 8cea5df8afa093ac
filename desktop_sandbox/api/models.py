"""Bodies of requests and answers as pydantic models: checked coming in, documented going out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from desktop_sandbox.api.network_models import (
    NetworkPolicy,
)
from desktop_sandbox.api.shapes import (
    Model,
    Name,
    Resolution,
    SnapshotName,
    TimeoutS,
)


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
    snapshot: SnapshotName | None = Field(
        default=None, description="Begin from this snapshot; its template is then the snapshot's."
    )
    on_timeout: Literal["kill", "pause"] = Field(
        default="kill", description="pause: put it to disk when its time is over, instead of ending it."
    )
    auto_resume: bool = Field(
        default=False, description="When it is paused, resume it when somebody acts on it or looks at it."
    )
    freeze_after: float | None = Field(
        default=None,
        ge=0,
        le=31_536_000,
        description="Seconds without use after which it stands still in memory, if it is idle; 0: never;"
        " null: as the server does by itself.",
    )
    network: NetworkPolicy | None = Field(
        default=None,
        description="What it may reach: none, internet (public addresses), or rules; null: as the sandbox that the"
        " snapshot is of, else internet.",
    )


class Sandbox(Model):
    """One sandbox. Times are RFC 3339; `reason` says why it is dead; `snapshot` is its place in the tree.

    `frozen`: it is running, but stands still in memory because it is idle; the next call wakes it.
    """

    id: str
    template: str
    state: Literal["creating", "running", "paused", "killing", "dead"]
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    expires_at: str | None = Field(json_schema_extra={"format": "date-time"})
    metadata: dict[str, str]
    resolution: Resolution
    reason: str | None
    snapshot: str | None
    on_timeout: Literal["kill", "pause"]
    auto_resume: bool
    freeze_after: float | None
    frozen: bool
    network: NetworkPolicy


class SandboxList(Model):
    """One page, newest first; `cursor` leads to the next page and is null on the last."""

    sandboxes: list[Sandbox]
    cursor: str | None


class SetTimeout(Model):
    """A new time to live, counted from now."""

    timeout: TimeoutS | None = Field(description="Seconds from now; null: never.", examples=[600])


class Template(Model):
    """A template: ready, building, missing (a recipe that was never built) or stale (`why` says what changed).

    `promoted_from`: the snapshot that it was made of; null for one that is built of a recipe.
    """

    name: str
    state: Literal["ready", "building", "missing", "stale"]
    why: str | None
    digest: str | None
    created_at: str | None
    size_bytes: int | None
    resolution: Resolution | None
    promoted_from: str | None


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
