"""DNS messages (RFC 1035): a guest's question read strictly, answers of upstream servers read, answers written. Pure.

What is not known by type is not passed on: HTTPS and SVCB records above all, which would carry the keys of Encrypted
Client Hello (RFC 9460). AAAA is answered with nothing: guests have IPv4 only, and reach IPv6 hosts through the gateway.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

A, NS, CNAME, MX, TXT, AAAA, SRV, OPT, CAA = 1, 2, 5, 15, 16, 28, 33, 41, 257
FORWARDED = frozenset({A, NS, CNAME, MX, TXT, SRV, CAA})
"""Types that are asked of a server outside; all others are answered with nothing."""
NO_ERROR, FORMAT_ERROR, SERVER_FAILURE, NO_SUCH_NAME = range(4)
MAX_UDP = 512
MAX_MESSAGE = 4096
_MAX_RECORDS = 256
_MAX_JUMPS = 64
_IN = 1
# how many bytes of fixed fields stand before the one name in a record's data
_NAME_AT = {NS: 0, CNAME: 0, MX: 2, SRV: 6}


class DnsError(ValueError):
    """A message that is none, or not one that is understood here."""


@dataclass(frozen=True)
class Question:
    """What a guest asks. `name` as it was written, without the last dot."""

    ident: int
    name: str
    qtype: int
    recursion: bool
    room: int
    """How many bytes an answer by UDP may have."""


@dataclass(frozen=True)
class Record:
    """A record of an answer; `data` with whole names in it, as it may be sent."""

    name: str
    rtype: int
    ttl: int
    data: bytes


@dataclass(frozen=True)
class Response:
    """An upstream server's answer."""

    rcode: int
    truncated: bool
    records: Sequence[Record]


def read_question(data: bytes) -> Question:
    """A query with one question of class IN. Raises DnsError for anything else."""
    if not 12 <= len(data) <= MAX_MESSAGE:
        raise DnsError("its length")
    ident, flags, questions, _, _, extra = struct.unpack_from(">6H", data)
    if flags & 0xF800 or questions != 1:
        raise DnsError("no plain query")
    name, at = _read_name(data, 12, jumps=0)
    if at + 4 > len(data):
        raise DnsError("it ends early")
    qtype, qclass = struct.unpack_from(">2H", data, at)
    if qclass != _IN:
        raise DnsError("its class")
    room = MAX_UDP
    at += 4
    if extra == 1 and len(data) >= at + 11 and data[at] == 0:
        rtype, size = struct.unpack_from(">2H", data, at + 1)
        if rtype == OPT:
            room = max(MAX_UDP, min(size, 1232))
    return Question(ident, name, qtype, bool(flags & 0x0100), room)


def write_question(ident: int, name: str, qtype: int) -> bytes:
    """A query as it goes to a server outside, with room for 1232 bytes of answer (RFC 6891)."""
    header = struct.pack(">6H", ident, 0x0100, 1, 0, 0, 1)
    option = b"\0" + struct.pack(">2HIH", OPT, 1232, 0, 0)
    return header + write_name(name) + struct.pack(">2H", qtype, _IN) + option


def read_response(data: bytes, ident: int, name: str, qtype: int) -> Response:
    """The answer to `write_question(ident, name, qtype)`; records of types that are not passed on are left out.

    Raises DnsError for anything that does not answer just that question.
    """
    if len(data) < 12:
        raise DnsError("its length")
    got, flags, questions, answers, _, _ = struct.unpack_from(">6H", data)
    if got != ident or not flags & 0x8000 or questions != 1 or answers > _MAX_RECORDS:
        raise DnsError("no answer to this question")
    asked, at = _read_name(data, 12)
    if at + 4 > len(data) or asked.lower() != name.lower() or struct.unpack_from(">2H", data, at) != (qtype, _IN):
        raise DnsError("an answer to another question")
    at += 4
    records = []
    for _ in range(answers):
        owner, at = _read_name(data, at)
        if at + 10 > len(data):
            raise DnsError("it ends early")
        rtype, rclass, ttl, length = struct.unpack_from(">2HIH", data, at)
        at += 10
        if at + length > len(data):
            raise DnsError("it ends early")
        if rclass == _IN and (rtype in FORWARDED or rtype == AAAA):
            records.append(Record(owner, rtype, min(ttl, 86400), _read_data(data, at, length, rtype)))
        at += length
    return Response(flags & 15, bool(flags & 0x0200), records)


