"""Bodies of requests and answers about snapshots, and what is made of them."""

from typing import Literal

from pydantic import Field

from desktop_sandbox.api.models import (
    Sandbox,
)
from desktop_sandbox.api.shapes import Description, Model, Name, Resolution, SnapshotName, Tags, TimeoutS, Title


class Checkpoint(Model):
    """What people call a snapshot."""

    name: Title | None = Field(default=None, examples=["before submit"])
    description: Description = ""
    tags: Tags = Field(default_factory=list)


class Snapshot(Model):
    """A saved sandbox. `kind`: checkpoint, fork (made for a fork) or pause (of a paused sandbox).

    `quiesced`: programs stood still and the file system was written out when it was taken. `stopped_ms`: for how long
    the sandbox stood still.
    """

    id: str
    name: str | None
    sandbox: str
    parent: str | None
    template: str
    kind: Literal["checkpoint", "fork", "pause", "import"]
    created_at: str = Field(json_schema_extra={"format": "date-time"})
    size_bytes: int
    resolution: Resolution
    quiesced: bool
    stopped_ms: float
    description: str
    tags: list[str]


class SnapshotList(Model):
    """Snapshots, oldest first."""

    snapshots: list[Snapshot]


class ChangeSnapshot(Model):
    """What is left out (or null) stays as it is."""

    name: Title | None = None
    description: Description | None = None
    tags: Tags | None = None


class Promote(Model):
    """What the template shall be called."""

    name: Name = Field(examples=["logged-in"])


class Fork(Model):
    """How many, and what they shall be."""

    count: int = Field(default=1, ge=1, le=256, examples=[3])
    timeout: TimeoutS | None = Field(default=300, description="Seconds until each is ended; null: never.")
    metadata: dict[str, str] | None = Field(default=None, max_length=64, description="Default: the parent's.")


class Forked(Model):
    """The new sandboxes."""

    sandboxes: list[Sandbox]


class ForkFrom(Model):
    """What a desktop from a snapshot shall be."""

    timeout: TimeoutS = Field(default=3600, description="Seconds until it is ended; with a token an hour at most.")


class ForkedFrom(Model):
    """The new sandbox, and a page that shows it."""

    sandbox: Sandbox
    url: str


class Timeline(Model):
    """A desktop's snapshots and those that it descends from, oldest first; `at`: where it stands among them."""

    at: str | None
    snapshots: list[Snapshot]


class TrustKey(Model):
    """A host's public key."""

    key: str = Field(max_length=200, examples=["ed25519:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="])


class TrustedKey(TrustKey):
    """A key that is trusted."""

    name: str


class Trust(Model):
    """Whose snapshots may be imported; `own` is this host's key, to be trusted elsewhere."""

    own: str
    keys: list[TrustedKey]


class Rollback(Model):
    """Where to."""

    snapshot: SnapshotName = Field(examples=["ss-5f0c0ffee0ddba11"])


class Resume(Model):
    """For how long, and from what."""

    timeout: TimeoutS | None = Field(default=None, description="Seconds from now; null: as long as it was made for.")
    from_disk: bool = Field(
        default=False,
        description="Boot it from its disk; what it had in memory is not brought back. For one whose memory does not"
        " fit this host any more (snapshot-mismatch). Takes as long as a boot.",
    )
