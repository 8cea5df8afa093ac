"""Where images and bases lie, and how they get there: written aside, fsynced, renamed. Leftovers are removed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from guest_image.builder.errors import BuildCancelledError, BuildError

_ASIDE = ".building-"
_LOCK_RETRY_S = 0.3
_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Image:
    """A built image: a directory that never changes. `kernel` is an ELF vmlinux (PVH) or a bzImage."""

    directory: Path
    recipe: str
    digest: str
    base_digest: str
    kernel_release: str
    kernel_name: str
    created_at: float
    disk_bytes: int
    layin_digest: str

    @property
    def disk(self) -> Path:
        """The root file system, raw ext4 without partitions, read-only by convention."""
        return self.directory / "disk.raw"

    @property
    def kernel(self) -> Path:
        """The kernel for QEMU's -kernel."""
        return self.directory / self.kernel_name

    @property
    def initrd(self) -> Path:
        """The initrd for QEMU's -initrd; it carries what is laid over the disk."""
        return self.directory / "initrd"


class Store:
    """The directories HOME/images, HOME/bases, HOME/wheels and HOME/logs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.images = home / "images"
        self.bases = home / "bases"
        self.logs = home / "logs"

    def image_directory(self, recipe: str, digest: str) -> Path:
        """Where an image lies or will lie."""
        return self.images / f"{recipe}-{digest[:16]}"

    def base_directory(self, digest: str) -> Path:
        """Where a base lies or will lie."""
        return self.bases / digest[:16]

    @contextlib.contextmanager
    def locked(self, cancel: threading.Event) -> Iterator[None]:
        """Hold the store for one build at a time, and remove what dead builds left.

        Waits while another process builds. Raises BuildCancelledError when told to stop meanwhile.
        """
        for directory in (self.images, self.bases, self.logs, self.home / "wheels"):
            directory.mkdir(parents=True, exist_ok=True)
        with (self.home / "images.lock").open("w") as lock:
            while not _try_lock(lock):
                if cancel.wait(_LOCK_RETRY_S):
                    raise BuildCancelledError("the build was stopped while another one ran")
            self._clean()
            yield

    def _clean(self) -> None:
        for top in (self.images, self.bases, self.home / "wheels"):
            for leftover in top.glob(f"{_ASIDE}*"):
                remove_tree(leftover)

    @contextlib.contextmanager
    def aside(self, final: Path) -> Iterator[Path]:
        """A new directory that becomes `final` when the block ends well, and disappears when it does not."""
        scratch = final.parent / f"{_ASIDE}{final.name}"
        scratch.mkdir()
        try:
            yield scratch
            _sync_tree(scratch)
            if final.exists():
                stale = final.parent / f"{_ASIDE}old-{final.name}"
                final.rename(stale)
                scratch.rename(final)
                remove_tree(stale)
            else:
                scratch.rename(final)
            _sync(final.parent)
        finally:
            if scratch.exists():
                remove_tree(scratch)

    def find(self, recipe: str, digest: str) -> Image | None:
        """The finished image, or None."""
        return read_image(self.image_directory(recipe, digest))

    def all(self) -> list[Image]:
        """All finished images, oldest first."""
        found = [read_image(path) for path in self.images.glob("*") if not path.name.startswith(_ASIDE)]
        return sorted((image for image in found if image is not None), key=lambda image: image.created_at)

    def remove(self, image: Image) -> None:
        """Remove an image, and the bases that no image uses any more."""
        gone = image.directory.parent / f"{_ASIDE}gone-{image.directory.name}"
        image.directory.rename(gone)
        remove_tree(gone)
        used = {item.base_digest[:16] for item in self.all()}
        for base in self.bases.glob("*"):
            if base.name not in used and not base.name.startswith(_ASIDE):
                remove_tree(base)


def write_image(image: Image) -> None:
    """Write the manifest, the last file of an image."""
    facts = {key: value for key, value in asdict(image).items() if key != "directory"}
    (image.directory / _MANIFEST).write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_image(directory: Path) -> Image | None:
    """The image in a directory, or None where there is none or its manifest is of another version."""
    try:
        facts = json.loads((directory / _MANIFEST).read_text())
        image = Image(directory=directory, **facts)
    except (OSError, ValueError, TypeError):
        return None
    return image if image.disk.exists() and image.kernel.exists() and image.initrd.exists() else None


def remove_tree(path: Path) -> None:
    """Remove a directory, also one that a build without privilege left with files of its mapped users."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        subprocess.run(["mmdebstrap", "--unshare-helper", "rm", "-rf", str(path)], capture_output=True, check=False)
        shutil.rmtree(path, ignore_errors=True)
    if path.exists():
        raise BuildError(f"cannot remove {path}, left by an earlier build", hint="remove it by hand")


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_tree(top: Path) -> None:
    for path in [*top.rglob("*"), top]:
        if not path.is_symlink():
            _sync(path)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
