"""Upstream proxies: how they are written, the bytes of both protocols, and connections through real ones."""

from __future__ import annotations

import asyncio
import ipaddress
import json
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.errors import InvalidRequestError
from desktop_sandbox.network import proxy as speech
from desktop_sandbox.network.policy import masked_json, parse_policy, policy_json, policy_record
from desktop_sandbox.network.proxy import parse_proxy
from desktop_sandbox.network.records import Outcome
from tests.network.authorities import Authority
from tests.network.proxies import FakeProxy
from tests.network.worlds import BAD, GOOD, OTHER, PRIVATE, exchange, internet, read_all, says, served, world

GET = b"GET / HTTP/1.1\r\nHost: good.example.org\r\n\r\n"

# --- how they are written


@pytest.mark.parametrize(
    ("text", "plain", "user", "password"),
    [
        ("http://10.1.2.3:3128", "http://10.1.2.3:3128", None, ""),
        ("http://User:p%40s%3As@Proxy.example.org:3128/", "http://proxy.example.org:3128", "User", "p@s:s"),
        ("socks5://u@[fd12::1]:1080", "socks5://[fd12::1]:1080", "u", ""),
        ("SOCKS5://127.0.0.1:1", "socks5://127.0.0.1:1", None, ""),
    ],
)
def test_a_proxy_is_read_kept_and_shown_without_its_secrets(
    text: str, plain: str, user: str | None, password: str
) -> None:
    proxy = parse_proxy(text)
    assert (str(proxy), proxy.user, proxy.password) == (plain, user, password)
    assert parse_proxy(proxy.text(masked=False)) == proxy
    policy = parse_policy({"proxy": text})
    record = json.loads(json.dumps(policy_record(policy)))
    assert parse_policy(record) == policy
    shown = policy_json(policy)
    assert shown == masked_json(record) == {"allow": None, "deny": [], "proxy": proxy.text(masked=True)}
    if user is not None:
        assert proxy.text(masked=True).partition("://")[2].startswith("***@")
        if password:
            assert "s%3As" not in f"{policy!r} {proxy!r} {proxy} {shown}"
            assert "p@s:s" not in f"{policy!r} {proxy!r} {proxy} {shown}"


@pytest.mark.parametrize(
    "text",
    [
        "", 7, "10.1.2.3:3128", "https://u:secret@p.example:1", "socks4://u:secret@p.example:1",
        "socks5h://u:secret@p.example:1", "http://u:secret@p.example", "http://u:secret@p.example:0",
        "http://u:secret@p.example:70000", "http://u:secret@:3128", "http://u:secret@p.example:1/path",
        "http://u:secret@p.example:1?q", "http://u:secret@p.example:1#f", "http://u:secret@p.example:1\r\nX: y",
        "http://u:secret%0d%0a@p.example:1", "http://:secret@p.example:1", "http://a%3Ab:secret@p.example:1",
        "http://***@p.example:1", "http://***:secret@p.example:1", "http://u:secret@224.0.0.1:1",
        "http://u:secret@*.example:1", f"http://u:secret{'x' * 300}@p.example:1", "http://u:secret@[::1:1",
    ],
)  # fmt: skip
def test_what_is_no_proxy_is_refused_without_its_secrets(text: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy({"proxy": text})
    assert caught.value.hint
    assert "secret" not in str(caught.value)


def test_a_proxy_in_the_place_of_a_network_is_not_repeated() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_policy("http://u:secret@p.example:1")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("head", "refusal"),
    [
        (b"HTTP/1.1 200 Connection established\r\n\r\n", None), (b"HTTP/1.0 200\r\n\r\n", None),
        (b"HTTP/1.1 407 Who are you\r\n\r\n", "it wants another user or password"),
        (b"HTTP/1.1 503 No\r\n\r\n", "it answered 503"), (b"SSH-2.0-x\r\n\r\n", "it does not speak HTTP"),
    ],
)  # fmt: skip
def test_answers_of_an_http_proxy(head: bytes, refusal: str | None) -> None:
    assert speech.connect_refusal(head) == refusal


def test_places_are_given_as_addresses() -> None:
    four, six = ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address("2606:4700::1234")
    proxy = parse_proxy("http://u:p@10.0.0.1:1")
    assert speech.connect_request(proxy, six, 443).startswith(b"CONNECT [2606:4700::1234]:443 HTTP/1.1\r\n")
    assert b"\r\nProxy-Authorization: Basic dTpw\r\n" in speech.connect_request(proxy, four, 80)
    assert speech.socks_request(four, 443) == b"\x05\x01\x00\x01\x5d\xb8\xd8\x22\x01\xbb"
    assert speech.socks_request(six, 1) == b"\x05\x01\x00\x04" + six.packed + b"\x00\x01"


# --- for real


