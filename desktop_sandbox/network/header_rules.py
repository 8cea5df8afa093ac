"""Headers that the gateway adds to a guest's requests for one host, and that the guest never sees. Pure.

The values are secrets: no message, `repr` or JSON for callers has them. Names and values as RFC 9110, section 5.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network.addresses import parse_address
from desktop_sandbox.network.http1 import Head
from desktop_sandbox.network.names import normal_name

MASK = "***"
"""What callers see where a secret is."""
HTTP_PORT, TLS_PORT = 80, 443
"""The guest speaks HTTP to the one; the gateway carries it over TLS to the other, and that one is judged."""
MAX_HEADER_RULES = 50
_MAX_SET = 20
_MAX_BYTES = 32 << 10
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
_VALUE = re.compile(r"[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?")
# of one connection, or how a message is cut: the gateway's own matter
_FORBIDDEN = frozenset(
    {
        *("host", "connection", "keep-alive", "content-length", "transfer-encoding"),
        *("upgrade", "te", "trailer", "expect", "http2-settings"),
    }
)
_HINT = 'write {"host": "api.example.org", "set": {"Authorization": "Bearer ..."}}'


@dataclass(frozen=True)
class HeaderRule:
    """`headers` (name, value) are set in each request to `host` (in its normal form), whatever the guest sent there."""

    host: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)

    def json(self, *, masked: bool) -> dict[str, Any]:
        """As JSON; masked for callers, whole for the gateway and the record."""
        return {"host": self.host, "set": {name: MASK if masked else value for name, value in self.headers}}


def parse_header_rules(data: object) -> tuple[HeaderRule, ...]:
    """Rules out of what a caller gave. Raises InvalidRequestError that says what is wrong, and no value."""
    if isinstance(data, str) or not isinstance(data, Sequence) or not all(isinstance(item, Mapping) for item in data):
        raise InvalidRequestError("headers of a network policy is no list of header rules", hint=_HINT)
    if len(data) > MAX_HEADER_RULES:
        raise InvalidRequestError("a network policy with too many header rules", hint=f"at most {MAX_HEADER_RULES}")
    rules = tuple(_rule(item) for item in data)
    hosts = [rule.host for rule in rules]
    twice = next((host for host in hosts if hosts.count(host) > 1), None)
    if twice is not None:
        raise InvalidRequestError(f"two header rules for {twice}", hint="put all of its headers into one")
    if sum(len(name) + len(value) for rule in rules for name, value in rule.headers) > _MAX_BYTES:
        raise InvalidRequestError("header rules that are too long", hint=f"at most {_MAX_BYTES} bytes together")
    return rules


def _rule(data: Mapping[Any, Any]) -> HeaderRule:
    if set(data) != {"host", "set"}:
        raise InvalidRequestError("a header rule has host and set, and nothing else", hint=_HINT)
    host, headers = data["host"], data["set"]
    name = normal_name(host) if isinstance(host, str) and parse_address(host) is None else None
    if name is None:
        raise InvalidRequestError(
            f"a header rule for {str(host)[:80]!r}", hint="give one whole name, such as api.example.org: no *, no port"
        )
    if not isinstance(headers, Mapping) or not 1 <= len(headers) <= _MAX_SET:
        raise InvalidRequestError(f"the header rule for {name} sets nothing, or too much", hint=f"1 to {_MAX_SET}")
    rule = HeaderRule(name, tuple(_header(name, header, value) for header, value in headers.items()))
    if len({header.lower() for header, _ in rule.headers}) < len(rule.headers):
        raise InvalidRequestError(f"the header rule for {name} sets a header twice", hint="case does not matter")
    return rule


def _header(host: str, name: object, value: object) -> tuple[str, str]:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"a header rule for {host} has a name that is none", hint="letters, digits and dashes, such as X-Api-Key"
        )
    if name.lower() in _FORBIDDEN or name.lower().startswith("proxy-"):
        raise InvalidRequestError(
            f"the header rule for {host} cannot set {name}", hint="it belongs to the connection, not to the request"
        )
    if not isinstance(value, str) or not _VALUE.fullmatch(value):
        raise InvalidRequestError(
            f"the value of {name} for {host} cannot be sent",
            hint="printable ASCII, without line breaks or ends of spaces",
        )
    if value == MASK:
        raise InvalidRequestError(
            f"the value of {name} for {host} is the mask that is shown instead of it",
            hint="give the value itself again",
        )
    return name, value


def with_headers(head: Head, rule: HeaderRule) -> bytes:
    """A request's head as it goes to the rule's host: its headers set, its target without scheme and host."""
    first, *lines = head.raw[:-4].split(b"\r\n")
    method, target, version = first.split(b" ")
    if not target.startswith(b"/") and target != b"*":
        rest = re.sub(rb"(?i)^http://[^/?#]*", b"", target, count=1)
        target = rest if rest.startswith(b"/") else b"/" + rest
    ours = {b"host"} | {name.lower().encode() for name, _ in rule.headers}
    kept = [line for line in lines if line.partition(b":")[0].lower() not in ours]
    added = [f"{name}: {value}".encode() for name, value in rule.headers]
    return b"\r\n".join([b" ".join((method, target, version)), b"Host: " + rule.host.encode(), *kept, *added, b"", b""])
