"""A template with the image below it as one signed file, written and read as a stream.

A head as in `envelope` (`DSTMPL1\\n`, see `template_head`), then the records of each file (see `sparse`): the image's
first. Nothing of it is believed before its signature was checked, nothing is a template before every file was: all is
written into a folder that nobody takes for one, which is renamed in the end, the image first.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from desktop_sandbox.errors import ConflictError, InvalidRequestError, MachineError
from desktop_sandbox.snapshots.envelope import damaged, open_head, peek_head, sealed
from desktop_sandbox.snapshots.faults import fault_point
from desktop_sandbox.snapshots.manifest import Manifest
from desktop_sandbox.snapshots.ram import GRAIN_BYTES
from desktop_sandbox.snapshots.signing import Keys
from desktop_sandbox.snapshots.sparse import SparsePart, SparseTaker, measure, records
from desktop_sandbox.snapshots.template_head import IMAGE, TEMPLATE, TemplateHead, files_of
from desktop_sandbox.snapshots.templates import MANIFEST, Template, fsync_directory, image_directory
from guest_image.builder import Image
from guest_image.builder.store import write_image

KIND = "template"
_OWNERS_ONLY = ("ram.bin", "state.bin")
"""They hold memory."""
_IMAGE_MODE = 0o755


def export_template(template: Template, image: Image, keys: Keys) -> tuple[int, Generator[bytes, None, None]]:
    """Length in bytes, and the pieces of the file (blocking: all is read twice). Files that go are read to their end.

    Raises MachineError where a file is missing, or is not what the template's manifest says.
    """
    template.check()
    directories = {IMAGE: image.directory, TEMPLATE: template.directory}
    wanted = files_of(template.manifest, image)
    files: list[IO[bytes]] = []
    parts: dict[tuple[str, str], SparsePart] = {}
    body = 0
    try:
        for owner, name in wanted:
            files.append((directories[owner] / name).open("rb", buffering=0))
            parts[owner, name], length = measure(files[-1].fileno())
            body += length
    except BaseException as error:
        for file in files:
            file.close()
        if isinstance(error, OSError):
            raise MachineError(f"the template cannot be read: {error}") from error
        raise
    ram = parts[TEMPLATE, "ram.bin"]
    if (ram.bytes, ram.digest) != (template.manifest.ram.bytes, template.manifest.ram.digest):
        for file in files:
            file.close()
        raise MachineError(f"{template.ram} is damaged: its digest is not the manifest's", hint="rebuild the template")
    head = TemplateHead(template.directory.name, template.manifest, image, parts)
    begin = sealed(KIND, head.to_json(), keys)

    def pieces() -> Generator[bytes, None, None]:
        try:
            yield begin
            for file in files:
                for piece in records(file.fileno()):
                    fault_point("template-export.piece")
                    yield piece
        finally:
            for file in files:
                file.close()

    return len(begin) + body, pieces()


def expected_bytes(begin: bytes) -> int | None:
    """About how long a file is that begins so, for who shows progress; None where too little of it is there.

    Believes what it says, and checks nothing.
    """
    try:
        head = peek_head(begin)
        return None if head is None else sum(part["grains"] for part in json.loads(head)["parts"]) * (GRAIN_BYTES + 8)
    except (ValueError, KeyError, TypeError, InvalidRequestError):
        return None


Standing = tuple[int, int, int]
"""Which file an image's disk is: device, inode, time of its last change (ns)."""


@dataclass(frozen=True)
class Imported:
    """A whole template in a folder that nobody takes for one; `standing`: of the image here, if it needs no other."""

    work: Path
    head: TemplateHead
    standing: Standing | None


