"""What a sandbox may reach on the network, decided from a policy, an address, a port and the names at hand. Pure.

    "none"                        nothing
    "internet"                    every public address (the default)
    Policy(allow, deny)           what a rule of `allow` opens and no rule of `deny` closes

**Invariant.** A private address is open only where a rule names it or a private range around it; this host, loopback,
link-local and metadata addresses only where a rule names just that address. A name never opens them, whoever resolves
it to what. Where names decide, a connection that shows no name goes nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network.addresses import Address, Kind, kind_of
from desktop_sandbox.network.header_rules import TLS_PORT, HeaderRule, parse_header_rules
from desktop_sandbox.network.proxy import Proxy, parse_proxy
from desktop_sandbox.network.rules import INTERNET, Rule, parse_rule

NONE = "none"
MAX_RULES = 500
MAX_CONNECTIONS = 512
_LIMITS = {"max_connections": (1, 4096), "bandwidth_bytes_s": (1024, 1 << 40)}
_HINT = f'"{NONE}", "{INTERNET}", or an object with allow and deny, each a list of rules, and maybe headers and proxy'


class Answer(StrEnum):
    """What a policy says: yes, no, or that it depends on the name which the connection shows."""

    ALLOW = "allow"
    REFUSE = "refuse"
    ASK = "ask"


@dataclass(frozen=True)
class Verdict:
    """An answer, why, and the rule that decided (as it was written), if one did."""

    answer: Answer
    reason: str
    rule: str | None = None


@dataclass(frozen=True)
class Policy:
    """What a sandbox may reach. `allow` None: nothing was said, so the internet.

    `max_connections` at once; `bandwidth_bytes_s` for both directions together, None: as fast as it goes. `headers` are
    set in requests to their hosts (see `header_rules`); all connections go through `proxy`, if there is one.
    """

    allow: tuple[Rule, ...] | None = None
    deny: tuple[Rule, ...] = ()
    max_connections: int = MAX_CONNECTIONS
    bandwidth_bytes_s: int | None = None
    headers: tuple[HeaderRule, ...] = ()
    proxy: Proxy | None = None
    _allowed: tuple[Rule, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Say what nothing said means."""
        allowed = (Rule(INTERNET, None, None),) if self.allow is None else self.allow
        object.__setattr__(self, "_allowed", allowed)

    def header_rule(self, name: str) -> HeaderRule | None:
        """What is set in requests to a host (in its normal form)."""
        return next((rule for rule in self.headers if rule.host == name), None)

    def could_reach(self, name: str, port: int) -> Verdict:
        """Whether a name might be reached at a port, wherever it is."""
        for rule in self.deny:
            if rule.covers_name(name) and rule.covers_port(port):
                return Verdict(Answer.REFUSE, f"{name} is denied", rule.text)
        for rule in self._allowed:
            if rule.covers_port(port) and (rule.pattern is None or rule.covers_name(name)):
                return Verdict(Answer.ALLOW, "", rule.text)
        return Verdict(Answer.REFUSE, f"no rule allows {name} port {port}")

    # --- names, when the guest asks for one

    def may_ask(self, name: str) -> Verdict:
        """Whether the guest may resolve a name (in its normal form), at some port at least."""
        for rule in self.deny:
            if rule.covers_name(name) and not rule.ports:
                return Verdict(Answer.REFUSE, f"{name} is denied", rule.text)
        if any(rule.pattern is None for rule in self._allowed):
            # a rule by address may be reached under any name
            return Verdict(Answer.ALLOW, "")
        for rule in self._allowed:
            if rule.covers_name(name):
                return Verdict(Answer.ALLOW, "", rule.text)
        return Verdict(Answer.REFUSE, f"no rule allows {name}")

    def may_tell(self, address: Address, own: Collection[Address] = ()) -> bool:
        """Whether the guest may learn that a name is at this address: some connection to it could be allowed."""
        if kind_of(address, own) is Kind.PUBLIC:
            return True
        return any(rule.opens(address, own) for rule in self._allowed)

    # --- connections

    def at_connect(self, address: Address, port: int, own: Collection[Address] = ()) -> Verdict:
        """Whether a connection goes to `address`, as far as that can be said before it shows a name."""
        guard = self._guard(address, port, own)
        if guard is not None:
            return guard
        by_name = any(rule.pattern is not None and rule.covers_port(port) for rule in self._allowed)
        denied_by_name = any(rule.pattern is not None and rule.covers_port(port) for rule in self.deny)
        opened = self._opened(address, port, own)
        if opened is not None:
            if denied_by_name:
                return Verdict(Answer.ASK, "names are denied here", opened.text)
            return Verdict(Answer.ALLOW, "", opened.text)
        if by_name and kind_of(address, own) is Kind.PUBLIC:
            return Verdict(Answer.ASK, "names are allowed here")
        return Verdict(Answer.REFUSE, f"no rule allows {address} port {port}")

    def with_name(self, name: str, address: Address, port: int, own: Collection[Address] = ()) -> Verdict:
        """Whether a connection that shows `name` goes to `address`, where the name was found to be."""
        guard = self._guard(address, port, own)
        if guard is not None:
            return guard
        for rule in self.deny:
            if rule.covers_name(name) and rule.covers_port(port):
                return Verdict(Answer.REFUSE, f"{name} is denied", rule.text)
        opened = self._opened(address, port, own)
        if opened is not None:
            return Verdict(Answer.ALLOW, "", opened.text)
        if kind_of(address, own) is Kind.PUBLIC:
            for rule in self._allowed:
                if rule.covers_name(name) and rule.covers_port(port):
                    return Verdict(Answer.ALLOW, "", rule.text)
        return Verdict(Answer.REFUSE, f"no rule allows {name} port {port}")

    def nameless(self, address: Address, port: int, own: Collection[Address] = ()) -> Verdict:
        """Whether a connection that shows no name, and whose address was never told the guest for one, goes on.

        It does not where names are denied at this port: it may be one of those.
        """
        verdict = self.at_connect(address, port, own)
        if verdict.answer is not Answer.ASK:
            return verdict
        opened = self._opened(address, port, own)
        if opened is not None and opened.network is not None:
            return Verdict(Answer.ALLOW, "", opened.text)
        return Verdict(Answer.REFUSE, "names decide here, and the connection shows none")

    def by_address(self, address: Address, port: int, own: Collection[Address] = ()) -> bool:
        """Whether a rule by address opens it, whatever the name."""
        return self._guard(address, port, own) is None and self._opened(address, port, own) is not None

    def _opened(self, address: Address, port: int, own: Collection[Address]) -> Rule | None:
        opening = [rule for rule in self._allowed if rule.covers_port(port) and rule.opens(address, own)]
        # a rule with an address says more than the internet
        return next((rule for rule in opening if rule.network is not None), opening[0] if opening else None)

    def _guard(self, address: Address, port: int, own: Collection[Address]) -> Verdict | None:
        """What is closed whatever a connection shows."""
        kind = kind_of(address, own)
        if kind is Kind.NEVER:
            return Verdict(Answer.REFUSE, f"{address} is no address of a host")
        for rule in self.deny:
            if rule.covers_port(port) and rule.touches(address):
                return Verdict(Answer.REFUSE, f"{address} port {port} is denied", rule.text)
        if kind is not Kind.PUBLIC and self._opened(address, port, own) is None:
            what = "a private address" if kind is Kind.PRIVATE else "this host, link-local or a metadata service"
            if kind is Kind.GUARDED and address in own:
                what = "an address of this host"
            return Verdict(Answer.REFUSE, f"{address} is {what}, which no rule names")
        return None


