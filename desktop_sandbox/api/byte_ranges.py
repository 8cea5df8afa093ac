"""Which part of a file a Range header asks for (RFC 9110, section 14). Pure."""

from __future__ import annotations

import re

from desktop_sandbox.errors import InvalidRequestError

_ONE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.IGNORECASE)


class RangeError(InvalidRequestError):
    """The file has no such part."""

    slug = "range"
    status = 416


def part_of(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """(offset, length) of the part, or None for the whole file: without a header, or with one that may be ignored.

    RangeError where the file ends before the part begins.
    """
    found = None if header is None else _ONE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size_bytes)
        if not length:
            raise _none(size_bytes)
        return size_bytes - length, length
    first = int(found[1])
    last = min(int(found[2]) if found[2] else size_bytes - 1, size_bytes - 1)
    if found[2] and int(found[2]) < first:
        return None
    if first >= size_bytes:
        raise _none(size_bytes)
    return first, last - first + 1


def _none(size_bytes: int) -> RangeError:
    return RangeError(f"the file has {size_bytes} bytes; there is no such part", hint="ask for a part within it")
