"""What kind of place an address is: the public internet, a private place, or one that must be named alone. Pure.

Sources: IANA's special-purpose registries for IPv4 and IPv6 (RFC 6890 and its updates). An IPv6 address that carries
an IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) is also what it carries, the worse of both.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from enum import IntEnum

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Kind(IntEnum):
    """How guarded a place is; higher is more.

    PRIVATE: a rule that names it or a private range around it opens it. GUARDED: only a rule with just this address
    (this host, loopback, link-local, metadata services). NEVER: no connection makes sense, and no rule opens it.
    """

    PUBLIC = 0
    PRIVATE = 1
    GUARDED = 2
    NEVER = 3


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


_NEVER = _networks(
    "0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4",
    "::/128", "ff00::/8", "100::/64",
)  # fmt: skip
_GUARDED = _networks(
    "127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24",
    # cloud metadata services that do not lie in the link-local range
    "100.100.100.200/32", "168.63.129.16/32", "fd00:ec2::254/128", "fd20:ce::254/128",
    "::1/128", "fe80::/10", "fec0::/10", "2001:db8::/32", "2001:10::/28", "3fff::/20", "5f00::/16",
)  # fmt: skip
_PRIVATE = _networks("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
_SPECIAL = (*_NEVER, *_GUARDED, *_PRIVATE)
_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")

_NAT64 = _networks("64:ff9b::/96", "64:ff9b:1::/48")
_6TO4 = ipaddress.IPv6Network("2002::/16")
_TEREDO = ipaddress.IPv6Network("2001::/32")
_COMPATIBLE = ipaddress.IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)


def parse_address(text: str) -> Address | None:
    """An address as a program may write it, also decimal, octal, hexadecimal or shortened IPv4 (inet_aton(3)).

    None for anything else, a name for example. Mapped IPv4 comes back as IPv4.
    """
    text = text.strip().removeprefix("[").removesuffix("]")
    try:
        return plain(ipaddress.ip_address(text.partition("%")[0]))
    except ValueError:
        return _parse_aton(text.rstrip("."))


def _parse_aton(text: str) -> Address | None:
    parts = text.split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = []
    for part in parts:
        number = _parse_number(part)
        if number is None:
            return None
        numbers.append(number)
    *high, last = numbers
    if any(number > 255 for number in high) or last >= 256 ** (5 - len(numbers)):
        return None
    value = last
    for index, number in enumerate(high):
        value |= number << (24 - 8 * index)
    return ipaddress.IPv4Address(value)


def _parse_number(text: str) -> int | None:
    if not text.isascii() or not text.isalnum() or len(text) > 20:
        return None
    try:
        if text[:2].lower() == "0x":
            return int(text[2:] or "0", 16)
        if text.startswith("0") and text != "0":
            return int(text, 8)
        return int(text) if text.isdigit() else None
    except ValueError:
        return None


def plain(address: Address) -> Address:
    """The address itself, or the IPv4 address that it is only another way to write (::ffff:a.b.c.d)."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return address.ipv4_mapped
        if address.scope_id is not None:
            return ipaddress.IPv6Address(int(address))
    return address


def carried(address: Address) -> tuple[Address, ...]:
    """The IPv4 addresses that an IPv6 address leads to or came from; none for plain addresses."""
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    value = int(address)
    found: list[int] = []
    if address.ipv4_mapped is not None:
        found.append(value & 0xFFFFFFFF)
    if address in _COMPATIBLE and value > 1:
        found.append(value & 0xFFFFFFFF)
    if address in _NAT64[0]:
        found.append(value & 0xFFFFFFFF)
    elif address in _NAT64[1]:
        # RFC 6052: the prefix in use may be 48, 56, 64 or 96 long, and bits 64 to 71 are empty
        found += [_embedded(value, length) for length in (48, 56, 64)]
        found.append(value & 0xFFFFFFFF)
    if address in _6TO4:
        found.append(value >> 80 & 0xFFFFFFFF)
    if address in _TEREDO:
        found += [value >> 64 & 0xFFFFFFFF, ~value & 0xFFFFFFFF]
    if value >> 32 & 0xFFFFFFFF in _ISATAP:
        found.append(value & 0xFFFFFFFF)
    return tuple(ipaddress.IPv4Address(number) for number in found)


def _embedded(value: int, prefix: int) -> int:
    """IPv4 bits behind a NAT64 prefix of 48, 56 or 64 bits (RFC 6052, section 2.2)."""
    bits = f"{value:0128b}"
    return int((bits[prefix:64] + bits[72:])[:32], 2)


def kind_of(address: Address, own: Collection[Address] = ()) -> Kind:
    """What kind of place an address is; `own` are this host's addresses."""
    address = plain(address)
    kinds = [_kind(address, own), *(_kind(inner, own) for inner in carried(address))]
    if carried(address):
        # what tunnels somewhere is no ordinary place even where it leads to one
        kinds.append(Kind.GUARDED)
    return max(kinds)


def _kind(address: Address, own: Collection[Address]) -> Kind:
    if any(address in network for network in _NEVER if network.version == address.version):
        return Kind.NEVER
    if address in own or any(address in network for network in _GUARDED if network.version == address.version):
        return Kind.GUARDED
    if any(address in network for network in _PRIVATE if network.version == address.version):
        return Kind.PRIVATE
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_V6:
        return Kind.GUARDED
    return Kind.PUBLIC


def names_private(network: Network) -> bool:
    """Whether a rule's network lies within one special range, so that it was meant and not swept along."""
    return any(
        network.version == special.version and network.subnet_of(special)  # type: ignore[arg-type]
        for special in _SPECIAL
    )


def is_alone(network: Network) -> bool:
    """Whether a network is one address."""
    return network.prefixlen == network.max_prefixlen