NOTHING = Policy(allow=())
INTERNET_POLICY = Policy()


def parse_policy(data: object) -> Policy:
    """A policy from what a caller gave (see the module). Raises InvalidRequestError that names what is wrong."""
    if data == NONE:
        return NOTHING
    if data is None or data == INTERNET:
        return INTERNET_POLICY
    if not isinstance(data, Mapping):
        shown = "" if "@" in str(data) else f" {str(data)[:80]!r}"  # it may be a proxy with its password
        raise InvalidRequestError(f"the network{shown}", hint=_HINT)
    unknown = [str(key) for key in data if key not in {"allow", "deny", "headers", "proxy", *_LIMITS}]
    if unknown:
        raise InvalidRequestError(f"a network policy has no {unknown[0][:80]!r}", hint=_HINT)
    allow = None if data.get("allow") is None else _rules(data["allow"], "allow")
    deny = _rules(data.get("deny") or (), "deny")
    if len(allow or ()) + len(deny) > MAX_RULES:
        raise InvalidRequestError("a network policy with too many rules", hint=f"at most {MAX_RULES}")
    limits = {name: _limit(name, data[name]) for name in _LIMITS if data.get(name) is not None}
    headers = parse_header_rules(data.get("headers") or ())
    proxy = None if data.get("proxy") is None else parse_proxy(data["proxy"])
    policy = Policy(allow, deny, **limits, headers=headers, proxy=proxy)
    for rule in headers:
        verdict = policy.could_reach(rule.host, TLS_PORT)
        if verdict.answer is Answer.REFUSE:
            hint = f"add {rule.host}:{TLS_PORT} to allow"
            if verdict.rule is not None:
                hint = f"take {verdict.rule!r} out of deny, or leave out the headers"
            raise InvalidRequestError(f"headers for {rule.host}, where {verdict.reason}", hint=hint)
    return policy


