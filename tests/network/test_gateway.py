"""The way out of a sandbox, with real sockets in real namespaces and no machine: what passes, and what never does."""

from __future__ import annotations

import asyncio
import socket

import pytest

from desktop_sandbox.network import dns
from desktop_sandbox.network.policy import parse_policy
from desktop_sandbox.network.records import Outcome
from tests.network.worlds import (
    BAD,
    GET,
    GOOD,
    METADATA,
    OTHER,
    PRIVATE,
    SIX,
    exchange,
    internet,
    read_all,
    says,
    served,
    world,
)


@internet
async def test_a_public_address_is_reached_and_logged() -> None:
    async with world("internet") as here, served(says(b"hello"), GOOD, 80):
        assert await here.guest.addresses("good.example.org") == [GOOD]
        assert await exchange(here.guest, GOOD, 80, GET) == b"hello"
        entry = await here.logged(Outcome.ALLOWED, address=GOOD)
        assert (entry.name, entry.port, entry.sent_bytes, entry.received_bytes) == ("good.example.org", 80, len(GET), 5)
        assert here.outlet.counters.received_bytes == 5


@internet
async def test_any_port_of_any_address_comes_to_the_gateway() -> None:
    async with world("internet") as here:
        for port in (1, 22, 5353, 65535):
            async with served(says(b"%d" % port), OTHER, port):
                assert await exchange(here.guest, OTHER, port, b"\r\n\r\n") == b"%d" % port


@internet
@pytest.mark.parametrize("address", [PRIVATE, METADATA, "127.0.0.1", "198.18.0.1", "10.0.0.0", "192.168.1.1"])
async def test_what_is_not_public_is_never_reached(address: str) -> None:
    async with (
        world("internet") as here,
        served(says(b"secret"), address if address in (PRIVATE, METADATA) else PRIVATE, 80),
    ):
        with pytest.raises(ConnectionError):
            await exchange(here.guest, address, 80, GET)
        if not address.startswith("127."):  # the guest's own loopback
            assert (await here.logged(Outcome.REFUSED, address=address)).reason


@internet
async def test_this_hosts_own_public_address_is_closed_too() -> None:
    import ipaddress

    async with world("internet", own=frozenset({ipaddress.ip_address(GOOD)})) as here, served(says(b"x"), GOOD, 80):
        assert await here.guest.addresses("good.example.org") == []
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 80, GET)
        assert "of this host" in (await here.logged(Outcome.REFUSED, kind="tcp")).reason


@internet
async def test_a_private_address_named_alone_is_reached() -> None:
    async with world({"allow": [f"{PRIVATE}:80"]}) as here, served(says(b"db"), PRIVATE, 80):
        assert await exchange(here.guest, PRIVATE, 80, b"\r\n\r\n") == b"db"
        async with served(says(b"x"), PRIVATE, 81):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, PRIVATE, 81, b"\r\n\r\n")


@internet
async def test_names_that_lead_inside_lead_nowhere() -> None:
    async with world("internet") as here:
        for name in ("rebind.example.org", "metadata.example.org", "loop.example.org"):
            assert await here.guest.addresses(name) == []
            assert (await here.logged(Outcome.REFUSED, kind="dns", name=name)).address
        assert await here.guest.addresses("mixed.example.org") == [GOOD]


@internet
async def test_only_the_named_host_is_reached() -> None:
    async with (
        world({"allow": ["good.example.org:80"]}) as here,
        served(says(b"good"), GOOD, 80),
        served(says(b"bad"), BAD, 80),
    ):
        await here.guest.addresses("good.example.org")
        assert await exchange(here.guest, GOOD, 80, GET) == b"good"
        assert await here.guest.addresses("bad.example.net") == []
        await here.logged(Outcome.REFUSED, kind="dns", name="bad.example.net")
        for host in (b"bad.example.net", b"front.example.net", GOOD.encode(), b""):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, GOOD, 80, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        entry = await here.logged(Outcome.REFUSED, kind="tcp", name="front.example.net")
        assert entry.received_bytes == 0


@internet
async def test_a_lie_about_the_name_reaches_the_named_host_and_nobody_else() -> None:
    """The guest says good.example.org to another address: what answers is good.example.org."""
    async with (
        world({"allow": ["good.example.org"]}) as here,
        served(says(b"good"), GOOD, 80),
        served(says(b"bad"), BAD, 80),
    ):
        assert await exchange(here.guest, BAD, 80, GET) == b"good"


