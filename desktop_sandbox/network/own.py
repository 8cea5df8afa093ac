"""This host's own addresses, as its kernel knows them."""

from __future__ import annotations

import ipaddress
import time
from pathlib import Path

from desktop_sandbox.network.addresses import Address

_FRESH_S = 5.0


class OwnAddresses:
    """The addresses of all interfaces of this host, looked up again every few seconds."""

    def __init__(self, proc: Path = Path("/proc/net")) -> None:
        self._proc = proc
        self._found: frozenset[Address] = frozenset()
        self._until = 0.0

    def __call__(self) -> frozenset[Address]:
        """All of them."""
        now = time.monotonic()
        if now >= self._until:
            self._found = frozenset({*_v4(self._read("fib_trie")), *_v6(self._read("if_inet6"))})
            self._until = now + _FRESH_S
        return self._found

    def _read(self, name: str) -> str:
        try:
            return (self._proc / name).read_text()
        except OSError:
            return ""


def _v4(fib_trie: str) -> list[Address]:
    """Addresses that /proc/net/fib_trie calls local."""
    found: list[Address] = []
    last = ""
    for line in fib_trie.splitlines():
        text = line.strip()
        if text.startswith("|-- "):
            last = text[4:]
        elif text.startswith("/32 host LOCAL") and last:
            found.append(ipaddress.IPv4Address(last))
    return found


def _v6(if_inet6: str) -> list[Address]:
    return [ipaddress.IPv6Address(int(line.split()[0], 16)) for line in if_inet6.splitlines() if line.strip()]
