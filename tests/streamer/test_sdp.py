"""Offers and answers as text; levels."""

from __future__ import annotations

import pytest

from streamer.levels import codec_string, level_for
from streamer.sdp import best_codec, has_data_channels, with_level, with_public_address, without_waits


def offer(*lines: str) -> str:
    return "\r\n".join(["v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96 97", *lines, ""])


H264 = "a=fmtp:97 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"


@pytest.mark.parametrize(
    ("lines", "codec"),
    [
        (["a=rtpmap:97 H264/90000", H264, "a=rtpmap:96 VP8/90000"], "h264"),
        (["a=rtpmap:97 h264/90000", H264.replace("42e01f", "42E01F")], "h264"),
        (["a=rtpmap:97 H264/90000", H264.replace("42e01f", "42001f")], "h264"),
        (["a=rtpmap:97 H264/90000", H264.replace("42e01f", "640032"), "a=rtpmap:96 VP8/90000"], "vp8"),
        (["a=rtpmap:97 H264/90000", H264.replace("mode=1", "mode=0"), "a=rtpmap:96 VP8/90000"], "vp8"),
        (["a=rtpmap:97 H264/90000", H264.replace("fmtp:97", "fmtp:98"), "a=rtpmap:96 VP8/90000"], "vp8"),
        (["a=rtpmap:96 AV1/90000"], None),
        ([], None),
    ],
)
def test_the_best_codec_of_an_offer(lines, codec):
    assert best_codec(offer(*lines)) == codec


def test_data_channels_are_a_section_of_their_own():
    assert not has_data_channels(offer())
    assert has_data_channels(offer("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"))


@pytest.mark.parametrize(
    ("size", "fps", "level"),
    [
        ((640, 400), 60, 31),
        ((1280, 720), 30, 31),
        ((1280, 800), 60, 40),
        ((1440, 900), 60, 42),
        ((1920, 1080), 60, 42),
        ((1920, 1200), 60, 50),
        ((3840, 2160), 60, 52),
        ((8192, 8192), 60, 62),
    ],
)
def test_true_levels(size, fps, level):
    assert level_for(*size, fps) == level


def test_levels_in_sdp_and_webcodecs():
    assert codec_string(40) == "avc1.42e028"
    answer = "a=fmtp:97 profile-level-id=42e01f;packetization-mode=1\r\na=fmtp:99 profile-level-id=42001F\r\n"
    assert with_level(answer, 50).count("profile-level-id=42e032") == 2


CANDIDATES = """a=candidate:1 1 udp 2130706431 10.0.0.5 40000 typ host\r
a=candidate:2 1 udp 2130706431 fe80::1 40001 typ host\r
a=candidate:3 1 udp 1694498815 9.9.9.9 40000 typ srflx raddr 10.0.0.5 rport 40000\r
"""


def test_the_public_address_stands_in_for_host_candidates_of_its_family():
    said = with_public_address(CANDIDATES, "203.0.113.7").splitlines()
    assert said[0] == "a=candidate:1 1 udp 2130706431 203.0.113.7 40000 typ host"
    assert said[1:] == CANDIDATES.splitlines()[1:]
    assert "2001:db8::7 40001 typ host" in with_public_address(CANDIDATES, "2001:db8::7")


def test_a_public_address_that_is_none_is_an_error():
    with pytest.raises(ValueError, match="example"):
        with_public_address(CANDIDATES, "example.org")


NAMED = """a=candidate:1 1 udp 2130706431 4f8d-1.local 40000 typ host\r
a=candidate:2 1 UDP 2130706431 10.0.0.5 40000 typ host\r
a=candidate:3 1 tcp 2105524479 4F8D-2.LOCAL 9 typ host tcptype active\r
a=candidate:4 1 udp 1694498815 9.9.9.9 40000 typ srflx raddr 10.0.0.5 rport 40000\r
a=end-of-candidates\r
a=mid:0\r
a=x-note:somewhere.local stays\r
"""


def test_names_that_nobody_else_can_resolve_are_not_waited_for():
    kept = without_waits(NAMED).splitlines()
    assert kept == [NAMED.splitlines()[number] for number in (1, 3, 5, 6)]
    assert without_waits(CANDIDATES) == CANDIDATES
