"""Folders of this computer as tar archives, out and in.

What is unpacked comes out of a sandbox, and is hostile: `unpack` writes below its folder only. Names that lead out of
it are an error; links are made last, when nothing is written any more, and only those that stay inside; what is no
file, folder or link is left out. Neither memory nor disk can be filled beyond the bounds.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError, GuestError

MAX_BYTES = 64 << 30
MAX_ENTRIES = 1_000_000
_CHUNK_BYTES = 256 << 10
_HEADER_BYTES = 4 << 20
_BLOCK = tarfile.BLOCKSIZE
_FLAGS = getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)

Progress = Callable[[int], object]
"""Called with the bytes that were moved so far."""


@dataclass
class Unpacked:
    """What came out of an archive; `skipped`: what was left out (devices, links that lead out), at most 1000 names."""

    files: int = 0
    folders: int = 0
    links: int = 0
    size_bytes: int = 0
    skipped: list[str] = field(default_factory=list)

    def skip(self, name: str) -> None:
        """Leave one out."""
        if len(self.skipped) < 1000:
            self.skipped.append(name)


def place_of(name: str) -> tuple[str, ...]:
    """The parts of a member's path below the folder. GuestError for one that leads out of it."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    if name.startswith("/") or ".." in parts or "\0" in name or (os.name == "nt" and set(name) & {"\\", ":"}):
        raise GuestError(
            f"the archive has a member {name!r:.200}, which leads out of its folder",
            hint="the desktop may be hostile; what was unpacked before it is there",
        )
    return parts


def stays_inside(depth: int, target: str) -> bool:
    """Whether a link that lies `depth` folders below the top can lead nowhere else than below it.

    Ups at its beginning are those of true folders; one that follows a name could be the up of another link.
    """
    if not target or target.startswith("/") or "\0" in target:
        return False
    parts = [part for part in target.split("/") if part not in ("", ".")]
    ups = 0
    while ups < len(parts) and parts[ups] == "..":
        ups += 1
    return ups <= depth and ".." not in parts[ups:]


def unpack(
    pull: Callable[[], bytes], folder: Path, *, max_bytes: int = MAX_BYTES, progress: Progress | None = None
) -> Unpacked:
    """Unpack the tar archive that `pull` gives piece by piece (b"" at its end) into a folder, made if need be.

    Raises GuestError for an archive that is broken, hostile or too large, ConfigurationError where this computer does
    not let it be written. What was unpacked before stays.
    """
    if os.open not in os.supports_dir_fd:
        raise ConfigurationError("this system cannot unpack safely", hint="take the archive: files.read_archive")
    source = _Source(pull)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        top = os.open(folder, _FOLDER)
        try:
            return _Unpacking(top, max_bytes, progress).run(source)
        finally:
            os.close(top)
    except tarfile.TarError as error:
        raise GuestError(f"the archive is broken: {error}", hint="was the transfer cut off?") from None
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else "a member"
        raise ConfigurationError(
            f"cannot unpack {name} into {folder}: {error.strerror or error}", hint="choose another folder"
        ) from error


