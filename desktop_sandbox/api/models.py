"""Bodies of requests and answers as pydantic models: checked coming in, documented going out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from desktop_sandbox.api.network_models import HeaderRule, ProxyUrl

ImageFormat = Literal["png", "jpeg", "webp", "raw"]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]
PathText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
SnapshotName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^ss-[0-9a-f]+$")]
Tags = Annotated[list[Annotated[str, StringConstraints(min_length=1, max_length=64)]], Field(max_length=32)]
Title = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Description = Annotated[str, StringConstraints(max_length=4096)]
NetworkRuleList = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=300)]], Field(max_length=500)
]
TimeoutS = Annotated[float, Field(gt=0, le=31_536_000, allow_inf_nan=False)]


class Model(BaseModel):
    """Base: unknown fields are refused, so that a typing error is never ignored in silence."""

    model_config = ConfigDict(extra="forbid")


class Resolution(Model):
    """A screen size in pixels."""

    width: int = Field(ge=1, le=16384, examples=[1280])
    height: int = Field(ge=1, le=16384, examples=[800])


class NetworkRules(Model):
    """What a sandbox may reach: what a rule of `allow` opens and none of `deny` closes."""

    allow: NetworkRuleList | None = Field(
        default=None,
        description="Names (example.org, *.example.org), addresses, ranges (10.0.0.0/8) or internet, maybe with :PORTS;"
        " null: internet.",
        examples=[["*.example.org:443", "10.1.2.3:5432"]],
    )
    deny: NetworkRuleList = Field(default_factory=list, examples=[["ads.example.org"]])
    max_connections: int | None = Field(default=None, ge=1, le=4096, description="At once; null: 512.")
    bandwidth_bytes_s: int | None = Field(
        default=None, ge=1024, le=1 << 40, description="Both directions together; null: no limit."
    )
    headers: list[HeaderRule] | None = Field(
        default=None, max_length=50, description="Secrets for hosts, which the guest does not see."
    )
    proxy: ProxyUrl | None = Field(
        default=None,
        repr=False,
        description="All connections go through it: http:// or socks5://, USER:PASSWORD@, HOST:PORT; shown masked.",
        examples=["http://10.1.2.3:3128"],
    )


NetworkPolicy = Literal["none", "internet"] | NetworkRules


def policy_of(policy: NetworkPolicy | None) -> object:
    """A policy as the node takes it."""
    return policy.model_dump(exclude_none=True) if isinstance(policy, NetworkRules) else policy


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


class SetNetwork(Model):
    """A new policy, which holds from now on."""

    policy: NetworkPolicy


class NetworkCounters(Model):
    """What has passed since the server began with the sandbox; `open`: connections now."""

    connections: int
    refused: int
    failed: int
    lookups: int
    sent_bytes: int
    received_bytes: int
    open: int


class Network(Model):
    """A sandbox's network. `available`: whether its machine has one; if not, `why`."""

    policy: NetworkPolicy
    available: bool
    why: str | None
    counters: NetworkCounters


class NetworkEntry(Model):
    """One connection (tcp) or lookup of a name (dns). `address` and `port`: where the sandbox wanted to go; `rule`: the
    rule that decided."""

    number: int
    time: str = Field(json_schema_extra={"format": "date-time"})
    kind: Literal["tcp", "dns"]
    outcome: Literal["open", "allowed", "refused", "failed"]
    name: str | None
    address: str | None
    port: int | None
    reason: str
    rule: str | None
    sent_bytes: int
    received_bytes: int
    seconds: float


class NetworkLog(Model):
    """Connections, oldest first; one that goes on has the outcome open."""

    entries: list[NetworkEntry]


class SandboxList(Model):
    """One page, newest first; `cursor` leads to the next page and is null on the last."""

    sandboxes: list[Sandbox]
    cursor: str | None


class SetTimeout(Model):
    """A new time to live, counted from now."""

    timeout: TimeoutS | None = Field(description="Seconds from now; null: never.", examples=[600])


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
    kind: Literal["checkpoint", "fork", "pause"]
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
    timeout: TimeoutS | None = Field(default=None, description="Seconds for the whole batch.")
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
    """Entries of a folder, 5000 at most; `truncated`: there are more."""

    files: list[File]
    truncated: bool = False


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


class StreamInfo(Model):
    """What a viewer must know before it connects; `rights` are those of the key or token that asks."""

    name: str
    template: str
    state: str
    rights: Literal["view", "control"]
    takes_control: bool
    width: int
    height: int
    ice_servers: list[dict[str, Any]]


class MakeToken(Model):
    """A token for one person."""

    rights: Literal["view", "control"] = Field(default="control", description="view: watch only.")
    ttl: float = Field(
        default=3600, gt=0, le=2_592_000, allow_inf_nan=False, description="Seconds until it expires.", examples=[600]
    )
    name: str = Field(default="", max_length=64, description="What others are shown.", examples=["Ada"])
    takes_control: bool = Field(
        default=False,
        description="The first key or click takes the control from an agent that does nothing at that moment;"
        " otherwise its holder takes the control by a button.",
    )


class TokenFacts(Model):
    """A token, without what makes it good."""

    id: str
    rights: Literal["view", "control"]
    name: str
    expires_at: str = Field(json_schema_extra={"format": "date-time"})


class Token(TokenFacts):
    """A new token; `url` is the page that shows the desktop with it."""

    token: str
    url: str


class TokenList(Model):
    """Tokens that are good now."""

    tokens: list[TokenFacts]


class Control(Model):
    """Who drives. `name` of the viewer, since when, which viewer wants to, and how many watch."""

    holder: Literal["agent", "viewer", "none"]
    name: str | None
    since: str | None = Field(json_schema_extra={"format": "date-time"})
    wanted_by: str | None
    viewers: int


class AskControl(Model):
    """What the agent's side does with the control."""

    want: Literal["take", "give", "release"] = Field(examples=["take"])


class Clipboard(Model):
    """Text in the clipboard."""

    text: str = Field(max_length=1_048_576, examples=["héllo"])


class StartRecording(Model):
    """How a recording is made."""

    cursor: bool = Field(default=True, description="Draw the pointer into it.")


class Recording(Model):
    """A recording. `state`: recording, done, or broken (`reason` says why); what is in a broken one may still play."""

    id: str
    state: Literal["recording", "done", "broken"]
    started_at: str = Field(json_schema_extra={"format": "date-time"})
    ended_at: str | None
    cursor: bool
    frames: int | None
    duration_ms: int | None
    size_bytes: int
    reason: str | None


class RecordingList(Model):
    """Recordings, newest first."""

    recordings: list[Recording]


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
