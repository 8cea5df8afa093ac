"""Builds an image: base (cached), kernel, lay-in, initrd; put together aside and renamed when it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from guest_image.builder import base, initrd, kernel, layin, wheels
from guest_image.builder.errors import BuildError
from guest_image.builder.process import Runner
from guest_image.builder.store import Image, Store, write_image
from guest_image.recipe import Recipe

_TOOLS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "debugfs": "e2fsprogs",
    "setpriv": "util-linux",
    "unshare": "util-linux",
}


@dataclass(frozen=True)
class Progress:
    """How far a build is: the step's name, the fraction of the whole (0..1), and a few words."""

    step: str
    fraction: float
    message: str = ""


def image_digest(recipe: Recipe) -> str:
    """Digest of the recipe and of all that is laid into its image (64 hex digits). Quick; builds nothing."""
    entries = layin.collect(recipe)
    parts = [
        base.base_digest(recipe),
        layin.digest(entries),
        hashlib.sha256(initrd.INIT.encode()).hexdigest(),
        repr(recipe),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def find_image(recipe: Recipe, home: Path) -> Image | None:
    """The finished image of the recipe as it is now, or None."""
    return Store(home).find(recipe.name, image_digest(recipe))


def build_image(
    recipe: Recipe,
    home: Path,
    progress: Callable[[Progress], None],
    *,
    force: bool = False,
    cancel: threading.Event | None = None,
) -> Image:
    """Build the recipe's image below `home`, or return it if it is there. Blocks for minutes: call it in a thread.

    `force` builds the base anew, too. `cancel`, once set, ends the build within a second.
    Raises BuildError (with the log's path and tail), BuildCancelledError.
    """
    store = Store(home)
    digest = image_digest(recipe)
    cancel = cancel or threading.Event()
    _need_tools()
    with store.locked(cancel):
        found = store.find(recipe.name, digest)
        if found is not None and not force:
            return found
        log = store.logs / f"build-{recipe.name}-{time.strftime('%Y%m%d-%H%M%S')}.log"
        runner = Runner(log, cancel)
        try:
            return _build(recipe, store, digest, runner, progress, force)
        finally:
            runner.close()


def _build(
    recipe: Recipe,
    store: Store,
    digest: str,
    runner: Runner,
    progress: Callable[[Progress], None],
    force: bool,
) -> Image:
    step = _Steps(runner, progress)
    base_directory = store.base_directory(base.base_digest(recipe))
    if force or not (base_directory / "disk.raw").exists():
        with step("Debian packages", 0.0, 0.9) as report, store.aside(base_directory) as scratch:
            site = wheels.pack(wheels.fetch_wheels(store, runner, recipe.python_packages))
            base.make_base(recipe, site, scratch / "disk.raw", scratch, runner, report)
    disk = base_directory / "disk.raw"
    with step("files to lay in", 0.9, 0.93):
        entries = layin.collect(recipe)
    with (
        step("kernel and initrd", 0.93, 1.0),
        store.aside(store.image_directory(recipe.name, digest)) as directory,
    ):
        os.link(disk, directory / "disk.raw")
        release = kernel.kernel_release(disk)
        compressed = kernel.read_from_disk(disk, f"/boot/vmlinuz-{release}")
        plain = kernel.extract_vmlinux(compressed)
        name = "vmlinuz" if plain is None else "vmlinux"
        (directory / name).write_bytes(plain or compressed)
        layin_digest = layin.digest(entries)
        busybox = kernel.read_from_disk(disk, "/usr/bin/busybox")
        modules = kernel.boot_modules(disk, release)
        (directory / "initrd").write_bytes(initrd.compose(busybox, modules, entries, layin_digest))
        runner.check()
        image = Image(
            directory=directory,
            recipe=recipe.name,
            digest=digest,
            base_digest=base.base_digest(recipe),
            kernel_release=release,
            kernel_name=name,
            created_at=time.time(),
            disk_bytes=disk.stat().st_blocks * 512,
            layin_digest=layin_digest,
        )
        write_image(image)
    finished = store.find(recipe.name, digest)
    if finished is None:
        raise BuildError(f"the image of {recipe.name} disappeared while it was built")
    progress(Progress("done", 1.0, str(finished.directory)))
    return finished


def _need_tools() -> None:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    os.environ["PATH"] = path if "/usr/sbin" not in os.environ.get("PATH", "").split(":") else os.environ["PATH"]
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    if missing:
        raise BuildError(
            f"to build images, {' and '.join(missing)} must be installed",
            hint=f"apt-get install {' '.join(missing)}",
        )


class _Steps:
    """A step names itself, logs its duration, and maps its own fraction into that of the whole build."""

    def __init__(self, runner: Runner, progress: Callable[[Progress], None]) -> None:
        self._runner = runner
        self._progress = progress

    @contextlib.contextmanager
    def __call__(self, name: str, start: float, end: float) -> Iterator[Callable[[float, str], None]]:
        self._runner.check()
        self._runner.note(name)
        self._progress(Progress(name, start))
        began = time.monotonic()
        yield lambda fraction, message: self._progress(
            Progress(name, start + (end - start) * min(1.0, fraction), message)
        )
        self._runner.note(f"{name}: {time.monotonic() - began:.1f} s")
