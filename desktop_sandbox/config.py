"""Settings of server and client, read from the environment once and checked with hints. Starts and opens
nothing.

    DESKTOP_SANDBOX_HOME            all state; default: desktop-sandbox in the XDG data folder
    DESKTOP_SANDBOX_URL             where clients find the server; default http://127.0.0.1:8700
    DESKTOP_SANDBOX_API_KEY         the key; without it a server on loopback makes one and keeps it in
    HOME/api-key
    DESKTOP_SANDBOX_BIND            host:port the server listens on; default 127.0.0.1:8700
    DESKTOP_SANDBOX_MAX_SANDBOXES   how many sandboxes at once at most; default 256
    DESKTOP_SANDBOX_RESERVE_MEMORY_MIB  memory that is kept free for the host; default 1024
    DESKTOP_SANDBOX_RESERVE_DISK_MIB  disk that is kept free for the host; default 2048
    DESKTOP_SANDBOX_KEEP_CHECKPOINTS  so many of a sandbox's newest checkpoints without a name or tag are kept, older
                                    ones go by themselves; default 0: all are kept
    DESKTOP_SANDBOX_CHECKPOINT_HOURS  checkpoints without a name or tag go after so many hours; default 0: never
    DESKTOP_SANDBOX_TRANSLATION_MIB  room for a machine's translated code under emulation; default: a 24th of the
                                    host's memory, 256 at least and 1024 at most
    DESKTOP_SANDBOX_FREEZE_AFTER    seconds without use after which an idle desktop stands still in memory; 0: never;
                                    default 10
    DESKTOP_SANDBOX_WARM_POOL       at most so many desktops stand ready for creates to come; default 0, none
    DESKTOP_SANDBOX_DNS             DNS servers that sandboxes' names are asked of, ADDRESS:PORT, with commas between;
                                    default: those of /etc/resolv.conf
    DESKTOP_SANDBOX_PORT_DOMAIN     ports of the guests are at <port>-<sandbox>.<this domain>; default localhost
    DESKTOP_SANDBOX_MAX_BODY_BYTES  largest JSON body; default 4 MiB
    DESKTOP_SANDBOX_MAX_UPLOAD_BYTES  largest file in one upload; default 64 GiB

Those of the live view are in `stream_settings`.

**Invariant.** The key file is only ever sent to a loopback address: a remote URL needs its key said
explicitly.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.stream_settings import StreamSettings, stream_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8700
MIN_KEY_LENGTH = 16
SCREEN_DOOR = "screens.sock"
# Room for translated code, touched only as it is used. When it is full, all of it is thrown away and made again. A
# browser's first page takes about 500 MiB: with 256 it was full two or three times for each of three pages (14 to 23 s
# a page), with 512 once in three pages, with 1024 never (15 s for the first page, 7 s for each further one).
TRANSLATION_MIB = 256
_MOST_TRANSLATION_MIB = 1024
_MEMORY_SHARE = 24


@dataclass(frozen=True)
class ServerConfig:
    """How a server runs. `port` 0 takes any free one; `api_key` is never empty."""

    home: Path
    api_key: str
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    max_sandboxes: int = 256
    reserve_memory_mib: int = 1024
    reserve_disk_mib: int = 2048
    keep_checkpoints: int = 0
    checkpoint_hours: int = 0
    translation_mib: int = TRANSLATION_MIB
    freeze_after_s: float = 10.0
    warm_pool: int = 0
    max_body_bytes: int = 4 << 20
    max_upload_bytes: int = 64 << 30
    idempotency_hours: float = 24.0
    shutdown_seconds: float = 10.0
    dns_servers: tuple[str, ...] = ()
    port_domain: str = "localhost"
    stream: StreamSettings = field(default_factory=StreamSettings)

    @property
    def key_path(self) -> Path:
        """The file that holds the key which a loopback server made."""
        return self.home / "api-key"

    @property
    def node_database(self) -> Path:
        """SQLite file of the node's sandboxes."""
        return self.home / "node.db"

    @property
    def api_database(self) -> Path:
        """SQLite file of the API's idempotency keys."""
        return self.home / "api.db"

    @property
    def stream_database(self) -> Path:
        """SQLite file of the viewers' tokens."""
        return self.home / "stream.db"

    @property
    def ports_database(self) -> Path:
        """SQLite file of the guests' ports that are public."""
        return self.home / "ports.db"

    @property
    def stream_secret(self) -> Path:
        """The secret that signs viewers' tokens."""
        return self.home / "stream-secret"

    @property
    def streamer_log(self) -> Path:
        """What the media process says."""
        return self.home / "streamer.log"

    @property
    def gateway_log(self) -> Path:
        """What the gateway of the sandboxes' networks says."""
        return self.home / "gateway.log"

    @property
    def screen_door(self) -> Path:
        """Unix socket where programs of the same user get to read screens."""
        return self.home / SCREEN_DOOR


