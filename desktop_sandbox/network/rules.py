"""One rule of a policy, as people write it: `example.org`, `*.example.org:443`, `10.1.2.3:5432`, `[fd12::]/16`. Pure.

A rule names a place (a name, an address, a range of addresses, or `internet`) and maybe ports: `:443`, `:80,443`,
`:8000-9000`. Without ports it means all of them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network.addresses import (
    Address,
    Kind,
    Network,
    carried,
    is_alone,
    kind_of,
    names_private,
    parse_address,
    plain,
)
from desktop_sandbox.network.names import matches, normal_pattern

INTERNET = "internet"
_MAX_RULE = 300
_MAX_PORT_RANGES = 32
_HINT = "write a name (example.org, *.example.org), an address, a range (10.0.0.0/8) or internet, maybe with :PORTS"
_BRACKETS = re.compile(r"\[([^\]]*)\](/\d{1,3})?(?::(.*))?")


@dataclass(frozen=True)
class Rule:
    """A rule. Just one of `pattern` (of names), `network` and neither (the public internet) is meant."""

    text: str
    pattern: str | None
    network: Network | None
    ports: tuple[tuple[int, int], ...] = ()

    def covers_port(self, port: int) -> bool:
        """Whether the rule is about this port."""
        return not self.ports or any(low <= port <= high for low, high in self.ports)

    def covers_name(self, name: str) -> bool:
        """Whether the rule is about this name (in its normal form), by name."""
        return self.pattern is not None and matches(self.pattern, name)

    def touches(self, address: Address) -> bool:
        """Whether an address, or one that it carries, lies in the rule's range; for refusing."""
        if self.network is None:
            return self.pattern is None and kind_of(address) is Kind.PUBLIC
        return any(_inside(one, self.network) for one in (plain(address), *carried(address)))

    def opens(self, address: Address, own: Collection[Address]) -> bool:
        """Whether the rule, by address, lets a connection through to it; what is guarded must be named alone."""
        address = plain(address)
        kind = kind_of(address, own)
        if kind is Kind.NEVER:
            return False
        if self.network is None:
            return self.pattern is None and kind is Kind.PUBLIC
        if not _inside(address, self.network):
            return False
        if kind is Kind.GUARDED:
            return is_alone(self.network)
        return kind is Kind.PUBLIC or is_alone(self.network) or names_private(self.network)


def _inside(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def parse_rule(text: str) -> Rule:
    """A rule out of what somebody wrote. Raises InvalidRequestError that says what is wrong with it."""
    written = text.strip()
    if not written or len(written) > _MAX_RULE:
        raise InvalidRequestError(f"the network rule {text[:80]!r}", hint=_HINT)
    place, ports = _split(written)
    found = parse_ports(ports, written) if ports is not None else ()
    if place == INTERNET:
        return Rule(written, None, None, found)
    network = _parse_network(place, written)
    if network is not None:
        return Rule(written, None, network, found)
    pattern = normal_pattern(place)
    if pattern is None:
        raise InvalidRequestError(f"the network rule {written!r} names no host and no address", hint=_HINT)
    return Rule(written, pattern, None, found)


def _split(text: str) -> tuple[str, str | None]:
    """Place and ports."""
    bracketed = _BRACKETS.fullmatch(text)
    if bracketed:
        return f"{bracketed[1]}{bracketed[2] or ''}", bracketed[3]
    if "://" in text:
        raise InvalidRequestError(
            f"the network rule {text!r} is an address of a page", hint="give the name of its host alone, and :PORT"
        )
    if text.count(":") > 1:  # an IPv6 address without brackets has no room for ports
        return text, None
    place, colon, ports = text.partition(":")
    return place, ports if colon else None


def _parse_network(place: str, written: str) -> Network | None:
    if "/" not in place:
        address = parse_address(place)
        return None if address is None else ipaddress.ip_network(address)
    try:
        network = ipaddress.ip_network(place, strict=False)
    except ValueError:
        raise InvalidRequestError(f"the network rule {written!r} is no range of addresses", hint=_HINT) from None
    if isinstance(network, ipaddress.IPv6Network) and network.network_address.ipv4_mapped is not None:
        if network.prefixlen < 96:
            raise InvalidRequestError(f"the network rule {written!r} is no range of addresses", hint=_HINT)
        return ipaddress.IPv4Network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


def parse_ports(text: str, written: str) -> tuple[tuple[int, int], ...]:
    """`80,443,8000-9000` as pairs (first, last). Raises InvalidRequestError."""
    ranges = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        numbers = (low, high if dash else low)
        if not all(number.isascii() and number.isdigit() and 1 <= int(number) <= 65535 for number in numbers):
            raise InvalidRequestError(f"the ports of the network rule {written!r}", hint="write :443 or :80,8000-9000")
        if int(numbers[0]) > int(numbers[1]):
            raise InvalidRequestError(f"the ports of the network rule {written!r}", hint="the lower port comes first")
        ranges.append((int(numbers[0]), int(numbers[1])))
    if len(ranges) > _MAX_PORT_RANGES:
        raise InvalidRequestError(f"the network rule {written[:80]!r} has too many ports", hint="write ranges: 1-65535")
    return tuple(ranges)