@internet
async def test_another_name_later_on_the_same_connection_is_refused() -> None:
    got: list[bytes] = []

    async def keep_alive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            got.append(data)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        writer.close()

    async with world({"allow": ["*.example.org"]}) as here, served(keep_alive, GOOD, 80):
        loop = asyncio.get_running_loop()
        for second in (b"www.example.org", b"front.example.net"):
            with await here.guest.connect(GOOD, 80) as sock:
                await loop.sock_sendall(sock, GET)
                assert (await loop.sock_recv(sock, 1000)).endswith(b"ok")
                await loop.sock_sendall(sock, GET)
                assert (await loop.sock_recv(sock, 1000)).endswith(b"ok")
                await loop.sock_sendall(sock, b"GET / HTTP/1.1\r\nHost: " + second + b"\r\n\r\n")
                with pytest.raises(ConnectionError):
                    await read_all(sock)
        assert not any(b"Host: www" in data or b"Host: front" in data for data in got)


@internet
async def test_a_denied_name_is_denied_by_whatever_way() -> None:
    async with (
        world({"deny": ["bad.example.net"]}) as here,
        served(says(b"good"), GOOD, 80),
        served(says(b"bad"), BAD, 80),
    ):
        assert await here.guest.addresses("bad.example.net") == []
        assert await exchange(here.guest, GOOD, 80, GET) == b"good"
        for host in (b"bad.example.net", b"BAD.example.NET.", BAD.encode()):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, BAD, 80, b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
        with pytest.raises(ConnectionError):
            await exchange(here.guest, BAD, 80, b"SSH-2.0-hello\r\n\r\n")


@internet
async def test_tls_is_judged_by_its_name_and_passed_on_unread() -> None:
    from tests.network.test_speech import client_hello, with_extension

    got: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(65536))
        writer.write(b"server hello")
        writer.close()

    async with world({"allow": ["good.example.org:443"]}) as here, served(listen, GOOD, 443):
        hello = client_hello("good.example.org")
        await here.guest.addresses("good.example.org")
        assert await exchange(here.guest, GOOD, 443, hello) == b"server hello"
        assert got == [hello]
        with_ech = with_extension(client_hello("cloudflare-ech.com"), 0xFE0D, b"x")
        for refused in (client_hello("bad.example.net"), client_hello(None), with_ech, b"\x16\x03\x01\0\0"):
            with pytest.raises(ConnectionError):
                await exchange(here.guest, GOOD, 443, refused)
        assert got == [hello]


@internet
async def test_encrypted_client_hello_passes_only_behind_a_name_that_was_asked_for() -> None:
    from tests.network.test_speech import client_hello, with_extension

    hello = with_extension(client_hello("good.example.org"), 0xFE0D, b"x")
    async with world({"allow": ["good.example.org"]}) as here, served(says(b"ok"), GOOD, 443):
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 443, hello + b"\r\n\r\n")
        assert "hides" in (await here.logged(Outcome.REFUSED, port=443)).reason
        await here.guest.addresses("good.example.org")
        assert await exchange(here.guest, GOOD, 443, hello + b"\r\n\r\n") == b"ok"


@internet
async def test_a_server_that_speaks_first_is_heard_and_a_hidden_name_behind_it_still_judged() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        writer.write(await reader.read(100))
        writer.close()

    async with world({"allow": ["good.example.org"]}) as here, served(greet, GOOD, 25):
        loop = asyncio.get_running_loop()
        await here.guest.addresses("good.example.org")
        for text, passes in ((b"EHLO me\r\n", True), (b"GET / HTTP/1.1\r\nHost: front.example.net\r\n\r\n", False)):
            with await here.guest.connect(GOOD, 25) as sock:
                assert await loop.sock_recv(sock, 100) == b"220 hello\r\n"
                await loop.sock_sendall(sock, text)
                if passes:
                    assert await read_all(sock) == text
                else:
                    with pytest.raises(ConnectionError):
                        await read_all(sock)
        with pytest.raises(ConnectionError):
            await exchange(here.guest, OTHER, 25, b"EHLO me\r\n")  # nobody asked for a name there


