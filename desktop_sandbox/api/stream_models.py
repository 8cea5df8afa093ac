"""Bodies of requests and answers about the stream: tokens, control, recordings."""

from typing import Any, Literal

from pydantic import Field

from desktop_sandbox.api.shapes import Model


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
