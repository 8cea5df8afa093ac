"""A file of this computer while it is downloaded: written aside, and renamed when it is whole."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from desktop_sandbox.errors import ConfigurationError, GuestError
from desktop_sandbox.sdk.models import FileInfo

_CHUNK_BYTES = 256 << 10


class Download:
    """Writes `target` by way of a part file beside it, whose name tells of which content it is a part."""

    def __init__(self, target: Path, source: FileInfo, *, resume: bool) -> None:
        """Begin, or go on where an earlier one of the same content ended. ConfigurationError."""
        if target.is_dir():
            target = target / source.name
        self.target = target
        self._size = source.size_bytes
        stamp = f"{source.size_bytes:x}-{int(source.modified_at.timestamp() * 1000):x}"
        self._part = target.with_name(f".{target.name[:200]}.{stamp}.part")
        try:
            self._file: IO[bytes] = self._part.open("ab" if resume else "wb")
            self.offset = self._file.tell()
            if self.offset > self._size > 0:
                self._file.truncate(0)
                self.offset = 0
        except OSError as error:
            raise self._cannot(error) from error

    def write(self, data: bytes) -> int:
        """Add a piece; how many bytes there are now."""
        try:
            self._file.write(data)
        except OSError as error:
            raise self._cannot(error) from error
        self.offset += len(data)
        return self.offset

    def finish(self) -> Path:
        """Put it in place. GuestError if it is not as long as it should be; the part stays, to go on with."""
        self.close()
        if self._size and self.offset != self._size:
            raise GuestError(
                f"{self.offset} of {self._size} bytes came: the file changed, or the transfer was cut off",
                hint="download it again with resume",
            )
        try:
            os.replace(self._part, self.target)
        except OSError as error:
            raise self._cannot(error) from error
        return self.target

    def close(self) -> None:
        """Let go of the part file."""
        self._file.close()

    def _cannot(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(f"cannot write {self.target}: {error.strerror}", hint="choose another place")


def size_of(path: Path) -> int:
    """A file's length in bytes. ConfigurationError if it is no file, or not there."""
    try:
        if path.is_dir():
            raise ConfigurationError(f"{path} is a folder", hint="upload it with files.upload_folder")
        return path.stat().st_size
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint="name a file of this computer") from None


def read_file(path: Path, progress: Callable[[int], object] | None) -> Iterator[bytes]:
    """A file's content in chunks; `progress` is told how many bytes were taken. ConfigurationError."""
    try:
        with path.open("rb") as file:
            yield from counted(iter(lambda: file.read(_CHUNK_BYTES), b""), progress)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}", hint="name a file of this computer") from None


def counted(chunks: Iterator[bytes], progress: Callable[[int], object] | None) -> Iterator[bytes]:
    """The same chunks; `progress` is told how many bytes were taken."""
    done = 0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        if progress is not None:
            progress(done)
