"""What a desktop may reach, and what it reached, as the SDK's values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from desktop_sandbox.sdk.models import parse_time


@dataclass(frozen=True)
class HeaderRule:
    """Headers that are set in each request to `host`, such as `{"Authorization": "Bearer …"}`, whatever it had there.

    The desktop speaks plain HTTP to port 80 of the host (`http://api.example.org/`), the gateway carries it to port 443
    over TLS; the policy has to allow the host there. The desktop never sees the values, and the server never shows them
    again: what it gives back has `***` for each.
    """

    host: str
    set: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Policy:
    """What a desktop may reach: what a rule of `allow` opens and no rule of `deny` closes.

    A rule is a name (`example.org`), all names below one (`*.example.org`), an address, a range of addresses
    (`10.0.0.0/8`), or `internet` (all public addresses); ports may follow: `:443`, `:80,8000-9000`. `allow` None means
    the internet. Private addresses are open only where a rule names them; this host's own, loopback, link-local and
    metadata addresses only where a rule names just that address.

    `max_connections` at once (None: 512); `bandwidth_bytes_s` for both directions together (None: no limit).

    `headers` keep secrets outside: see HeaderRule. All connections go through `proxy`, if there is one:
    `http://user:password@host:port` or `socks5://…`; what the server gives back has `***` for user and password.
    """

    allow: Sequence[str] | None = None
    deny: Sequence[str] = ()
    max_connections: int | None = None
    bandwidth_bytes_s: int | None = None
    headers: Sequence[HeaderRule] = ()
    proxy: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class NetworkState:
    """A desktop's network: its policy ("none", "internet" or a Policy), whether its machine has a network at all and if
    not `why`, and `counters`: connections, refused, failed, lookups, sent_bytes, received_bytes, open."""

    policy: Policy | str
    available: bool
    why: str | None
    counters: Mapping[str, int]


@dataclass(frozen=True)
class NetworkEntry:
    """One connection (`kind` tcp) or lookup of a name (dns), begun at `time`.

    `outcome`: open (it goes on), allowed, refused (then `reason`, and maybe the `rule`), or failed. `address` and
    `port`: where the desktop wanted to go; `name`: what it called that, if it is known.
    """

    time: datetime
    kind: str
    outcome: str
    name: str | None
    address: str | None
    port: int | None
    reason: str
    rule: str | None
    sent_bytes: int
    received_bytes: int
    seconds: float


def policy_body(policy: Policy | str) -> Any:
    """JSON of a policy."""
    if isinstance(policy, str):
        return policy
    body: dict[str, Any] = {"allow": None if policy.allow is None else [*policy.allow], "deny": [*policy.deny]}
    if policy.headers:
        body["headers"] = [{"host": rule.host, "set": dict(rule.set)} for rule in policy.headers]
    for name in ("max_connections", "bandwidth_bytes_s", "proxy"):
        if getattr(policy, name) is not None:
            body[name] = getattr(policy, name)
    return body


def parse_policy(data: Any) -> Policy | str:
    """A policy out of the API's JSON."""
    if isinstance(data, str):
        return data
    return Policy(
        allow=None if data.get("allow") is None else tuple(data["allow"]),
        deny=tuple(data.get("deny") or ()),
        max_connections=data.get("max_connections"),
        bandwidth_bytes_s=data.get("bandwidth_bytes_s"),
        headers=tuple(HeaderRule(rule["host"], rule["set"]) for rule in data.get("headers") or ()),
        proxy=data.get("proxy"),
    )


def parse_network(data: Mapping[str, Any]) -> NetworkState:
    """A network out of the API's JSON."""
    return NetworkState(parse_policy(data["policy"]), data["available"], data["why"], data["counters"])


def parse_entry(data: Mapping[str, Any]) -> NetworkEntry:
    """An entry of the log out of the API's JSON."""
    began = parse_time(data["time"])
    assert began is not None
    names = ("kind", "outcome", "name", "address", "port", "reason", "rule", "sent_bytes", "received_bytes", "seconds")
    return NetworkEntry(began, *(data[name] for name in names))
