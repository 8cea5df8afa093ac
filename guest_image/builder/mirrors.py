"""Where the host's apt gets Debian from, turned into what mmdebstrap is given.

Parsing is pure; `host_mirrors` and `host_apt_options` read this host's configuration. Nothing is written anywhere.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ARCHIVE_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PUBLIC_MAIN = "http://deb.debian.org/debian"
PUBLIC_SECURITY = "http://deb.debian.org/debian-security"

_SUITE = re.compile(r"(bookworm|trixie|forky|duke|sid|(old)?stable|testing|unstable)(-updates|-security|/updates)?")
_ONE_LINE = re.compile(r"deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s*(?P<components>.*)")
_OPTION = re.compile(r'(Acquire::(?:https?::|Retries|Check-Valid-Until|Force)\S*|Acquire::\S*Proxy\S*) "(.*)";')


@dataclass(frozen=True)
class Source:
    """One line or stanza of apt's sources, with one URI."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


@dataclass(frozen=True)
class Mirrors:
    """URIs of the Debian archive and of its security archive, best first."""

    main: tuple[str, ...]
    security: tuple[str, ...]

    def lines(self, suite: str) -> list[str]:
        """apt source lines for a suite: the suite itself, its updates, its security archive."""
        main, security = self.main[0], self.security[0]
        lines = [f"deb {main} {suite} main"]
        if suite not in {"sid", "unstable"}:
            lines += [f"deb {main} {suite}-updates main", f"deb {security} {suite}-security main"]
        return lines


def parse_deb822(text: str) -> list[Source]:
    """Sources of a `.sources` file (deb822, man sources.list); disabled stanzas and deb-src are left out."""
    sources: list[Source] = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = _stanza(stanza)
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in {"no", "false"}:
            continue
        suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
        uris = fields.get("uris", "").split()
        sources += [Source(uri.rstrip("/"), tuple(suites), tuple(components)) for uri in uris]
    return sources


def _stanza(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    key = ""
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line[0] in " \t":
            fields[key] = f"{fields.get(key, '')} {line.strip()}"
        elif ":" in line:
            key, _, value = line.partition(":")
            key = key.strip().lower()
            fields[key] = value.strip()
    return fields


def parse_list(text: str) -> list[Source]:
    """Sources of a `.list` file (one line each); deb-src is left out."""
    sources: list[Source] = []
    for line in text.splitlines():
        match = _ONE_LINE.fullmatch(line.split("#", 1)[0].strip())
        if match:
            components = tuple(match["components"].split())
            sources.append(Source(match["uri"].rstrip("/"), (match["suite"],), components))
    return sources


def choose_mirrors(sources: Iterable[Source]) -> Mirrors:
    """The Debian mirrors among the sources; Debian's public ones for what is not there.

    Sources of other vendors often name Debian's suites too: only those with the component main whose path ends like
    Debian's are taken.
    """
    main: list[str] = []
    security: list[str] = []
    for source in sources:
        debian = any(_SUITE.fullmatch(suite) for suite in source.suites) and "main" in source.components
        if not debian or source.uri.startswith("cdrom:"):
            continue
        last = source.uri.rsplit("/", 1)[-1]
        secure = "security" in last or any("security" in suite for suite in source.suites)
        if secure:
            security.append(source.uri)
        elif last.startswith("debian") or source.uri.startswith("mirror+"):
            main.append(source.uri)
    return Mirrors(tuple(dict.fromkeys([*main, PUBLIC_MAIN])), tuple(dict.fromkeys([*security, PUBLIC_SECURITY])))


def host_mirrors(etc_apt: Path = Path("/etc/apt")) -> Mirrors:
    """The mirrors of this host's apt configuration."""
    sources: list[Source] = []
    for path in sorted(etc_apt.glob("sources.list.d/*.sources")):
        sources += parse_deb822(path.read_text(errors="replace"))
    for path in [etc_apt / "sources.list", *sorted(etc_apt.glob("sources.list.d/*.list"))]:
        if path.is_file():
            sources += parse_list(path.read_text(errors="replace"))
    return choose_mirrors(sources)


def parse_apt_options(dump: str) -> dict[str, str]:
    """Proxy, certificate and retry options out of `apt-config dump`."""
    found = (_OPTION.fullmatch(line.strip()) for line in dump.splitlines())
    return {match[1]: match[2] for match in found if match and match[2]}


def host_apt_options(etc_apt: Path = Path("/etc/apt")) -> Mapping[str, str]:
    """Options of the host's apt that decide how mirrors are reached (proxies, certificates, credentials)."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    options = parse_apt_options(dump)
    if (etc_apt / "auth.conf").exists():
        options["Dir::Etc::netrc"] = str(etc_apt / "auth.conf")
    if any((etc_apt / "auth.conf.d").glob("*")):
        options["Dir::Etc::netrcparts"] = str(etc_apt / "auth.conf.d")
    return options