class TemplateImporter:
    """Takes an exported template piece by piece; `approve` sees head and signer before anything is written.

    `approve` says which image here is the same; None: it is to be written, too. Then `make_work` makes the folder for
    all. Raises InvalidRequestError for a file that is damaged or cut off, and what these two raise. The
    caller ends it with `finish` or `abandon`. May be called from any thread.
    """

    def __init__(
        self, approve: Callable[[TemplateHead, bytes], Standing | None], make_work: Callable[[TemplateHead], Path]
    ) -> None:
        self._approve = approve
        self._make_work = make_work
        self._at_it = threading.Lock()
        self._buffer = b""
        self._waiting: list[tuple[tuple[str, str], SparsePart]] = []
        self._taker: SparseTaker | None = None
        self._over = False
        self._standing: Standing | None = None
        self.head: TemplateHead | None = None
        self.work: Path | None = None

    def feed(self, data: bytes) -> None:
        """Take some bytes (blocking). Does nothing after the end."""
        with self._at_it:
            if self._over:
                return
            if self.head is None:
                self._buffer += data
                data = self._begin()
            view = memoryview(data)
            while view:
                if self._taker is None:
                    raise damaged("there is more in it than there should be")
                view = view[self._taker.feed(view) :]
                self._next()

    def finish(self) -> Imported:
        """All of it, durable, to be placed; its folder is the caller's from now on (blocking).

        Raises InvalidRequestError if the file was cut off or is not what its manifest says.
        """
        with self._at_it:
            if self._over or self.head is None or self.work is None or self._taker is not None:
                raise damaged("it ends too early")
            head, work = self.head, self.work
            try:
                Template(work, head.manifest, Path()).check()
            except MachineError as error:
                raise damaged(error.message) from error
            if self._standing is None:
                write_image(replace(head.image, directory=work / IMAGE))
                _make_durable(work / IMAGE)
            (work / MANIFEST).write_text(head.manifest.to_json())
            fault_point("template-import.manifest")
            _make_durable(work)
            self._over = True
            return Imported(work, head, self._standing)

    def abandon(self) -> None:
        """Remove what was written, unless it was finished."""
        with self._at_it:
            if self._taker is not None:
                self._taker.close()
            if self.work is not None and not self._over:
                shutil.rmtree(self.work, ignore_errors=True)
            self._over = True

    def _begin(self) -> bytes:
        """Read the head once it is there; what follows it."""
        opened = open_head(KIND, self._buffer)
        if opened is None:
            return b""
        head = TemplateHead.read(opened.head)
        self._standing = self._approve(head, opened.key)
        self.work = self._make_work(head)
        if self._standing is None:
            (self.work / IMAGE).mkdir(mode=_IMAGE_MODE)
        self.head, self._buffer = head, b""
        self._waiting = list(head.parts.items())
        self._open()
        return opened.rest

    def _open(self) -> None:
        assert self.work is not None
        (owner, name), part = self._waiting[0]
        path: Path | None = self.work / name
        if owner == IMAGE:
            path = self.work / IMAGE / name if self._standing is None else None
        self._taker = SparseTaker(name, part, path, 0o600 if name in _OWNERS_ONLY else 0o644)
        self._next()

    def _next(self) -> None:
        """Close files that are complete, and go on to the one after them."""
        if self._taker is None or not self._taker.complete:
            return
        self._taker.finish()
        self._taker = None
        fault_point("template-import.part")
        self._waiting.pop(0)
        if self._waiting:
            self._open()


def image_here(home: Path, head: TemplateHead) -> Standing | None:
    """Which image here is the same (blocking: its files are read); None if there is none.

    Raises ConflictError where another one is in its place.
    """
    directory = image_directory(home, head.image.recipe, head.image.digest)
    if not os.path.lexists(directory):
        return None
    standing = _standing(directory / head.image.disk.name)
    parts = [(name, part) for (owner, name), part in head.parts.items() if owner == IMAGE]
    # the smallest first: those built apart differ in all of them
    if all(_is(directory / name, part) for name, part in sorted(parts, key=lambda each: each[1].grains)):
        return standing
    raise ConflictError(
        f"images/{directory.name} is here with another content: an image of the same recipe that was built apart",
        hint="remove the templates that stand on it (desktop-sandbox template rm) and import this one first,"
        " or import it on a host with a HOME of its own",
    )


def lacks_image(home: Path, head: TemplateHead) -> bool:
    """Whether this very template is here, but its image is not: then that is all that is taken."""
    try:
        manifest = Manifest.from_json((home / "templates" / head.folder / MANIFEST).read_text())
    except (OSError, MachineError):
        return False
    return manifest == head.manifest and not os.path.lexists(
        image_directory(home, head.image.recipe, head.image.digest)
    )


def place(home: Path, imported: Imported) -> Template:
    """Make what was imported a template of this HOME, the image first; all of it or, but for the image, nothing.

    Blocking. The caller sees to it that nobody builds over the same recipe meanwhile. Raises ConflictError and OSError;
    the folder it was in is gone in any case.
    """
    work, head = imported.work, imported.head
    image = image_directory(home, head.image.recipe, head.image.digest)
    target = home / "templates" / head.folder
    try:
        completing = lacks_image(home, head)
        if os.path.lexists(target) and not completing:
            raise ConflictError(f"template {head.folder} is here already", hint="use it, or remove it first")
        if imported.standing is not None:
            if _standing(image / head.image.disk.name) != imported.standing:
                raise ConflictError(f"images/{image.name} was removed meanwhile", hint="import the file again")
        elif image_here(home, head) is not None:  # built, or imported with another template, meanwhile
            shutil.rmtree(work / IMAGE)
        else:
            image.parent.mkdir(exist_ok=True)
            (work / IMAGE).rename(image)
            fsync_directory(image.parent)
        fault_point("template-import.image")
        if completing:
            shutil.rmtree(work)
        else:
            work.rename(target)
            fsync_directory(target.parent)
        fault_point("template-import.renamed")
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return Template(target, head.manifest, image / head.image.disk.name)


def _standing(disk: Path) -> Standing | None:
    try:
        found = disk.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _is(path: Path, part: SparsePart) -> bool:
    """Whether a file has this content."""
    try:
        with path.open("rb", buffering=0) as file:
            return os.fstat(file.fileno()).st_size == part.bytes and measure(file.fileno())[0] == part
    except OSError:
        return False


def _make_durable(directory: Path) -> None:
    """Manifest and names; the other files are already."""
    descriptor = os.open(directory / MANIFEST, os.O_RDONLY)
    os.fsync(descriptor)
    os.close(descriptor)
    fsync_directory(directory)
