"""ClientHellos, HTTP requests and DNS messages: read in any pieces, and refused where that is not clear."""

from __future__ import annotations

import contextlib
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desktop_sandbox.network import dns
from desktop_sandbox.network.hello import HelloError, read_hello
from desktop_sandbox.network.http1 import Head, HttpError, Requests
from desktop_sandbox.network.opening import GuestSpeech, Named, Speech, classify


def client_hello(name: str | None) -> bytes:
    """A real one, as OpenSSL writes it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname = False
    connection = context.wrap_bio(incoming, outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return outgoing.read()


def with_extension(hello: bytes, kind: int, content: bytes = b"") -> bytes:
    """The same with one more extension at the end."""
    extra = kind.to_bytes(2) + len(content).to_bytes(2) + content
    body = bytearray(hello[9:])
    at = 34
    at += 1 + body[at]
    at += 2 + int.from_bytes(body[at : at + 2])
    at += 1 + body[at]
    body[at : at + 2] = (int.from_bytes(body[at : at + 2]) + len(extra)).to_bytes(2)
    body += extra
    return record(b"\x01" + len(body).to_bytes(3) + bytes(body))


def record(handshake: bytes) -> bytes:
    return b"\x16\x03\x01" + len(handshake).to_bytes(2) + handshake


def test_the_name_of_a_real_hello() -> None:
    found = read_hello(client_hello("www.example.org"))
    assert found is not None
    assert (found.name, found.ech) == ("www.example.org", False)
    assert read_hello(client_hello(None)).name is None  # type: ignore[union-attr]


def test_encrypted_client_hello_is_seen() -> None:
    found = read_hello(with_extension(client_hello("front.example"), 0xFE0D, b"\0" * 20))
    assert found is not None
    assert (found.name, found.ech) == ("front.example", True)


def test_a_hello_in_many_records_and_pieces() -> None:
    handshake = client_hello("www.example.org")[5:]
    pieces = b"".join(record(handshake[at : at + 7]) for at in range(0, len(handshake), 7))
    for end in range(len(pieces)):
        assert read_hello(pieces[:end]) is None or pieces[:end].count(b"\x16\x03\x01") == -(-len(handshake) // 7)
    assert read_hello(pieces).name == "www.example.org"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda hello: hello[:5] + b"\x02" + hello[6:],
        lambda hello: with_extension(hello, 0, b"\0\x06\0\0\x03abc"),
        lambda hello: record(b"\x01\x00\x00\x04abcd"),
        lambda hello: b"\x16\x03\x01\x00\x00",
        lambda hello: record(b"\x01\x00\xff\xff" + b"x" * 10),
        lambda hello: hello.replace(b"www.example.org", b"www.ex\xffmple.org"),
    ],
)
def test_a_hello_that_could_be_read_in_two_ways_is_refused(spoil: object) -> None:
    with pytest.raises(HelloError):
        read_hello(spoil(client_hello("www.example.org")))  # type: ignore[operator]


@given(st.binary(max_size=200))
def test_any_bytes_after_a_records_head_are_read_or_refused(data: bytes) -> None:
    for start in (b"", b"\x16\x03\x01", record(b"\x01\x00\x00\x80")[:-1]):
        with contextlib.suppress(HelloError):
            found = read_hello(start + data)
            assert found is None or found.name is None or found.name.isascii()


# --- HTTP


def heads(data: bytes) -> list[Head]:
    return [item for item in Requests().feed(data) if isinstance(item, Head)]


def test_each_request_shows_its_host_and_no_byte_is_lost() -> None:
    data = (
        b"POST /a HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello"
        b"PUT /b HTTP/1.1\r\nhost:B.example:8080\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"
        b"GET http://c.example/x HTTP/1.1\r\nHost: c.example\r\n\r\nGET / HTTP/1.0\r\n\r\n"
    )
    for size in (1, 2, 7, 1000):
        requests = Requests()
        out = [item for at in range(0, len(data), size) for item in requests.feed(data[at : at + size])]
        assert [item.host for item in out if isinstance(item, Head)] == ["a.example", "B.example", "c.example", None]
        assert b"".join(item.raw if isinstance(item, Head) else item for item in out) == data


@pytest.mark.parametrize(
    "text",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \r y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET /\r\n\r\n",
        b"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcX\r\n0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: " + b"a" * 40000,
    ],
)
def test_what_servers_read_differently_is_refused(text: bytes) -> None:
    with pytest.raises(HttpError):
        Requests().feed(text)


def test_after_an_upgrade_nothing_passes_before_the_server_agreed() -> None:
    requests = Requests()
    asked = b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    hidden = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"
    assert [type(item) for item in requests.feed(asked + hidden)] == [Head]
    requests.not_switched()
    assert [item.host for item in requests.feed(b"") if isinstance(item, Head)] == ["b"]
    requests = Requests()
    requests.feed(asked + hidden)
    requests.switched()
    assert requests.feed(b"") == [hidden]


# --- what is spoken


@pytest.mark.parametrize(
    ("data", "speech"),
    [
        (b"", None),
        (b"\x16", None),
        (b"\x16\x03\x01", Speech.TLS),
        (b"\x16\x09\x01", Speech.OTHER),
        (b"GET / HT", Speech.HTTP),
        (b"get / ht", Speech.HTTP),
        (b"\r\nGET / ", Speech.HTTP),
        (b"FROB / HTTP/1.1\r\n", Speech.HTTP),
        (b"FROB", None),
        (b"EHLO me\r\n", Speech.OTHER),
        (b"SSH-2.0-x\r\n", Speech.OTHER),
        (b"\x00\x01", Speech.OTHER),
        (b"PRI * HTTP/2.0\r\n", Speech.HTTP),
    ],
)
def test_what_begins_like_this(data: bytes, speech: Speech | None) -> None:
    assert classify(data) is speech


@given(st.binary(max_size=300), st.integers(1, 50))
def test_whatever_is_sent_a_name_comes_before_the_first_byte_passed_on(data: bytes, size: int) -> None:
    for start in (b"", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"):
        text = start + data
        guest = GuestSpeech()
        out = [item for at in range(0, len(text), size) for item in guest.feed(text[at : at + size])]
        if any(isinstance(item, bytes) and item for item in out):
            assert isinstance(out[0], Named)
        passed = b"".join(item for item in out if isinstance(item, bytes))
        assert text.startswith(passed)


# --- DNS


def test_questions_and_answers() -> None:
    question = dns.read_question(dns.write_question(77, "www.example.org", dns.A))
    assert (question.ident, question.name, question.qtype, question.room) == (77, "www.example.org", dns.A, 1232)
    records = [
        dns.Record("www.example.org", dns.CNAME, 60, dns.write_name("cdn.example.net")),
        dns.Record("cdn.example.net", dns.A, 30, socket.inet_aton("93.184.216.34")),
        dns.Record("other.example", dns.A, 30, socket.inet_aton("10.0.0.1")),
    ]
    response = dns.read_response(dns.write_answer(question, 0, records), 77, "WWW.example.org", dns.A)
    assert [(str(address), ttl) for address, ttl in dns.addresses_of(response, "www.example.org")] == [
        ("93.184.216.34", 30)
    ]


def test_an_answer_to_something_else_is_none() -> None:
    answer = dns.write_answer(dns.read_question(dns.write_question(77, "a.example", dns.A)), 0)
    for ident, name, qtype in ((78, "a.example", dns.A), (77, "b.example", dns.A), (77, "a.example", dns.TXT)):
        with pytest.raises(dns.DnsError):
            dns.read_response(answer, ident, name, qtype)


def test_https_records_are_not_passed_on() -> None:
    question = dns.read_question(dns.write_question(1, "a.example", dns.A))
    answer = dns.write_answer(
        question, 0, [dns.Record("a.example", 65, 60, b"\0\1\0"), dns.Record("a.example", dns.A, 1, b"\1\1\1\1")]
    )
    assert [record.rtype for record in dns.read_response(answer, 1, "a.example", dns.A).records] == [dns.A]


def test_what_does_not_fit_is_left_out_and_marked() -> None:
    question = dns.read_question(dns.write_question(1, "a.example", dns.A))
    records = [dns.Record("a.example", dns.A, 1, bytes([1, 1, 1, number])) for number in range(100)]
    answer = dns.write_answer(question, 0, records, room=512)
    assert len(answer) <= 512
    assert dns.read_response(answer, 1, "a.example", dns.A).truncated


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(11),
        dns.write_question(1, "a.example", dns.A)[:20],
        b"\0\1\x01\0\0\2\0\0\0\0\0\0" + bytes(10),
        b"\0\1\x81\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\1",
        b"\0\1\x01\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1",
        b"\0\1\x01\0\0\1\0\0\0\0\0\0\3a.b\0\0\1\0\1",
        b"\0\1\x01\0\0\1\0\0\0\0\0\0\1a\0\0\1\0\3",
    ],
)
def test_a_message_that_is_no_question_is_refused(data: bytes) -> None:
    with pytest.raises(dns.DnsError):
        dns.read_question(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_dns_message_or_refused(data: bytes) -> None:
    for read in (dns.read_question, lambda data: dns.read_response(data, 1, "a.example", dns.A)):
        with contextlib.suppress(dns.DnsError):
            assert read(b"\0\1\x81\x80\0\1\0\5\0\0\0\0" + data)
