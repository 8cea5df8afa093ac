"""Headers that the gateway sets: their rules, heads as they go on, and real requests over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network import far_end
from desktop_sandbox.network.header_rules import MASK, HeaderRule, with_headers
from desktop_sandbox.network.http1 import Head, HttpError, Requests, read_head
from desktop_sandbox.network.policy import masked_json, parse_policy, policy_json, policy_record
from desktop_sandbox.network.records import Outcome
from tests.network.authorities import Authority
from tests.network.worlds import BAD, GOOD, OTHER, World, exchange, internet, read_all, says, served, world

SECRET = "Bearer 5ec2e7"
HOST = "good.example.org"
RULE = {"host": HOST, "set": {"Authorization": SECRET, "X-Api-Key": "k"}}
POLICY = {"allow": [f"{HOST}:443"], "headers": [RULE]}


def head_of(raw: bytes) -> Head:
    return read_head(raw)[0]


# --- rules


def test_a_policy_keeps_its_headers_and_shows_their_names_alone() -> None:
    policy = parse_policy({"allow": ["*.example.org"], "headers": [{**RULE, "host": "Good.Example.ORG."}]})
    assert policy.headers[0].headers == (("Authorization", SECRET), ("X-Api-Key", "k"))
    assert policy.header_rule(HOST) is policy.headers[0]
    assert policy.header_rule("www.example.org") is None
    record = policy_record(policy)
    assert parse_policy(json.loads(json.dumps(record))) == policy
    shown = policy_json(policy)
    assert shown == masked_json(record)
    assert isinstance(shown, dict)
    assert shown["headers"] == [{"host": HOST, "set": {"Authorization": MASK, "X-Api-Key": MASK}}]
    assert SECRET not in f"{policy!r} {policy} {policy.headers!r} {shown}"
    assert policy_json(parse_policy({"headers": [RULE]})) != "internet"


@pytest.mark.parametrize(
    "name",
    ["Host", "CONNECTION", "Content-Length", "transfer-encoding", "Upgrade", "TE", "Trailer", "Proxy-Authorization",
     "Keep-Alive", "a b", "", "a:b", "ä", "a\r\nb"],
)  # fmt: skip
def test_headers_that_cannot_be_set(name: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy({"headers": [{"host": HOST, "set": {name: SECRET}}]})
    assert caught.value.hint
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "value", ["se\r\ncret", "se\ncret", "se\0cret", "", " secret", "secret ", "s\u00e9cret", 7, None, MASK]
)
def test_values_that_cannot_be_sent(value: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy({"headers": [{"host": HOST, "set": {"X-Key": value}}]})
    assert "cret" not in str(caught.value)


@pytest.mark.parametrize(
    "headers",
    [
        "x", [1], [{}], [{"host": HOST}], [{**RULE, "port": 1}], [RULE, RULE], [{"host": HOST, "set": {}}],
        [{"host": "*.example.org", "set": {"a": "b"}}], [{"host": "10.0.0.1", "set": {"a": "b"}}],
        [{"host": "good.example.org:443", "set": {"a": "b"}}], [{"host": HOST, "set": {"a": "b", "A": "c"}}],
        [{"host": HOST, "set": [["a", "b"]]}], [{"host": HOST, "set": {f"h{n}": "x" * 8000 for n in range(5)}}],
    ],
)  # fmt: skip
def test_rules_that_are_none(headers: object) -> None:
    with pytest.raises(InvalidRequestError):
        parse_policy({"headers": headers})


@pytest.mark.parametrize(
    ("policy", "hint"),
    [
        ({"allow": []}, f"add {HOST}:443 to allow"),
        ({"allow": ["other.example.org", f"{HOST}:80"]}, f"add {HOST}:443 to allow"),
        ({"deny": ["*.example.org:443"]}, "out of deny"),
        ({"allow": ["internet:80"]}, "add"),
    ],
)
def test_a_host_that_is_denied_gets_no_headers(policy: dict[str, Any], hint: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy({**policy, "headers": [RULE]})
    assert hint in (caught.value.hint or "")


# --- heads and framing

KEY = HeaderRule(HOST, (("Authorization", SECRET),))


@pytest.mark.parametrize(
    ("raw", "gone_on"),
    [
        (b"GET /a?b HTTP/1.1\r\nHost: good.example.org\r\n\r\n", b"GET /a?b HTTP/1.1"),
        (b"GET http://good.example.org HTTP/1.1\r\nhost: Good.example.org:80\r\n\r\n", b"GET / HTTP/1.1"),
        (b"GET http://good.example.org?q HTTP/1.1\r\nHost: good.example.org\r\n\r\n", b"GET /?q HTTP/1.1"),
        (b"OPTIONS * HTTP/1.1\r\nHost: good.example.org\r\naUTHORIZATION: x\r\nAuthorization: y\r\n\r\n",
         b"OPTIONS * HTTP/1.1"),
    ],
)  # fmt: skip
def test_a_head_as_it_goes_on(raw: bytes, gone_on: bytes) -> None:
    expected = gone_on + b"\r\nHost: good.example.org\r\nAuthorization: Bearer 5ec2e7\r\n\r\n"
    assert with_headers(head_of(raw), KEY) == expected


def test_other_headers_stay_as_they_are_and_in_their_order() -> None:
    raw = b"POST / HTTP/1.1\r\nB: 1\r\nHost: good.example.org\r\na:2\r\nContent-Length: 3\r\nB:  4\r\n\r\n"
    lines = with_headers(head_of(raw), KEY).split(b"\r\n")
    assert lines[2:6] == [b"B: 1", b"a:2", b"Content-Length: 3", b"B:  4"]


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 3\r\nTransfer-Encoding: chunked", b"Content-Length: 3\r\nContent-Length: 3",
        b"Content-Length: 3, 3", b"Content-Length: +3", b"Transfer-Encoding: chunked, chunked",
        b"Transfer-Encoding: gzip, chunked", b"Transfer-Encoding : chunked", b"X: a\r\n folded", b"X: a\nY: b",
        b"Host: bad.example.net", b"Transfer-Encoding: chunked\r\nUpgrade: websocket",
    ],
)  # fmt: skip
def test_framing_that_can_be_read_in_two_ways_is_refused(fields: bytes) -> None:
    with pytest.raises(HttpError):
        Requests().feed(b"POST / HTTP/1.1\r\nHost: good.example.org\r\n" + fields + b"\r\n\r\n")


def test_chunks_in_an_old_protocol_are_refused() -> None:
    with pytest.raises(HttpError):
        read_head(b"POST / HTTP/1.0\r\nHost: good.example.org\r\nTransfer-Encoding: chunked\r\n\r\n")


PIECES = [
    (b"GET /1 HTTP/1.1\r\nHost: good.example.org\r\n", b""),
    (b"POST /2 HTTP/1.1\r\nHost: good.example.org\r\nContent-Length: 40\r\n",
     b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".ljust(40)),
    (b"PUT /3 HTTP/1.1\r\nHost: good.example.org\r\nTransfer-Encoding: chunked\r\n",
     b"4\r\n\r\n\r\n\r\n1F;x=y\r\n" + b"a" * 31 + b"\r\n0\r\nAuthorization: mine\r\n\r\n"),
]  # fmt: skip


@given(
    st.lists(st.sampled_from(PIECES), min_size=1, max_size=6),
    st.lists(st.integers(min_value=0, max_value=900), max_size=12),
)
def test_however_requests_are_cut_each_head_gets_the_headers_and_no_body_does(
    requests: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(head + b"\r\n" + body for head, body in requests)
    expected = b"".join(with_headers(head_of(head + b"\r\n"), KEY) + body for head, body in requests)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader, out = Requests(), b""
    for start, end in pairwise(places):
        for item in reader.feed(stream[start:end]):
            out += with_headers(item, KEY) if isinstance(item, Head) else item
    assert out == expected
    assert out.count(SECRET.encode()) == len(requests)


# --- for real


class Upstream:
    """An HTTP server that keeps connections, and what it got: heads, and bodies."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"chunked" in head:
                    self.bodies.append(await reader.readuntil(b"0\r\n\r\n"))
                elif b"Content-Length: " in head:
                    length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n")[0])
                    self.bodies.append(await reader.readexactly(length))
                if b"Upgrade: " in head:
                    writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
                    while piece := await reader.read(65536):
                        writer.write(piece)
                    break
                writer.write(self.answer)
        writer.close()