@dataclass(frozen=True)
class ClientConfig:
    """Where a client finds its server. `api_key` None: none was given and none found."""

    url: str
    api_key: str | None


def home_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """The folder of all state, absolute. ConfigurationError if the setting is relative."""
    chosen = environ.get("DESKTOP_SANDBOX_HOME")
    if chosen:
        home = Path(chosen).expanduser()
        if not home.is_absolute():
            raise ConfigurationError(
                f"DESKTOP_SANDBOX_HOME is {chosen!r}, which is not an absolute path",
                hint="give a path that starts with /, for example /var/lib/desktop-sandbox",
            )
        return home
    data = environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path(environ.get("HOME") or Path.home()) / ".local" / "share"
    return base / "desktop-sandbox"


def server_config(
    environ: Mapping[str, str] = os.environ,
    *,
    home: Path | None = None,
    bind: str | None = None,
    stream: StreamSettings | None = None,
) -> ServerConfig:
    """Read and check the server's settings.

    Makes HOME (0700) and, on loopback, the key (0600) if they are missing.
    """
    folder = home or home_folder(environ)
    host, port = parse_bind(bind or environ.get("DESKTOP_SANDBOX_BIND") or f"{DEFAULT_HOST}:{DEFAULT_PORT}")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"cannot make the state folder {folder}: {error.strerror}",
            hint="set DESKTOP_SANDBOX_HOME to a folder this user may write",
        ) from error
    given = environ.get("DESKTOP_SANDBOX_API_KEY")
    if given:
        key = check_key(given, "DESKTOP_SANDBOX_API_KEY")
    elif is_loopback(host):
        key = load_or_make_key(folder / "api-key")
    else:
        raise ConfigurationError(
            f"the server is to listen on {host}, beyond this host, without an API key",
            hint='set DESKTOP_SANDBOX_API_KEY, for example to the output of "openssl rand -hex 32"',
        )
    return ServerConfig(
        home=folder,
        api_key=key,
        host=host,
        port=port,
        max_sandboxes=_number(environ, "DESKTOP_SANDBOX_MAX_SANDBOXES", 256, 1, 100_000),
        reserve_memory_mib=_number(environ, "DESKTOP_SANDBOX_RESERVE_MEMORY_MIB", 1024, 0, 1 << 30),
        reserve_disk_mib=_number(environ, "DESKTOP_SANDBOX_RESERVE_DISK_MIB", 2048, 0, 1 << 30),
        keep_checkpoints=_number(environ, "DESKTOP_SANDBOX_KEEP_CHECKPOINTS", 0, 0, 1_000_000),
        checkpoint_hours=_number(environ, "DESKTOP_SANDBOX_CHECKPOINT_HOURS", 0, 0, 1_000_000),
        translation_mib=_number(environ, "DESKTOP_SANDBOX_TRANSLATION_MIB", default_translation_mib(), 32, 2048),
        freeze_after_s=float(_number(environ, "DESKTOP_SANDBOX_FREEZE_AFTER", 10, 0, 1_000_000)),
        warm_pool=_number(environ, "DESKTOP_SANDBOX_WARM_POOL", 0, 0, 256),
        max_body_bytes=_number(environ, "DESKTOP_SANDBOX_MAX_BODY_BYTES", 4 << 20, 1 << 10, 1 << 30),
        max_upload_bytes=_number(environ, "DESKTOP_SANDBOX_MAX_UPLOAD_BYTES", 64 << 30, 1 << 10, 1 << 50),
        dns_servers=_dns_servers(environ.get("DESKTOP_SANDBOX_DNS", "")),
        port_domain=_port_domain(environ.get("DESKTOP_SANDBOX_PORT_DOMAIN") or "localhost"),
        stream=stream or stream_settings(environ),
    )