class _Source(io.RawIOBase):
    """A stream of which no more may be taken than its user expects: headers have no length that one could trust."""

    def __init__(self, pull: Callable[[], bytes]) -> None:
        self._pull = pull
        self._rest = b""
        self.budget_bytes = _HEADER_BYTES

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes."""
        if not self._rest:
            self._rest = self._pull()
            self.budget_bytes -= len(self._rest)
            if self.budget_bytes < 0:
                raise GuestError("the archive's headers are too long", hint="the desktop may be hostile")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken


class _Unpacking:
    def __init__(self, top: int, max_bytes: int, progress: Progress | None) -> None:
        self._top = top
        self._max_bytes = max_bytes
        self._progress = progress
        self._written: set[tuple[str, ...]] = set()
        self._links: list[tuple[tuple[str, ...], str]] = []
        self._modes: list[tuple[tuple[str, ...], int]] = []
        self.done = Unpacked()

    def run(self, source: _Source) -> Unpacked:
        entries = 0
        with tarfile.open(fileobj=source, mode="r|") as tar:
            while (member := tar.next()) is not None:
                entries += 1
                if entries > MAX_ENTRIES:
                    raise GuestError(f"the archive has more than {MAX_ENTRIES} members", hint="take a smaller folder")
                source.budget_bytes = _HEADER_BYTES + (max(0, member.size) if member.isreg() else 0)
                self._take(tar, member)
                tar.members = []  # type: ignore[attr-defined]  # it would keep all of them
                source.budget_bytes = _HEADER_BYTES
        for parts, target in self._links:
            self._link(parts, target)
        for parts, mode in reversed(self._modes):
            with self._folder(parts) as fd:
                os.fchmod(fd, mode | stat.S_IRWXU)
        return self.done

    def _take(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = place_of(member.name)
        if member.isdir():
            with self._folder(parts):
                self._modes.append((parts, member.mode & 0o777))
            self.done.folders += bool(parts)
        elif not parts:
            self.done.skip(member.name)
        elif member.isreg() and not member.issparse():
            self._file(tar, member, parts)
        elif member.islnk():
            self._hard_link(parts, member)
        elif member.issym() and stays_inside(len(parts) - 1, member.linkname):
            self._links.append((parts, member.linkname))
        else:
            self.done.skip(member.name)

    def _file(self, tar: tarfile.TarFile, member: tarfile.TarInfo, parts: tuple[str, ...]) -> None:
        content = tar.extractfile(member)
        assert content is not None
        with self._folder(parts[:-1]) as parent:
            _clear(parts[-1], parent)
            fd = os.open(parts[-1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600, dir_fd=parent)
            with os.fdopen(fd, "wb") as file:
                while data := content.read(_CHUNK_BYTES):
                    self.done.size_bytes += len(data)
                    if self.done.size_bytes > self._max_bytes:
                        raise GuestError(
                            f"the archive holds more than {self._max_bytes} bytes", hint="allow more with max_bytes"
                        )
                    file.write(data)
                    if self._progress is not None:
                        self._progress(self.done.size_bytes)
                os.fchmod(fd, member.mode & 0o777 | stat.S_IRUSR | stat.S_IWUSR)
                file.flush()
                with contextlib.suppress(OverflowError, ValueError, OSError):
                    os.utime(fd, (member.mtime, member.mtime))
        self._written.add(parts)
        self.done.files += 1

    def _hard_link(self, parts: tuple[str, ...], member: tarfile.TarInfo) -> None:
        source = place_of(member.linkname)
        if source not in self._written or source == parts:
            self.done.skip(member.name)
            return
        with self._folder(source[:-1]) as old, self._folder(parts[:-1]) as new:
            _clear(parts[-1], new)
            os.link(source[-1], parts[-1], src_dir_fd=old, dst_dir_fd=new)  # no link lies here before the end
        self._written.add(parts)
        self.done.files += 1

    def _link(self, parts: tuple[str, ...], target: str) -> None:
        try:
            with self._folder(parts[:-1]) as parent:
                _clear(parts[-1], parent)
                os.symlink(target, parts[-1], dir_fd=parent)
        except OSError:  # below another link, or where a folder is
            self.done.skip("/".join(parts))
        else:
            self.done.links += 1

    @contextlib.contextmanager
    def _folder(self, parts: tuple[str, ...]) -> Iterator[int]:
        """A descriptor of the folder at that place, made if need be; never through a link."""
        fd = os.dup(self._top)
        try:
            for part in parts:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, 0o700, dir_fd=fd)
                below = os.open(part, _FOLDER | _FLAGS, dir_fd=fd)
                os.close(fd)
                fd = below
            yield fd
        finally:
            os.close(fd)


def _clear(name: str, parent: int) -> None:
    """Make room for a file or a link: what is there is replaced, and a link not followed."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def pack(folder: Path) -> Iterator[bytes]:
    """A folder of this computer as a tar archive, piece by piece: files, folders and links, without owners.

    ConfigurationError where it cannot be read.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"{folder} is no folder", hint="upload a file with files.upload")
    names = tarfile.TarFile(fileobj=io.BytesIO(), mode="w")  # only for its reading of file systems
    try:
        for place, folders, files in os.walk(folder, onerror=_raise):
            folders.sort()
            for name in [*sorted(files), *folders]:
                path = Path(place, name)
                info = names.gettarinfo(path, path.relative_to(folder).as_posix())
                if info is None or not (info.isreg() or info.isdir() or info.issym() or info.islnk()):
                    continue
                info.uid = info.gid = 0
                info.uname = info.gname = ""
                yield info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
                if info.isreg():
                    yield from _content(path, info.size)
    except OSError as error:
        raise ConfigurationError(f"cannot read {error.filename}: {error.strerror}", hint="leave it out") from error
    yield bytes(2 * _BLOCK)


def _raise(error: OSError) -> None:
    raise error


def _content(path: Path, size: int) -> Iterator[bytes]:
    """Just as many bytes as the header says, whatever happens to the file meanwhile."""
    left = size
    with path.open("rb") as file:
        while left > 0:
            data = file.read(min(left, _CHUNK_BYTES)) or bytes(min(left, _CHUNK_BYTES))
            left -= len(data)
            yield data
    yield bytes(-size % _BLOCK)
