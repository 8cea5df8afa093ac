"""H.264 levels (Recommendation H.264, table A-1), and the names that SDP and WebCodecs give them. Pure."""

from __future__ import annotations

# level × 10, macroblocks a second, macroblocks a frame
_LEVELS = (
    (31, 108_000, 3_600),
    (32, 216_000, 5_120),
    (40, 245_760, 8_192),
    (42, 522_240, 8_704),
    (50, 589_824, 22_080),
    (51, 983_040, 36_864),
    (52, 2_073_600, 36_864),
    (60, 4_177_920, 139_264),
    (61, 8_355_840, 139_264),
    (62, 16_711_680, 139_264),
)
CONSTRAINED_BASELINE = "42e0"


def level_for(width: int, height: int, fps: int) -> int:
    """The lowest level, times ten, for such frames; at least 3.1, at most 6.2."""
    blocks = -(-width // 16) * -(-height // 16)
    for level, a_second, a_frame in _LEVELS:
        if blocks <= a_frame and blocks * fps <= a_second:
            return level
    return _LEVELS[-1][0]


def profile_level_id(level: int) -> str:
    """SDP's profile-level-id (RFC 6184) for constrained baseline at this level."""
    return f"{CONSTRAINED_BASELINE}{level:02x}"


def codec_string(level: int) -> str:
    """What WebCodecs calls it (RFC 6381): avc1.42e028."""
    return f"avc1.{profile_level_id(level)}"