@contextlib.asynccontextmanager
async def api(
    folder: Path, upstream: Any, policy: object = POLICY, name: str = HOST, address: str = GOOD
) -> AsyncIterator[World]:
    """A world with a server of `name` at `address` that is reached over TLS."""
    authority = Authority()
    async with (
        world(policy, trust=authority.trust) as here,
        served(upstream, address, 443, authority.server(folder, name)),
    ):
        yield here


async def ask(sock: socket.socket, data: bytes, until: bytes = b"ok") -> bytes:
    loop, out = asyncio.get_running_loop(), b""
    await loop.sock_sendall(sock, data)
    async with asyncio.timeout(30):
        while not out.endswith(until):
            piece = await loop.sock_recv(sock, 65536)
            if not piece:
                break
            out += piece
    return out


async def is_reset(sock: socket.socket, data: bytes) -> bool:
    """Whether the connection is reset for saying this, with nothing answered."""
    try:
        await asyncio.get_running_loop().sock_sendall(sock, data)
        await read_all(sock)
    except ConnectionError:
        return True
    return False


GET = b"GET /v1 HTTP/1.1\r\nHost: good.example.org\r\nAuthorization: mine\r\n\r\n"


@internet
async def test_every_request_of_a_connection_gets_the_headers(tmp_path: Path) -> None:
    upstream = Upstream()
    post = b"POST /a HTTP/1.1\r\nHost: good.example.org\r\nContent-Length: 300000\r\n\r\n" + GET * 5000
    chunked = b"POST /b HTTP/1.1\r\nHost: good.example.org\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    body = post.partition(b"\r\n\r\n")[2][:300000]
    async with api(tmp_path, upstream) as here:
        assert await here.guest.addresses(HOST) == [GOOD]
        with await here.guest.connect(GOOD, 80) as sock:
            assert await ask(sock, GET) == upstream.answer
            await ask(sock, post[: post.index(b"\r\n\r\n") + 4] + body)
            await ask(sock, chunked)
            # pipelined, in pieces
            got = await ask(sock, GET + GET[:20])
            got += await ask(sock, GET[20:])
            assert got == upstream.answer * 2
        assert len(upstream.heads) == 5
        for head in upstream.heads:
            assert head.count(b"Authorization: Bearer 5ec2e7\r\n") == head.count(b"X-Api-Key: k\r\n") == 1
            assert b"mine" not in head
        assert upstream.bodies == [body, b"3\r\nabc\r\n0\r\n\r\n"]
        entry = await here.logged(Outcome.ALLOWED, kind="tcp")
        assert (entry.name, entry.port, entry.rule) == (HOST, 80, f"{HOST}:443")
        assert not any("5ec2e7" in str(entry) for entry in here.entries())


