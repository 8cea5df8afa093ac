"""A proxy that a sandbox's connections go through, as people write it: `http://user:password@host:port`, `socks5://…`.

Pure: the parsing, and the bytes of both protocols (RFC 9110, 9.3.6; RFC 1928 and 1929). User and password are secrets:
no message, `repr` or JSON for callers has them.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, unquote, urlsplit

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network.addresses import Address, Kind, kind_of, parse_address
from desktop_sandbox.network.header_rules import MASK
from desktop_sandbox.network.names import normal_name

_MAX_URL = 1024
_MAX_CREDENTIAL = 255
_HINT = "write http://HOST:PORT or socks5://HOST:PORT, maybe with USER:PASSWORD@ before HOST"
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r\n")


class Scheme(StrEnum):
    """How the proxy is spoken to."""

    HTTP = "http"
    SOCKS5 = "socks5"


@dataclass(frozen=True)
class Proxy:
    """`host`: a name in its normal form, or an address."""

    scheme: Scheme
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        return f"{self.scheme}://{self._place}"

    @property
    def _place(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def text(self, *, masked: bool) -> str:
        """As it is written; masked for callers, whole for the gateway and the record."""
        if self.user is None:
            return str(self)
        secret = MASK if masked else f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{secret}@{self._place}"


def parse_proxy(data: object) -> Proxy:
    """A proxy out of what a caller gave. Raises InvalidRequestError that says what is wrong, and no secret."""
    if not isinstance(data, str) or not 1 <= len(data) <= _MAX_URL or re.search(r"[\x00-\x20\x7f]", data):
        raise InvalidRequestError("the proxy of a network policy is no address of a proxy", hint=_HINT)
    try:
        parts = urlsplit(data)
        port, host = parts.port, parts.hostname or ""
    except ValueError:
        raise InvalidRequestError("the proxy of a network policy cannot be read", hint=_HINT) from None
    if parts.scheme not in tuple(Scheme):
        hint = "socks5://: names are looked up here, and judged" if parts.scheme == "socks5h" else _HINT
        raise InvalidRequestError("the proxy of a network policy is neither http:// nor socks5://", hint=hint)
    if not port or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise InvalidRequestError("the proxy of a network policy has no port, or something behind it", hint=_HINT)
    address = parse_address(host)
    name = normal_name(host) if address is None else str(address)
    if name is None or (address is not None and kind_of(address) is Kind.NEVER):
        raise InvalidRequestError("the proxy of a network policy has no host that can be reached", hint=_HINT)
    user, password = _credentials(parts.username, parts.password)
    return Proxy(Scheme(parts.scheme), name, port, user, password)


def _credentials(user: str | None, password: str | None) -> tuple[str | None, str]:
    if not user and not password:
        return None, ""
    user, password = unquote(user or ""), unquote(password or "")
    if user == MASK:
        raise InvalidRequestError(
            "the proxy has the mask that is shown instead of user and password", hint="give them themselves again"
        )
    for text in (user, password):
        if len(text.encode()) > _MAX_CREDENTIAL or re.search(r"[\x00-\x1f\x7f]", text):
            raise InvalidRequestError(
                "user or password of the proxy cannot be sent", hint="at most 255 bytes, one line"
            )
    if not user or ":" in user:
        raise InvalidRequestError("the proxy's user is empty or has a colon", hint=_HINT)
    return user, password


# --- HTTP


def connect_request(proxy: Proxy, address: Address, port: int) -> bytes:
    """What asks an HTTP proxy for a connection to a place."""
    place = f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"
    lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
    if proxy.user is not None:
        secret = base64.b64encode(f"{proxy.user}:{proxy.password}".encode()).decode()
        lines.append(f"Proxy-Authorization: Basic {secret}")
    return "\r\n".join([*lines, "", ""]).encode()


def connect_refusal(head: bytes) -> str | None:
    """What an HTTP proxy's answer says against it; None: from here on it carries."""
    status = _STATUS.match(head)
    if status is None:
        return "it does not speak HTTP"
    code = int(status[1])
    if 200 <= code < 300:
        return None
    return "it wants another user or password" if code == 407 else f"it answered {code}"


# --- SOCKS5

NO_AUTH, WITH_PASSWORD = 0, 2
_SOCKS_CODES = {
    1: "it failed", 2: "it does not allow that", 3: "network unreachable", 4: "host unreachable",
    5: "connection refused", 6: "it took too long", 7: "it cannot connect", 8: "it does not know such addresses",
}  # fmt: skip


def socks_greeting(proxy: Proxy) -> bytes:
    """The first bytes to a SOCKS5 proxy: one way to say who one is."""
    return bytes((5, 1, NO_AUTH if proxy.user is None else WITH_PASSWORD))


def socks_password(proxy: Proxy) -> bytes:
    """User and password for it (RFC 1929)."""
    user, password = (proxy.user or "").encode(), proxy.password.encode()
    return bytes((1, len(user))) + user + bytes((len(password),)) + password


def socks_request(address: Address, port: int) -> bytes:
    """What asks it for a connection to a place."""
    return bytes((5, 1, 0, 1 if address.version == 4 else 4)) + address.packed + port.to_bytes(2)


def socks_refusal(code: int) -> str | None:
    """What its answer's code says against it; None: from here on it carries."""
    return None if code == 0 else _SOCKS_CODES.get(code, f"it answered {code}")
