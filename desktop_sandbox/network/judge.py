"""Judges what a guest says on one connection: whether a name may be spoken to there, and at which addresses it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from desktop_sandbox.network.addresses import Address, parse_address
from desktop_sandbox.network.header_rules import TLS_PORT
from desktop_sandbox.network.names import normal_name
from desktop_sandbox.network.opening import Named, Speech
from desktop_sandbox.network.policy import Answer, Verdict

if TYPE_CHECKING:
    from desktop_sandbox.network.outlet import Outlet

# what names hidden by Encrypted Client Hello are hidden behind
_ECH_FRONTS = frozenset({"cloudflare-ech.com"})


class RefusedError(Exception):
    """The policy says no."""

    def __init__(self, reason: str, rule: str | None = None) -> None:
        super().__init__(reason)
        self.rule = rule


class Judge:
    """Of one connection to `port`. `host` is the name that it has shown so far: it shows no other."""

    def __init__(self, outlet: Outlet, port: int) -> None:
        self._outlet = outlet
        self._port = port
        self.host: str | None = None

    async def verdict(self, named: Named, address: Address) -> tuple[Verdict, Sequence[Address]]:
        """What the policy says to a name on a connection to `address`, and where the name is. ResolveError."""
        policy, own = self._outlet.policy, self._outlet.own()
        if named.problem is not None:
            return Verdict(Answer.REFUSE, named.problem), ()
        if named.speech is Speech.OTHER:
            return self.by_asked_names(address), [address]
        name = None if named.host is None else normal_name(named.host)
        if name is None:
            if named.host is not None and parse_address(named.host) is None:
                return Verdict(Answer.REFUSE, f"{named.host[:80]!r} is no name"), ()
            return policy.nameless(address, self._port, own), [address]
        if self.host not in (None, name):
            return Verdict(Answer.REFUSE, f"{name} on a connection to {self.host}"), ()
        self.host = name
        asked = name in self._outlet.memory.names(address)
        if named.ech and (name in _ECH_FRONTS or not asked):
            return Verdict(Answer.REFUSE, "Encrypted Client Hello hides the name"), ()
        verdict = policy.with_name(name, address, self._port, own)
        if verdict.answer is Answer.REFUSE or asked:
            return verdict, [address]
        if policy.nameless(address, self._port, own).answer is Answer.ALLOW:
            return verdict, [address]  # a rule names the address itself
        candidates = [
            found
            for found in await self._outlet.resolver.addresses(name)
            if policy.with_name(name, found, self._port, own).answer is Answer.ALLOW
        ]
        if not candidates:
            return Verdict(Answer.REFUSE, f"{name} is not at {address}", verdict.rule), ()
        return verdict, [address] if address in candidates else candidates

    async def behind(self, named: Named, dialled: Address | None) -> tuple[Verdict, Sequence[Address]]:
        """What the policy says to a request that the gateway carries over TLS, and where to. ResolveError.

        Where the guest dialled does not count: the name is looked up here, at the first request of a connection.
        """
        policy, own = self._outlet.policy, self._outlet.own()
        if named.problem is not None:
            return Verdict(Answer.REFUSE, named.problem), ()
        name = None if named.host is None else normal_name(named.host)
        if name is None or self.host not in (None, name):
            return Verdict(Answer.REFUSE, f"{name or 'no name'} on a connection to {self.host}"), ()
        self.host = name
        found = await self._outlet.resolver.addresses(name) if dialled is None else [dialled]
        verdicts = {address: policy.with_name(name, address, TLS_PORT, own) for address in found}
        allowed = [address for address, verdict in verdicts.items() if verdict.answer is Answer.ALLOW]
        if allowed:
            return verdicts[allowed[0]], allowed
        return next(iter(verdicts.values()), Verdict(Answer.REFUSE, f"{name} has no address")), ()

    def by_asked_names(self, address: Address) -> Verdict:
        """What the policy says to a connection without a name of its own: by those that the guest asked for."""
        policy, own = self._outlet.policy, self._outlet.own()
        names = self._outlet.memory.names(address)
        verdicts = [policy.with_name(name, address, self._port, own) for name in names]
        if verdicts and all(verdict.answer is Answer.ALLOW for verdict in verdicts):
            return verdicts[0]
        return policy.nameless(address, self._port, own)