@internet
async def test_answers_come_back_untouched_redirects_among_them(tmp_path: Path) -> None:
    upstream = Upstream()
    upstream.answer = b"HTTP/1.1 302 Found\r\nLocation: https://bad.example.net/\r\nContent-Length: 2\r\n\r\nok"
    async with api(tmp_path, upstream) as here:
        with await here.guest.connect(GOOD, 80) as sock:
            assert await ask(sock, GET) == upstream.answer
            sock.shutdown(socket.SHUT_WR)
            assert await read_all(sock) == b""


@internet
async def test_a_large_answer_until_the_end_of_the_connection_arrives_whole(tmp_path: Path) -> None:
    answer = b"HTTP/1.0 200 OK\r\n\r\n" + bytes(range(256)) * 12_000
    async with api(tmp_path, says(answer)) as here:
        assert await exchange(here.guest, GOOD, 80, GET) == answer


@internet
async def test_another_host_later_is_refused_and_the_secret_stays(tmp_path: Path) -> None:
    upstream = Upstream()
    async with api(tmp_path, upstream, {"headers": [RULE]}) as here:
        for host in (b"Host: www.example.org", b"Host: 93.184.216.34", b"X: y"):
            with await here.guest.connect(GOOD, 80) as sock:
                await ask(sock, GET)
                seen = len(upstream.heads)
                assert await is_reset(sock, b"GET / HTTP/1.1\r\n" + host + b"\r\n\r\n")
            assert len(upstream.heads) == seen