@internet
@pytest.mark.parametrize("scheme", ["http", "socks5"])
@pytest.mark.parametrize("user", ["", "agent:s%40cr3t@"])
async def test_connections_go_through_the_proxy_after_they_were_judged(scheme: str, user: str) -> None:
    proxy = FakeProxy(*((b"agent", b"s@cr3t") if user else ()))
    policy = {"allow": ["good.example.org:80", f"{OTHER}:25"], "proxy": f"{scheme}://{user}{PRIVATE}:3128"}
    handler = proxy.http if scheme == "http" else proxy.socks
    async with world(policy) as here, served(handler, PRIVATE, 3128), served(says(b"hello"), GOOD, 80):
        assert await here.guest.addresses("good.example.org") == [GOOD]
        assert await exchange(here.guest, GOOD, 80, GET) == b"hello"
        entry = await here.logged(Outcome.ALLOWED, kind="tcp", address=GOOD)
        assert (entry.name, entry.sent_bytes, entry.received_bytes) == ("good.example.org", len(GET), 5)

        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"220 hello\r\n")
            writer.close()

        async with served(greet, OTHER, 25):
            with await here.guest.connect(OTHER, 25) as sock:
                assert await read_all(sock) == b"220 hello\r\n"  # the server spoke first: nothing of it was lost
        for address, port in ((BAD, 80), (PRIVATE, 3128), ("127.0.0.1", 80)):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, address, port, b"GET / HTTP/1.1\r\nHost: bad.example.net\r\n\r\n")
        assert proxy.asked == [(GOOD, 80), (OTHER, 25)]
        assert not any("cr3t" in entry.reason for entry in here.entries())


@internet
@pytest.mark.parametrize("scheme", ["http", "socks5"])
async def test_a_proxy_that_wants_another_password_says_so_in_the_log(scheme: str) -> None:
    proxy = FakeProxy(b"agent", b"right")
    handler = proxy.http if scheme == "http" else proxy.socks
    async with (
        world({"proxy": f"{scheme}://agent:wr0ng@{PRIVATE}:3128"}) as here,
        served(handler, PRIVATE, 3128),
        served(says(b"hello"), GOOD, 80),
    ):
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET)
        entry = await here.logged(Outcome.FAILED, kind="tcp")
        assert entry.reason == f"the proxy {scheme}://{PRIVATE}:3128: it wants another user or password"
        assert proxy.asked == []


@internet
async def test_a_proxy_that_is_not_there_or_is_none_says_so_in_the_log_and_nothing_goes_past_it() -> None:
    seen: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        writer.close()

    proxy = FakeProxy()
    proxy.code = 2
    async with served(note, GOOD, 80), served(says(b"SSH-2.0-x\r\n\r\n"), OTHER, 22), served(proxy.socks, OTHER, 23):
        for url, why in (
            (f"http://u:pa55@{PRIVATE}:3128", "http://10.9.8.7:3128: "),
            ("socks5://u:pa55@loop.example.org:3128", "its name has no address that may be dialled"),
            ("socks5://u:pa55@nobody.example.org:3128", "its name has no address that may be dialled"),
            (f"http://u:pa55@{OTHER}:22", "it does not speak HTTP"),
            (f"socks5://{OTHER}:23", "it does not allow that"),
        ):
            async with world({"proxy": url}) as here:
                with pytest.raises(ConnectionError):
                    await exchange(here.guest, GOOD, 80, GET)
                reason = (await here.logged(Outcome.FAILED, kind="tcp")).reason
                assert reason.startswith("the proxy ")
                assert why in reason
                assert "pa55" not in reason
    assert seen == []


@internet
async def test_a_proxy_may_have_a_name_with_a_private_address() -> None:
    proxy = FakeProxy()
    async with (
        world({"proxy": "http://rebind.example.org:3128"}) as here,
        served(proxy.http, PRIVATE, 3128),
        served(says(b"hello"), GOOD, 80),
    ):
        assert await exchange(here.guest, GOOD, 80, GET) == b"hello"
        assert proxy.asked == [(GOOD, 80)]


@internet
async def test_headers_are_set_through_a_proxy_which_does_not_see_them(tmp_path: Path) -> None:
    proxy, authority, heads = FakeProxy(), Authority(), []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()

    policy = {
        "allow": ["good.example.org:443"],
        "headers": [{"host": "good.example.org", "set": {"X-Key": "k3y"}}],
        "proxy": f"socks5://{PRIVATE}:1080",
    }
    tls = authority.server(tmp_path, "good.example.org")
    async with (
        world(policy, trust=authority.trust) as here,
        served(proxy.socks, PRIVATE, 1080),
        served(answer, GOOD, 443, tls),
    ):
        assert b" 204 " in await exchange(here.guest, GOOD, 80, GET)
        assert b"X-Key: k3y\r\n" in heads[0]
        assert proxy.asked == [(GOOD, 443)]


@internet
async def test_another_proxy_ends_what_went_without_it() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await reader.read()
        writer.close()

    async with world("internet") as here, served(hold, GOOD, 7000):
        with await here.guest.connect(GOOD, 7000) as sock:
            assert await asyncio.get_running_loop().sock_recv(sock, 100) == b"welcome"
            here.outlet.change(parse_policy({"proxy": f"socks5://{PRIVATE}:1080"}))
            with pytest.raises(ConnectionError):
                await read_all(sock)
        assert (await here.logged(Outcome.FAILED, port=7000)).reason == "the policy was changed"
