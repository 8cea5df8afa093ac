"""Reads offers and finishes answers, as text. Pure. (RFC 8866, 6184, 8839.)"""

from __future__ import annotations

import ipaddress
import re

from streamer.levels import profile_level_id

MAX_SDP_BYTES = 64 << 10
_RTPMAP = re.compile(r"^a=rtpmap:(\d+) ([A-Za-z0-9-]+)/90000", re.MULTILINE | re.IGNORECASE)
_FMTP = re.compile(r"^a=fmtp:(\d+) (.*)$", re.MULTILINE)
_CANDIDATE = re.compile(r"^(a=candidate:\S+ \d+ udp \d+ )(\S+)( \d+ typ host.*)$", re.MULTILINE | re.IGNORECASE)
_UNREACHABLE = re.compile(
    r"^a=(?:candidate:\S+ \d+ \S+ \d+ \S+\.local\.? .*|end-of-candidates)\r?\n", re.MULTILINE | re.IGNORECASE
)
_BASELINE = re.compile(r"profile-level-id=42[0-9a-f]{4}", re.IGNORECASE)


def has_data_channels(sdp: str) -> bool:
    """Whether the offer has data channels."""
    return "\nm=application " in sdp


def without_waits(sdp: str) -> str:
    """The offer without what only costs time here.

    Names of mDNS are resolved in the player's own network only. After the claim that no more candidates come, aioice
    takes a player that gave nothing but such names for unreachable.
    It is found by its own checks then, as everybody behind NAT is (peer-reflexive, RFC 8445, 7.3.1.3).
    """
    return _UNREACHABLE.sub("", sdp)


def best_codec(sdp: str) -> str | None:
    """`h264` if the offer has constrained baseline in packetization mode 1, else `vp8`, else None."""
    parameters = {match[1]: match[2].lower() for match in _FMTP.finditer(sdp)}
    names = {match[1]: match[2].upper() for match in _RTPMAP.finditer(sdp)}
    for payload_type, name in names.items():
        fmtp = parameters.get(payload_type, "").replace(" ", "").strip().split(";")
        if name == "H264" and "packetization-mode=1" in fmtp and any(f.startswith(_PROFILES) for f in fmtp):
            return "h264"
    return "vp8" if "VP8" in names.values() else None


_PROFILES = ("profile-level-id=42e0", "profile-level-id=42c0", "profile-level-id=4200")


def with_level(sdp: str, level: int) -> str:
    """The answer with H.264's true level in place of the offered one (levels may differ both ways)."""
    return _BASELINE.sub(f"profile-level-id={profile_level_id(level)}", sdp)


def with_public_address(sdp: str, address: str) -> str:
    """The answer with `address` in place of the host candidates' own of the same family."""
    version = ipaddress.ip_address(address).version

    def announce(match: re.Match[str]) -> str:
        try:
            same = ipaddress.ip_address(match[2]).version == version
        except ValueError:
            same = False
        return f"{match[1]}{address}{match[3]}" if same else match[0]

    return _CANDIDATE.sub(announce, sdp)