def client_config(
    url: str | None = None, api_key: str | None = None, environ: Mapping[str, str] = os.environ
) -> ClientConfig:
    """Find server and key.

    Arguments first, then the environment, then (loopback only) the key file in HOME.
    """
    address = (url or environ.get("DESKTOP_SANDBOX_URL") or f"http://{DEFAULT_HOST}:{DEFAULT_PORT}").rstrip("/")
    parts = urlsplit(address)
    try:
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(
            f"the server's address {address!r} is not an http or https URL",
            hint=f"set DESKTOP_SANDBOX_URL to something like http://{DEFAULT_HOST}:{DEFAULT_PORT}",
        )
    key = api_key or environ.get("DESKTOP_SANDBOX_API_KEY") or None
    if key is None and is_loopback(parts.hostname or ""):
        with contextlib.suppress(OSError):
            key = (home_folder(environ) / "api-key").read_text().strip() or None
    if key is not None:
        check_key(key, "the API key", minimum=1)
    return ClientConfig(address, key)


def parse_bind(text: str) -> tuple[str, int]:
    """Split "host:port", "[v6]:port" or "host" into host and port (0 to 65535)."""
    host, colon, port_text = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port_text = text, str(DEFAULT_PORT)
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port_text.isascii() or not port_text.isdigit() or int(port_text) > 65535:
        raise ConfigurationError(
            f"{text!r} is not an address to listen on",
            hint=f"write host:port, for example {DEFAULT_HOST}:8700",
        )
    return host, int(port_text)


def is_loopback(host: str) -> bool:
    """Whether a host name or address means this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_key(key: str, name: str, *, minimum: int = MIN_KEY_LENGTH) -> str:
    """Return the key if it can be sent in a header and is long enough; the message never shows it."""
    if len(key) < minimum or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigurationError(
            f"{name} must be at least {minimum} printable ASCII characters without spaces; it has {len(key)}",
            hint='make one with "openssl rand -hex 32"',
        )
    return key


def load_or_make_key(path: Path) -> str:
    """Read the key file, or make it (0600, appearing complete or not at all)."""
    while True:
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            return check_key(path.read_text().strip(), f"the key in {path}")
        aside = path.with_name(f".api-key-{secrets.token_hex(4)}")
        descriptor = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(f"dsk_{secrets.token_hex(24)}\n")
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        finally:
            aside.unlink()


def _port_domain(text: str) -> str:
    labels = text.lower().split(".")
    if len(text) > 180 or not all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in labels):
        raise ConfigurationError(
            f"DESKTOP_SANDBOX_PORT_DOMAIN is {text!r}, which is no domain",
            hint="give one of which every name leads to this server, such as ports.example.org",
        )
    return text.lower()


def _dns_servers(text: str) -> tuple[str, ...]:
    found = []
    for entry in filter(None, (part.strip() for part in text.split(","))):
        host, _, port = entry.rpartition(":") if entry.count(":") == 1 or entry.startswith("[") else (entry, "", "53")
        host = host.removeprefix("[").removesuffix("]")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            host = ""
        if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= 65535:
            raise ConfigurationError(
                f"DESKTOP_SANDBOX_DNS has {entry!r}", hint="write addresses, maybe with ports: 9.9.9.9,127.0.0.1:5353"
            )
        found.append(f"{host}:{port}")
    return tuple(found)


def default_translation_mib(memory_bytes: int | None = None) -> int:
    """Room for a machine's translated code, in MiB, on a host with so much memory (None: this one)."""
    if memory_bytes is None:
        memory_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory_bytes // (_MEMORY_SHARE << 20), TRANSLATION_MIB), _MOST_TRANSLATION_MIB)


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name)
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise ConfigurationError(f"{name} is {text!r}", hint=f"give a whole number from {least} to {most}")
    return int(text)
