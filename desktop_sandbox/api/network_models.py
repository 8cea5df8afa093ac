"""Bodies of requests and answers about a sandbox's network. Header rules and proxies have secrets in them: what is
shown of them is masked."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from desktop_sandbox.api.shapes import Model

HeaderName = Annotated[str, StringConstraints(min_length=1, max_length=100)]
HeaderValue = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
ProxyUrl = Annotated[str, StringConstraints(min_length=1, max_length=1024)]


class HeaderRule(BaseModel):
    """Headers that the gateway sets in each request to `host`, sent by the guest as plain HTTP to port 80, and which
    goes on over TLS to port 443. Values are never shown again: `***` stands for them."""

    model_config = ConfigDict(extra="forbid")

    host: Annotated[str, StringConstraints(min_length=1, max_length=253)] = Field(examples=["api.example.org"])
    set: dict[HeaderName, HeaderValue] = Field(
        min_length=1, max_length=20, repr=False, examples=[{"Authorization": "Bearer 5ec2e7"}]
    )


NetworkRuleList = Annotated[
    list[Annotated[str, StringConstraints(min_length=1, max_length=300)]], Field(max_length=500)
]


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