@internet
async def test_other_hosts_get_no_header_and_go_as_before(tmp_path: Path) -> None:
    upstream, plain = Upstream(), Upstream()
    request = b"GET / HTTP/1.1\r\nHost: other.example.org\r\n\r\n"
    async with api(tmp_path, upstream, {"headers": [RULE]}) as here, served(plain, OTHER, 80):
        with await here.guest.connect(OTHER, 80) as sock:
            await ask(sock, request)
            # a connection that goes elsewhere cannot turn to the host
            assert await is_reset(sock, GET)
        assert plain.heads == [request]
        assert upstream.heads == []


@internet
async def test_where_the_guest_dialled_does_not_count(tmp_path: Path) -> None:
    """It says the host's name to a server of its own: what answers is the host."""
    upstream, thief = Upstream(), Upstream()
    async with api(tmp_path, upstream, {"headers": [RULE]}) as here, served(thief, BAD, 80), served(thief, BAD, 443):
        with await here.guest.connect(BAD, 80) as sock:
            await ask(sock, GET)
        assert (len(upstream.heads), thief.heads) == (1, [])


@internet
async def test_a_server_that_does_not_prove_its_name_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(far_end, "_HANDSHAKE_S", 3.0)
    thief = Upstream()
    async with api(tmp_path, thief, name="front.example.net") as here:
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET)
        reason = (await here.logged(Outcome.FAILED, kind="tcp")).reason
        assert reason.startswith(f"TLS with {HOST}: ")
        assert "no answer" not in reason
    async with world(POLICY) as here, served(thief, GOOD, 443, Authority().server(tmp_path, HOST)):
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET)
        await here.logged(Outcome.FAILED, kind="tcp")
    async with world(POLICY) as here, served(thief, GOOD, 443):  # no TLS at all
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET)
    assert thief.heads == []


@internet
async def test_a_host_whose_address_is_closed_is_not_dialled(tmp_path: Path) -> None:
    upstream, host = Upstream(), "rebind.example.org"
    policy = {"headers": [{"host": host, "set": {"X-Api-Key": "k"}}]}
    async with api(tmp_path, upstream, policy, host, "10.9.8.7") as here:
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET.replace(b"good", b"rebind"))
        assert "private" in (await here.logged(Outcome.REFUSED, kind="tcp")).reason
    assert upstream.heads == []


@internet
async def test_what_would_send_the_headers_back_is_refused(tmp_path: Path) -> None:
    upstream = Upstream()
    async with api(tmp_path, upstream) as here:
        for request in (
            GET.replace(b"GET", b"TRACE"),
            GET.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, GOOD, 80, request)
    assert upstream.heads == []


@internet
async def test_a_protocol_is_changed_at_the_beginning_only(tmp_path: Path) -> None:
    upstream = Upstream()
    upgrade = b"GET /ws HTTP/1.1\r\nHost: good.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    async with api(tmp_path, upstream) as here:
        with await here.guest.connect(GOOD, 80) as sock:
            assert b" 101 " in await ask(sock, upgrade, b"\r\n\r\n")
            assert await ask(sock, GET, GET) == GET  # it is no request any more: as it was
        assert b"Authorization: Bearer 5ec2e7\r\n" in upstream.heads[0]
        with await here.guest.connect(GOOD, 80) as sock:
            await ask(sock, GET)
            assert await is_reset(sock, upgrade)
        assert len(upstream.heads) == 2


@internet
async def test_another_policy_ends_connections_with_the_old_headers(tmp_path: Path) -> None:
    upstream = Upstream()
    async with api(tmp_path, upstream) as here:
        new = {**POLICY, "headers": [{"host": HOST, "set": {"Authorization": "another"}}]}
        with await here.guest.connect(GOOD, 80) as sock:
            await ask(sock, GET)
            here.outlet.change(parse_policy({**POLICY, "max_connections": 9}))
            await ask(sock, GET)
            here.outlet.change(parse_policy(new))
            with pytest.raises(ConnectionError):
                await read_all(sock)
        with await here.guest.connect(GOOD, 80) as sock:
            await ask(sock, GET)
        assert b"Authorization: another\r\n" in upstream.heads[-1]
