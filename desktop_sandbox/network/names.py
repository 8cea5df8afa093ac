"""Names of hosts: brought into one form, compared with what rules say, remembered with their addresses. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections import OrderedDict

from desktop_sandbox.network.addresses import Address, parse_address

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
MAX_NAME = 253
# of the range for measurements (RFC 2544), as the guest's own network: nothing real lies there
STAND_INS = ipaddress.IPv4Network("198.19.0.0/16")
_STAND_INS = 4096


def normal_name(text: str) -> str | None:
    """A host's name in lower case, in its ASCII form (IDNA) and without the last dot; None if it is none.

    What is an address, in whatever way it is written, is no name.
    """
    text = text.strip().rstrip(".")
    if not text or len(text) > MAX_NAME or parse_address(text) is not None:
        return None
    if not text.isascii():
        try:
            text = text.encode("idna").decode("ascii")
        except UnicodeError:
            return None
    text = text.lower()
    if len(text) > MAX_NAME or not all(_LABEL.fullmatch(label) for label in text.split(".")):
        return None
    # a last label of digits alone is read as a number by programs that parse addresses (WHATWG URL, 3.5)
    return None if text.rpartition(".")[2].isdigit() else text


def normal_pattern(text: str) -> str | None:
    """A name, `*.name` (every name below it) or `*` in one form; None if it is none."""
    if text == "*":
        return text
    if text.startswith("*."):
        rest = normal_name(text[2:])
        return None if rest is None else f"*.{rest}"
    return normal_name(text)


def matches(pattern: str, name: str) -> bool:
    """Whether a name is what a pattern says; both in their normal form. `*.example.org` is not example.org itself."""
    if pattern == "*":
        return True
    if pattern.startswith("*."):
        return name.endswith(pattern[1:]) and len(name) > len(pattern) - 1
    return name == pattern


class StandIns:
    """IPv4 addresses that stand for names which have IPv6 addresses only: bounded, the oldest are given away again."""

    def __init__(self) -> None:
        self._by_name: OrderedDict[str, Address] = OrderedDict()
        self._by_address: dict[Address, str] = {}
        self._next = 0

    def address(self, name: str) -> Address:
        """The address that stands for a name, the same as long as it is asked for."""
        found = self._by_name.pop(name, None)
        if found is None:
            if len(self._by_name) >= _STAND_INS:
                _, found = self._by_name.popitem(last=False)
            else:
                self._next += 1
                found = STAND_INS[self._next]
        self._by_name[name] = found
        self._by_address[found] = name
        return found

    def name(self, address: Address) -> str | None:
        """The name that an address stands for; None for all others."""
        return self._by_address.get(address)


class NameMemory:
    """Which names a guest asked for, and the addresses it was told: bounded, each for a while. Time is passed in."""

    def __init__(self, *, most: int = 4096, keep_s: float = 3600.0) -> None:
        self._most = most
        self._keep_s = keep_s
        self._seen: OrderedDict[tuple[Address, str], float] = OrderedDict()
        self._by_address: dict[Address, set[str]] = {}

    def __len__(self) -> int:
        return len(self._seen)

    def note(self, name: str, address: Address, now: float) -> None:
        """The guest was told that `name` is at `address`."""
        key = (address, name)
        self._seen.pop(key, None)
        self._seen[key] = now
        self._by_address.setdefault(address, set()).add(name)
        while self._seen and (len(self._seen) > self._most or now - next(iter(self._seen.values())) > self._keep_s):
            (old_address, old_name), _ = self._seen.popitem(last=False)
            names = self._by_address[old_address]
            names.discard(old_name)
            if not names:
                del self._by_address[old_address]

    def names(self, address: Address) -> frozenset[str]:
        """The names for which the guest was told this address."""
        return frozenset(self._by_address.get(address, ()))

    def latest(self, address: Address) -> str | None:
        """The name asked for last of those, to have something to show."""
        names = self._by_address.get(address)
        return max(names, key=lambda name: self._seen[(address, name)]) if names else None
