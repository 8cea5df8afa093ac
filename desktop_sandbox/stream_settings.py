"""Settings of the live view, read from the environment once and checked with hints. Starts and opens nothing.

DESKTOP_SANDBOX_ICE_SERVERS      JSON, as in RTCConfiguration: [{"urls": "stun:…"}, {"urls": "turn:…", "username", …}]
DESKTOP_SANDBOX_UDP_PORTS        first-last: where media goes; default any free ports
DESKTOP_SANDBOX_PUBLIC_ADDRESS   the IP address that viewers reach this host at, where that is another one (NAT)
DESKTOP_SANDBOX_BASE_URL         what links to viewers begin with; default the address that was asked at
DESKTOP_SANDBOX_TLS_CERT, _KEY   PEM files: serve https
DESKTOP_SANDBOX_ALLOWED_ORIGINS  pages elsewhere that may call the API: origins with commas between them, or *
DESKTOP_SANDBOX_FRAME_ANCESTORS  pages that may embed a view: as in the CSP of that name; default *
DESKTOP_SANDBOX_MAX_RECORDING_BYTES  largest recording; default 4 GiB
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from desktop_sandbox.errors import ConfigurationError

_ICE_URL = re.compile(r"(stuns?|turns?):[^\s?]+(\?transport=(udp|tcp))?")
_ORIGIN = re.compile(r"https?://[^/\s,;]+")
_ANCESTORS = re.compile(r"[A-Za-z0-9.:/*'\[\]_-]+( [A-Za-z0-9.:/*'\[\]_-]+)*")
_MIN_PORTS = 10


@dataclass(frozen=True)
class StreamSettings:
    """How people watch. `tls` are the certificate's and the key's file, None for plain HTTP."""

    ice_servers: tuple[Mapping[str, Any], ...] = ()
    udp_ports: tuple[int, int] | None = None
    public_address: str | None = None
    base_url: str | None = None
    tls: tuple[Path, Path] | None = None
    allowed_origins: tuple[str, ...] = ()
    frame_ancestors: str = "*"
    max_recording_bytes: int = 4 << 30
    max_fps: int = 60

    def allows_origin(self, origin: str) -> bool:
        """Whether a page of that origin may call this server."""
        return "*" in self.allowed_origins or origin.lower() in self.allowed_origins


def stream_settings(
    environ: Mapping[str, str] = os.environ,
    *,
    base_url: str | None = None,
    tls_cert: str | None = None,
    tls_key: str | None = None,
) -> StreamSettings:
    """Read and check them. The arguments come first. Raises ConfigurationError."""
    return StreamSettings(
        ice_servers=_ice_servers(environ.get("DESKTOP_SANDBOX_ICE_SERVERS")),
        udp_ports=_udp_ports(environ.get("DESKTOP_SANDBOX_UDP_PORTS")),
        public_address=_address(environ.get("DESKTOP_SANDBOX_PUBLIC_ADDRESS")),
        base_url=_base_url(base_url or environ.get("DESKTOP_SANDBOX_BASE_URL")),
        tls=_tls(
            tls_cert or environ.get("DESKTOP_SANDBOX_TLS_CERT"), tls_key or environ.get("DESKTOP_SANDBOX_TLS_KEY")
        ),
        allowed_origins=_origins(environ.get("DESKTOP_SANDBOX_ALLOWED_ORIGINS")),
        frame_ancestors=_ancestors(environ.get("DESKTOP_SANDBOX_FRAME_ANCESTORS")),
        max_recording_bytes=_bytes(environ, "DESKTOP_SANDBOX_MAX_RECORDING_BYTES", 4 << 30),
    )


def _ice_servers(text: str | None) -> tuple[Mapping[str, Any], ...]:
    if not text:
        return ()
    hint = 'give a JSON list, for example [{"urls": "stun:stun.example.org:3478"}]'
    try:
        servers = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"DESKTOP_SANDBOX_ICE_SERVERS is no JSON: {error}", hint=hint) from None
    if not isinstance(servers, list):
        raise ConfigurationError("DESKTOP_SANDBOX_ICE_SERVERS is no list", hint=hint)
    found = []
    for server in servers:
        urls = server.get("urls") if isinstance(server, dict) else None
        urls = [urls] if isinstance(urls, str) else urls
        good = isinstance(urls, list) and urls and all(isinstance(url, str) and _ICE_URL.fullmatch(url) for url in urls)
        if not good:
            raise ConfigurationError(f"no ICE server: {str(server)[:100]}", hint=hint)
        kept = {name: server[name] for name in ("username", "credential") if isinstance(server.get(name), str)}
        found.append({"urls": urls, **kept})
    return tuple(found)


def _udp_ports(text: str | None) -> tuple[int, int] | None:
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})-(\d{1,5})", text)
    first, last = (int(match[1]), int(match[2])) if match else (0, 0)
    if not (1024 <= first <= last <= 65535 and last - first + 1 >= _MIN_PORTS):
        raise ConfigurationError(
            f"DESKTOP_SANDBOX_UDP_PORTS is {text!r}",
            hint=f"give first-last with at least {_MIN_PORTS} ports from 1024 to 65535, for example 40000-40199",
        )
    return first, last


def _address(text: str | None) -> str | None:
    if not text:
        return None
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ConfigurationError(
            f"DESKTOP_SANDBOX_PUBLIC_ADDRESS is {text!r}, which is no IP address",
            hint="give the address that viewers send media to, for example 203.0.113.7",
        ) from None


def _base_url(text: str | None) -> str | None:
    if not text:
        return None
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            f"the base URL {text!r} is no http or https URL", hint="for example https://desktops.example.org"
        )
    return text.rstrip("/")


def _tls(cert: str | None, key: str | None) -> tuple[Path, Path] | None:
    if not cert and not key:
        return None
    if not cert or not key:
        raise ConfigurationError(
            "TLS needs both a certificate and a key", hint="give --tls-cert and --tls-key, both PEM files"
        )
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"cannot use {cert} with {key}: {error}", hint="both are PEM files, and the key is the certificate's"
        ) from None
    return Path(cert), Path(key)


def _origins(text: str | None) -> tuple[str, ...]:
    origins = tuple(part.strip().lower().rstrip("/") for part in (text or "").split(",") if part.strip())
    for origin in origins:
        if origin != "*" and not _ORIGIN.fullmatch(origin):
            raise ConfigurationError(
                f"DESKTOP_SANDBOX_ALLOWED_ORIGINS: {origin!r} is no origin",
                hint="give origins like https://app.example.org with commas between them, or *",
            )
    return origins


def _ancestors(text: str | None) -> str:
    if not text:
        return "*"
    if not _ANCESTORS.fullmatch(text):
        raise ConfigurationError(
            f"DESKTOP_SANDBOX_FRAME_ANCESTORS is {text!r}",
            hint="as in a Content-Security-Policy: 'none', 'self', *, or https://app.example.org, with spaces between",
        )
    return text


def _bytes(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not 1 << 20 <= int(text) <= 1 << 50:
        raise ConfigurationError(f"{name} is {text!r}", hint="give a whole number of bytes, at least 1048576")
    return int(text)