def addresses_of(response: Response, name: str) -> list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    """The addresses (and their lifetimes in seconds) that an answer gives for a name, along its aliases."""
    aliases = {record.name.lower(): record for record in response.records if record.rtype == CNAME}
    wanted, lifetime = name.lower(), 86400
    for _ in range(16):
        alias = aliases.get(wanted)
        if alias is None:
            break
        wanted, lifetime = _read_name(alias.data, 0)[0].lower(), min(lifetime, alias.ttl)
    found: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]] = []
    for record in response.records:
        if record.name.lower() != wanted:
            continue
        if record.rtype == A and len(record.data) == 4:
            found.append((ipaddress.IPv4Address(record.data), min(lifetime, record.ttl)))
        elif record.rtype == AAAA and len(record.data) == 16:
            found.append((ipaddress.IPv6Address(record.data), min(lifetime, record.ttl)))
    return found


def write_answer(question: Question, rcode: int, records: Sequence[Record] = (), *, room: int | None = None) -> bytes:
    """An answer to a guest; what does not fit into `room` bytes is left out, and the answer marked as cut short."""
    asked = write_name(question.name) + struct.pack(">2H", question.qtype, _IN)
    body, count, truncated = b"", 0, False
    for record in records:
        owner = b"\xc0\x0c" if record.name.lower() == question.name.lower() else write_name(record.name)
        piece = owner + struct.pack(">2HIH", record.rtype, _IN, record.ttl, len(record.data)) + record.data
        if room is not None and 12 + len(asked) + len(body) + len(piece) > room:
            truncated = True
            break
        body += piece
        count += 1
    flags = 0x8080 | (0x0100 if question.recursion else 0) | (0x0200 if truncated else 0) | rcode
    return struct.pack(">6H", question.ident, flags, 1, count, 0, 0) + asked + body


def write_failure(data: bytes, rcode: int) -> bytes | None:
    """An answer to a message that could not be read, without its question; None where it has not even a number."""
    if len(data) < 12 or data[2] & 0x80:
        return None
    return data[:2] + struct.pack(">5H", 0x8080 | rcode, 0, 0, 0, 0)


def write_name(name: str) -> bytes:
    """A name on the wire, uncompressed. Raises DnsError if it is too long."""
    out = b""
    for label in name.split(".") if name else ():
        raw = label.encode("latin-1", "replace")
        if not 1 <= len(raw) <= 63:
            raise DnsError("a label's length")
        out += bytes([len(raw)]) + raw
    if len(out) > 254:
        raise DnsError("a name's length")
    return out + b"\0"


def _read_name(data: bytes, at: int, *, jumps: int = _MAX_JUMPS) -> tuple[str, int]:
    """A name, and where what follows it begins. Bounded: a name of loops is refused."""
    labels: list[str] = []
    after = None
    size = 0
    while True:
        if at >= len(data):
            raise DnsError("a name ends early")
        length = data[at]
        if length == 0:
            return ".".join(labels), at + 1 if after is None else after
        if length & 0xC0 == 0xC0:
            if jumps <= 0 or at + 2 > len(data):
                raise DnsError("a name leads nowhere")
            jumps -= 1
            after = at + 2 if after is None else after
            at = struct.unpack_from(">H", data, at)[0] & 0x3FFF
            continue
        size += length + 1
        if length & 0xC0 or size > 254 or at + 1 + length > len(data):
            raise DnsError("a name's length")
        label = data[at + 1 : at + 1 + length].decode("latin-1")
        if "." in label:
            raise DnsError("a dot in a label")
        labels.append(label)
        at += 1 + length


def _read_data(data: bytes, at: int, length: int, rtype: int) -> bytes:
    offset = _NAME_AT.get(rtype)
    if offset is None:
        return data[at : at + length]
    if length < offset:
        raise DnsError("a record's length")
    name, end = _read_name(data, at + offset)
    if end > at + length:
        raise DnsError("a record's length")
    return data[at : at + offset] + write_name(name)