def _rules(data: object, name: str) -> tuple[Rule, ...]:
    if isinstance(data, str) or not isinstance(data, Sequence) or not all(isinstance(item, str) for item in data):
        raise InvalidRequestError(f"{name} of a network policy is no list of rules", hint=_HINT)
    return tuple(parse_rule(item) for item in data)


def _limit(name: str, value: object) -> int:
    low, high = _LIMITS[name]
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidRequestError(f"{name} {value!r} of a network policy", hint=f"a whole number from {low} to {high}")
    return value


def policy_json(policy: Policy) -> str | dict[str, Any]:
    """A policy as callers see it, in its shortest form: secrets are masked."""
    return _json(policy, masked=True)


def policy_record(policy: Policy) -> str | dict[str, Any]:
    """A policy with its secrets, which `parse_policy` reads again: for the node's records and the gateway alone."""
    return _json(policy, masked=False)


def masked_json(record: object) -> Any:
    """What `policy_record` gave, as callers see it. What cannot be read opens nothing, and is shown so."""
    if not isinstance(record, Mapping) or not (record.get("headers") or record.get("proxy")):
        return record
    try:
        return policy_json(parse_policy(record))
    except InvalidRequestError:
        return NONE


def _json(policy: Policy, *, masked: bool) -> str | dict[str, Any]:
    more: dict[str, Any] = {}
    if policy.max_connections != MAX_CONNECTIONS:
        more["max_connections"] = policy.max_connections
    if policy.bandwidth_bytes_s is not None:
        more["bandwidth_bytes_s"] = policy.bandwidth_bytes_s
    if policy.headers:
        more["headers"] = [rule.json(masked=masked) for rule in policy.headers]
    if policy.proxy is not None:
        more["proxy"] = policy.proxy.text(masked=masked)
    if not more and not policy.deny:
        if policy.allow is None:
            return INTERNET
        if not policy.allow:
            return NONE
    allow = None if policy.allow is None else [rule.text for rule in policy.allow]
    return {"allow": allow, "deny": [rule.text for rule in policy.deny], **more}