@internet
async def test_large_transfers_both_ways_arrive_whole_with_half_closed_ends() -> None:
    import hashlib

    async def echo_digest(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        digest = hashlib.sha256()
        while data := await reader.read(1 << 20):
            digest.update(data)
        writer.write(digest.digest())
        writer.write(bytes(3_000_000))
        writer.close()

    data = bytes(range(256)) * 20_000
    async with world("internet") as here, served(echo_digest, OTHER, 9000):
        loop = asyncio.get_running_loop()
        with await here.guest.connect(OTHER, 9000) as sock:
            await loop.sock_sendall(sock, data)
            sock.shutdown(socket.SHUT_WR)
            answer = await read_all(sock)
        assert answer == hashlib.sha256(data).digest() + bytes(3_000_000)
        entry = await here.logged(Outcome.ALLOWED, port=9000)
        assert (entry.sent_bytes, entry.received_bytes) == (len(data), 3_000_032)


@internet
async def test_names_are_answered_over_tcp_and_at_any_server() -> None:
    async with world("internet") as here:
        question = dns.write_question(9, "good.example.org", dns.A)
        loop = asyncio.get_running_loop()
        with await here.guest.connect("1.0.0.1", 53) as sock:
            await loop.sock_sendall(sock, len(question).to_bytes(2) + question)
            answer = await loop.sock_recv(sock, 1000)
        assert [
            str(one)
            for one, _ in dns.addresses_of(dns.read_response(answer[2:], 9, "good.example.org", 1), "good.example.org")
        ] == [GOOD]
        assert (await here.guest.ask("good.example.org", dns.TXT)).records
        for qtype in (dns.AAAA, 65, 64, 255, 12):
            response = await here.guest.ask("good.example.org", qtype)
            assert (response.rcode, list(response.records)) == (dns.NO_ERROR, [])
        assert (await here.guest.ask("nobody.example")).rcode == dns.NO_SUCH_NAME


@internet
async def test_other_udp_is_refused_at_once() -> None:
    async with world("internet") as here:
        loop = asyncio.get_running_loop()
        for _ in range(20):
            with here.guest.socket(socket.SOCK_DGRAM) as sock:
                await loop.sock_connect(sock, (GOOD, 443))
                await loop.sock_sendall(sock, b"quic")
                async with asyncio.timeout(5):
                    with pytest.raises(ConnectionRefusedError):
                        await loop.sock_recv(sock, 100)


@internet
async def test_spoofed_sources_fragments_and_ipv6_reach_nobody() -> None:
    """Frames made by hand on the guest's tap; after each the gateway has seen nothing, and goes on."""
    async with world("internet") as here, served(says(b"ok"), GOOD, 80):
        raw = here.guest.within(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
        with raw:
            for source in ("10.0.0.1", "198.18.0.1", "127.0.0.1", GOOD):
                header = b"\x45\0\0\x28\0\1\0\0\x40\x06\0\0" + socket.inet_aton(source) + socket.inet_aton(GOOD)
                raw.sendto(header + b"\x04\xd2\0\x50" + bytes(8) + b"\x50\x02\xff\xff" + bytes(4), (GOOD, 80))
        with here.guest.socket(family=socket.AF_INET6) as six, pytest.raises(OSError, match="unreachable"):
            await asyncio.get_running_loop().sock_connect(six, ("2606:4700::1", 80))
        assert await exchange(here.guest, GOOD, 80, GET) == b"ok"
        assert here.outlet.counters.connections == 1


@internet
async def test_the_policy_changes_while_it_runs_and_ends_what_it_no_longer_allows() -> None:
    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        await reader.read()
        writer.close()

    async with world("internet") as here, served(hold, GOOD, 7000):
        loop = asyncio.get_running_loop()
        with await here.guest.connect(GOOD, 7000) as sock:
            assert await loop.sock_recv(sock, 100) == b"welcome"
            here.outlet.change(parse_policy("none"))
            with pytest.raises(ConnectionError):
                await read_all(sock)
        assert (await here.logged(Outcome.FAILED, port=7000)).reason == "the policy was changed"
        with pytest.raises(ConnectionError):
            await exchange(here.guest, GOOD, 7000, b"\r\n\r\n")
        here.outlet.change(parse_policy("internet"))
        with await here.guest.connect(GOOD, 7000) as sock:
            assert await loop.sock_recv(sock, 100) == b"welcome"


@internet
@pytest.mark.parametrize("network", ["internet", {"allow": ["six.example.org"]}])
async def test_a_host_with_ipv6_alone_is_reached_by_its_name(network: object) -> None:
    text = b"GET / HTTP/1.1\r\nHost: six.example.org\r\n\r\n"
    async with world(network) as here, served(says(b"six"), SIX, 80):
        (stands,) = await here.guest.addresses("six.example.org")
        assert stands.startswith("198.19.")
        assert await exchange(here.guest, stands, 80, text) == b"six"
        assert (await here.logged(Outcome.ALLOWED, name="six.example.org")).address == SIX
        with pytest.raises(ConnectionError):
            await exchange(here.guest, "198.19.9.9", 80, text)  # stands for nothing
        for name in ("local-six.example.org", "carried.example.org"):
            assert await here.guest.addresses(name) == []
