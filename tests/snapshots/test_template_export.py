"""Exported templates, taken apart and put together byte by byte; and everything that is refused. No machine."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from desktop_sandbox.errors import ConflictError, InvalidRequestError, MachineError
from desktop_sandbox.snapshots import ram
from desktop_sandbox.snapshots.envelope import KINDS
from desktop_sandbox.snapshots.faults import VARIABLE
from desktop_sandbox.snapshots.signing import Keys
from desktop_sandbox.snapshots.sparse import SparsePart, SparseTaker, measure, records
from desktop_sandbox.snapshots.template_export import (
    TemplateImporter,
    expected_bytes,
    export_template,
    image_here,
    place,
)
from desktop_sandbox.snapshots.template_head import TemplateHead, files_of
from desktop_sandbox.snapshots.templates import find_templates, image_of, remove_leftovers
from tests.snapshots.template_files import (
    DISK_BYTES,
    FIT,
    FOLDER,
    GRAIN,
    MIB,
    changed,
    content_of,
    exported,
    head_of,
    lay,
)

IMAGE = f"minimal-{FIT.image[:16]}"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    home = tmp_path / "there"
    home.mkdir()
    return home


@pytest.fixture
def here(tmp_path: Path) -> Path:
    home = tmp_path / "here"
    (home / "templates").mkdir(parents=True)
    return home


@pytest.fixture
def keys(there: Path) -> Keys:
    return Keys(there)


@pytest.fixture
def file(there: Path) -> bytes:
    return exported(there, *lay(there))


def importer(home: Path, seen: list[bytes] | None = None) -> TemplateImporter:
    def make_work(head: TemplateHead) -> Path:
        work = home / "templates" / f".building-import-{os.getpid()}"
        work.mkdir(mode=0o700)
        return work

    def approve(head: TemplateHead, key: bytes) -> tuple[int, int, int] | None:
        if seen is not None:
            seen.append(key)
        return image_here(home, head)

    return TemplateImporter(approve, make_work)


def take(home: Path, data: bytes) -> None:
    """Import all of it, or leave nothing."""
    taking = importer(home)
    try:
        taking.feed(data)
        place(home, taking.finish())
    finally:
        taking.abandon()


def is_empty(home: Path) -> bool:
    return not any((home / "templates").iterdir()) and not (home / "images").exists()


@pytest.mark.parametrize("promoted", [False, True])
@pytest.mark.parametrize("step", [7, 4096, 100_000, 1 << 24])
def test_what_was_exported_comes_back(there: Path, here: Path, keys: Keys, step: int, promoted: bool) -> None:
    template, image = lay(there, promoted=promoted)
    content = exported(there, template, image)
    seen: list[bytes] = []
    taking = importer(here, seen)
    for start in range(0, len(content), step):
        taking.feed(content[start : start + step])
    made = place(here, taking.finish())
    taking.abandon()
    assert seen == [keys.own()]
    assert content_of(made.directory) == content_of(template.directory)
    assert content_of(made.image.parent) == content_of(image.directory)
    assert made == next(iter(find_templates(here)))
    assert made.manifest == template.manifest
    made.check()
    os.close(ram.load_ram(made.ram, made.manifest.ram.bytes, made.manifest.ram.digest))
    found = image_of(here, made)
    assert found is not None
    assert (found.digest, found.kernel_name) == (image.digest, "vmlinux")
    for path in (made.image, made.ram):
        assert path.stat().st_blocks * 512 <= 8 * GRAIN < path.stat().st_size, "holes stay holes"
    assert [path.stat().st_mode & 0o777 for path in (made.directory, made.ram, made.state)] == [0o700, 0o600, 0o600]
    assert {path.name for path in here.iterdir()} == {"images", "templates"}
    assert [path.name for path in (here / "templates").iterdir()] == [made.directory.name]
    assert len(content) < 12 * GRAIN, "only what is not zero travels"


def test_one_bit_anywhere_and_nothing_is_left(here: Path, file: bytes) -> None:
    head, start = head_of(file)
    places = [*range(0, start, 61)]
    for part in head["parts"]:  # its first record's place in the file, the first byte of that, and the middle
        places += [start, start + 7, start + 8, start + 8 + min(GRAIN, part["bytes"]) // 2] if part["grains"] else []
        short = part["bytes"] % GRAIN if part["name"] != "ram.bin" else 0
        start += part["grains"] * (8 + GRAIN) - (GRAIN - short if short else 0)
    assert start == len(file)
    for place_ in [*places, len(file) - 1]:
        wrong = bytearray(file)
        wrong[place_] ^= 1
        with pytest.raises(InvalidRequestError):
            take(here, bytes(wrong))
        assert is_empty(here), place_


def test_cut_off_anywhere_or_with_more_behind_it_is_refused(here: Path, file: bytes) -> None:
    _, start = head_of(file)
    for length in (0, 5, 11, 200, start - 1, start, start + 4, start + GRAIN, len(file) // 2, len(file) - 1):
        with pytest.raises(InvalidRequestError, match="too early"):
            take(here, file[:length])
        assert is_empty(here)
    with pytest.raises(InvalidRequestError, match="more in it"):
        take(here, file + b"x")
    with pytest.raises(InvalidRequestError, match=r"no exported template \("):
        take(here, b"PK\x03\x04 a zip")
    with pytest.raises(InvalidRequestError, match="no exported template but a snapshot") as caught:
        take(here, KINDS["snapshot"] + file[8:])
    assert caught.value.hint == "desktop-sandbox snapshot import"
    assert is_empty(here)


def manifest(**change: object) -> Callable[[dict[str, Any]], None]:
    return lambda head: head["manifest"].update(change)


def fit(**change: object) -> Callable[[dict[str, Any]], None]:
    return lambda head: head["manifest"]["fit"].update(change)


def image(**change: object) -> Callable[[dict[str, Any]], None]:
    return lambda head: head["image"].update(change)


def part(number: int, **change: object) -> Callable[[dict[str, Any]], None]:
    return lambda head: head["parts"][number].update(change)


HEADS: dict[str, Callable[[dict[str, Any]], None]] = {
    "folder up": lambda head: head.update(folder="../minimal-1"),
    "folder elsewhere": lambda head: head.update(folder="/tmp/minimal-1"),
    "another's folder": lambda head: head.update(folder="desktop-1700000000000"),
    "no number": lambda head: head.update(folder="minimal-"),
    "hidden": lambda head: head.update(folder=".building-minimal-1"),
    "no text": lambda head: head.update(folder=7),
    "name up": lambda head: (manifest(name="../x")(head), head.update(folder="../x-1"))[0],
    "name of nothing": lambda head: (manifest(name="")(head), head.update(folder="-1"))[0],
    "name of another": manifest(name="desktop"),
    "another format": manifest(format=2),
    "no such field": manifest(more=1),
    "no size": manifest(resolution=[0, 600]),
    "half a size": manifest(resolution=[800]),
    "size in words": manifest(resolution=["a", "b"]),
    "no moment": manifest(created_at=float("nan")),
    "no display": manifest(display=[]),
    "memory of another size": fit(memory_mib=2),
    "half a core": fit(vcpus=0.5),
    "no digest": fit(image="../x"),
    "image of another recipe": image(recipe="desktop"),
    "image up": image(recipe="../x"),
    "another image": image(digest="cd" * 32),
    "kernel up": image(kernel_name="../../../bin/sh"),
    "kernel is the disk": image(kernel_name="disk.raw"),
    "image with more": image(directory="/etc"),
    "image of no time": image(created_at="now"),
    "file up": part(3, name="../x"),
    "file elsewhere": part(3, name="/etc/passwd"),
    "file of the other": part(3, of="image"),
    "file of nobody": part(3, of=".."),
    "negative": part(3, bytes=-1),
    "not whole": part(3, bytes=1.5),
    "too long": part(3, bytes=2 * MIB),
    "more grains than there can be": part(3, grains=17),
    "no digest of a file": part(3, digest="x"),
    "another digest of memory": part(3, digest="0" * 64),
    "a disk of another size": part(0, bytes=DISK_BYTES + 1),
    "one missing": lambda head: head["parts"].pop(),
    "one twice": lambda head: head["parts"].append(head["parts"][-1]),
    "one more": lambda head: head["parts"].append({**head["parts"][-1], "name": "x"}),
    "another order": lambda head: head["parts"].reverse(),
    "parts of nothing": lambda head: head.update(parts=None),
    "layers without end": manifest(
        promoted={"snapshot": "ss-0a", "recipe": "minimal", "layers": [], "max_resolution": [0, 0]}
    ),
}


@pytest.mark.parametrize("change", HEADS.values(), ids=HEADS.keys())
def test_heads_that_make_no_sense(
    here: Path, keys: Keys, file: bytes, change: Callable[[dict[str, Any]], None]
) -> None:
    taking = TemplateImporter(lambda head, key: pytest.fail(f"approved {head}"), lambda head: pytest.fail("made"))
    with pytest.raises(InvalidRequestError, match="its head"):
        taking.feed(changed(file, keys, change))
    assert is_empty(here)


def test_a_head_is_read_as_it_was_written(file: bytes) -> None:
    head, start = head_of(file)
    read = TemplateHead.read(json.dumps(head).encode())
    assert json.loads(read.to_json()) == head
    assert tuple(read.parts) == files_of(read.manifest, read.image)
    assert read.bytes_needed(with_image=False) < read.bytes_needed(with_image=True) <= len(file) + 4 * GRAIN
    assert expected_bytes(file[:20]) is None
    assert expected_bytes(b"no head at all, but long enough") is None
    length = expected_bytes(file[:start])
    assert length is not None
    assert abs(length - len(file)) < 6 * GRAIN


@pytest.mark.parametrize(
    ("what", "offset"), [("not aligned", 5), ("behind the end", 1 << 40), ("once more", 0), ("before it", 2 * MIB)]
)
def test_places_in_a_file_that_make_no_sense(here: Path, keys: Keys, file: bytes, what: str, offset: int) -> None:
    _, start = head_of(file)
    body = bytearray(file[start:])
    first = int.from_bytes(body[:8], "little")
    second = 8 + GRAIN
    at = 0 if what in ("not aligned", "behind the end") else second
    wrong = {"not aligned": first + offset, "behind the end": offset, "once more": first, "before it": first - GRAIN}
    body[at : at + 8] = wrong[what].to_bytes(8, "little")
    with pytest.raises(InvalidRequestError, match="place that makes no sense"):
        take(here, changed(file, keys, lambda head: None, bytes(body)))
    assert is_empty(here)


def test_a_hole_has_one_form_only(tmp_path: Path) -> None:
    path = tmp_path / "part"
    taker = SparseTaker("part", SparsePart(MIB, 1, "0" * 64), path, 0o600)
    with pytest.raises(InvalidRequestError, match="hole"):
        taker.feed(memoryview(bytes(8 + GRAIN)))
    taker.close()


def test_written_zeros_are_holes_and_the_digest_is_memorys(tmp_path: Path) -> None:
    memory = ram.new_ram(MIB + 4096)
    os.pwrite(memory, b"a" * 100, 5 * GRAIN)
    os.pwrite(memory, b"b", MIB + 4095)
    digest = ram.save_ram(memory, tmp_path / "holes")
    os.pwrite(memory, bytes(MIB // 4), 8 * GRAIN)
    found, length = measure(memory)
    assert found == SparsePart(MIB + 4096, 2, digest)
    whole = b"".join(records(memory))
    assert len(whole) == length == 2 * 8 + GRAIN + 4096
    taker = SparseTaker("part", found, tmp_path / "copy", 0o600)
    assert taker.feed(memoryview(whole + b"of the next one")) == length
    taker.finish()
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "holes").read_bytes()
    os.close(memory)


def test_an_image_that_is_here_is_not_written_again(there: Path, here: Path, file: bytes) -> None:
    shutil.copytree(there / "images", here / "images")
    disk = here / "images" / IMAGE / "disk.raw"
    before = disk.stat()
    take(here, file)
    (made,) = find_templates(here)
    assert made.image == disk
    assert (disk.stat().st_ino, disk.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert content_of(made.directory) == content_of(there / "templates" / FOLDER)
    with pytest.raises(ConflictError, match="here already"):
        take(here, file)
    assert [path.name for path in (here / "templates").iterdir()] == [FOLDER]


@pytest.mark.parametrize("name", ["disk.raw", "initrd", "vmlinux", None])
def test_another_image_of_the_same_digest_is_refused(there: Path, here: Path, file: bytes, name: str | None) -> None:
    shutil.copytree(there / "images", here / "images")
    if name is None:
        shutil.rmtree(here / "images" / IMAGE)
        (here / "images" / IMAGE).mkdir()
    else:
        with (here / "images" / IMAGE / name).open("r+b") as changing:
            changing.write(b"?")
    before = content_of(here / "images" / IMAGE)
    with pytest.raises(ConflictError, match=f"images/{IMAGE} is here with another content") as caught:
        take(here, file)
    assert "template rm" in str(caught.value.hint)
    assert not any((here / "templates").iterdir())
    assert content_of(here / "images" / IMAGE) == before


def test_what_changes_while_it_comes_in(there: Path, here: Path, file: bytes) -> None:
    taking = importer(here)
    taking.feed(file)
    shutil.copytree(there / "images", here / "images")  # the same one is built meanwhile
    place(here, taking.finish())
    (made,) = find_templates(here)
    assert content_of(made.directory) == content_of(there / "templates" / FOLDER)
    shutil.rmtree(made.directory)
    for change in ("gone", "another"):
        taking = importer(here)
        taking.feed(file)
        shutil.rmtree(here / "images" / IMAGE)
        if change == "another":
            shutil.copytree(there / "images" / IMAGE, here / "images" / IMAGE)
            os.utime(here / "images" / IMAGE / "disk.raw")
        with pytest.raises(ConflictError, match="removed meanwhile"):
            place(here, taking.finish())
        assert not any((here / "templates").iterdir())
        shutil.rmtree(here / "images", ignore_errors=True)
        shutil.copytree(there / "images", here / "images")


@pytest.mark.parametrize("name", ["ram.bin", "state.bin", "disk.qcow2", "below-0.qcow2"])
def test_a_damaged_template_is_not_exported(there: Path, name: str) -> None:
    template, image_ = lay(there, promoted=True)
    with (template.directory / name).open("r+b") as file:
        file.write(b"?")
    with pytest.raises(MachineError, match=f"{name} is damaged"):
        export_template(template, image_, Keys(there))
    (template.directory / name).unlink()
    with pytest.raises(MachineError):
        export_template(template, image_, Keys(there))


def test_files_that_are_not_what_the_manifest_says_are_refused(here: Path, keys: Keys, file: bytes) -> None:
    """Signed by one who is trusted, and of no use all the same."""
    with pytest.raises(InvalidRequestError, match=r"state\.bin is damaged"):
        take(here, changed(file, keys, lambda head: head["manifest"]["state"].update(digest="0" * 64)))
    assert is_empty(here)


SCRIPT = """
import sys
from pathlib import Path
from tests.snapshots.test_template_export import take
take(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes())
"""


@pytest.mark.parametrize("where", ["part", "part:7", "manifest", "image", "renamed"])
def test_who_dies_meanwhile_leaves_all_or_nothing(there: Path, here: Path, file: bytes, where: str) -> None:
    (there / "file").write_bytes(file)
    env = {**os.environ, VARIABLE: f"template-import.{where}"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(here), str(there / "file")], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    remove_leftovers(here)
    assert [path.name for path in (here / "templates").iterdir()] == ([FOLDER] if where == "renamed" else [])
    assert (here / "images").exists() == (where in ("image", "renamed"))
    if where != "renamed":
        take(here, file)
    (made,) = find_templates(here)
    assert content_of(made.directory) == content_of(there / "templates" / FOLDER)
    assert content_of(made.image.parent) == content_of(there / "images" / IMAGE)
