"""Reads the beginning of a desktop's text file; never holds or transfers much more than is shown."""

from __future__ import annotations

import codecs
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from desktop_sandbox.errors import InvalidRequestError

if TYPE_CHECKING:
    from desktop_sandbox.sdk._async.files import AsyncFiles


async def read_beginning(files: AsyncFiles, path: str, most: int) -> str:
    """The first `most` characters of a file, and a line that says so if there are more.

    InvalidRequestError where what was read is not UTF-8.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    found, length = [], 0
    chunks = cast("AsyncGenerator[bytes]", await files.read(path, format="stream"))
    try:
        async with aclosing(chunks):
            async for chunk in chunks:
                found.append(decoder.decode(chunk))
                length += len(found[-1])
                if length > most:
                    break
            else:
                found.append(decoder.decode(b"", final=True))
    except UnicodeDecodeError as error:
        raise InvalidRequestError(
            f"{path} is not UTF-8 text: {error.reason}",
            hint="look at it with sandbox_run, for example with file or xxd",
        ) from error
    said = "".join(found)
    if length <= most:
        return said
    return f"{said[:most]}\n… only the first {most} characters; read other parts with sandbox_run (tail, sed -n) …"
