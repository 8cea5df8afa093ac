"""Exported files, taken apart and put together byte by byte; and everything that is refused. No machine."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from desktop_sandbox.errors import ConfigurationError, InvalidRequestError, MachineError, NotFoundError
from desktop_sandbox.snapshots.export import Head, Importer, export
from desktop_sandbox.snapshots.manifest import Fit, Part
from desktop_sandbox.snapshots.signing import OWN, Keys, is_signed, read_key, show_key
from desktop_sandbox.snapshots.snapshot import Snapshot, SnapshotManifest

PARTS = {"delta.bin": bytes(range(256)) * 40, "state.bin": b"", "disk.qcow2": b"disk" * 1000}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    folder = tmp_path / "ss-0a"
    folder.mkdir()
    parts = []
    for name, data in PARTS.items():
        (folder / name).write_bytes(data)
        parts.append(Part(len(data), hashlib.sha256(data).hexdigest()))
    fit = Fit("7.2", "tcg", "max", 1, 512, 1, "image", 1000)
    manifest = SnapshotManifest("ss-0a", 1.5, "minimal-1", "ram", fit, *parts, (800, 600), {"a": 1}, True, 2.5)
    return Snapshot(folder, manifest)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


@pytest.fixture
def file(snapshot: Snapshot, keys: Keys) -> bytes:
    size, pieces = export(snapshot, {"name": "a name"}, keys)
    content = b"".join(pieces)
    assert len(content) == size
    return content


def importer(tmp_path: Path, seen: list[bytes] | None = None) -> Importer:
    def make_work(head: Head) -> Path:
        work = tmp_path / "work"
        work.mkdir()
        return work

    return Importer(make_work, lambda head, key: None if seen is None else seen.append(key))


def all_of_it(taking: Importer, data: bytes) -> None:
    taking.feed(data)
    taking.finish()


@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_what_was_exported_comes_back(tmp_path: Path, snapshot: Snapshot, keys: Keys, file: bytes, step: int) -> None:
    seen: list[bytes] = []
    taking = importer(tmp_path, seen)
    for start in range(0, len(file), step):
        taking.feed(file[start : start + step])
    work, head = taking.finish()
    assert {path.name: path.read_bytes() for path in work.iterdir() if path.name != "manifest.json"} == PARTS
    assert SnapshotManifest.from_json((work / "manifest.json").read_text()) == snapshot.manifest == head.manifest
    assert head.about == {"name": "a name"}
    assert seen == [keys.own()]


def test_one_bit_anywhere_and_nothing_is_left(tmp_path: Path, file: bytes) -> None:
    for place in [*range(0, 400, 13), *range(400, len(file), 997), len(file) - 1]:
        changed = bytearray(file)
        changed[place] ^= 1
        taking = importer(tmp_path)
        with pytest.raises(InvalidRequestError):
            all_of_it(taking, bytes(changed))
        taking.abandon()
        assert not (tmp_path / "work").exists()


def test_cut_off_anywhere_or_with_more_behind_it_is_refused(tmp_path: Path, file: bytes) -> None:
    for length in (0, 5, 11, 200, len(file) // 2, len(file) - 1):
        taking = importer(tmp_path)
        taking.feed(file[:length])
        with pytest.raises(InvalidRequestError, match="too early"):
            taking.finish()
        taking.abandon()
    taking = importer(tmp_path)
    with pytest.raises(InvalidRequestError, match="more in it"):
        taking.feed(file + b"x")
    taking.abandon()
    with pytest.raises(InvalidRequestError, match="no exported snapshot"):
        importer(tmp_path).feed(b"PK\x03\x04 a zip")


def test_who_is_refused_leaves_nothing(tmp_path: Path, file: bytes) -> None:
    def refuse(head: Head, key: bytes) -> None:
        raise NotFoundError("not you")

    taking = Importer(lambda head: pytest.fail("a folder was made"), refuse)
    with pytest.raises(NotFoundError):
        taking.feed(file)
    taking.abandon()


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../up"},
        {"id": "ss-"},
        {"format": 9},
        {"delta": {"bytes": -1, "digest": ""}},
        {"resolution": [800]},
        {"resolution": ["800", 600]},
        {"resolution": "ab"},
    ],
)
def test_heads_that_make_no_sense(file: bytes, change: dict[str, object]) -> None:
    length = int.from_bytes(file[8:12], "little")
    head = json.loads(file[12 : 12 + length])
    Head.read(json.dumps(head).encode())
    head["manifest"].update(change)
    with pytest.raises(InvalidRequestError):
        Head.read(json.dumps(head).encode())


def test_a_part_of_another_length_is_not_exported(snapshot: Snapshot, keys: Keys) -> None:
    (snapshot.directory / "disk.qcow2").write_bytes(b"short")
    with pytest.raises(MachineError, match="damaged"):
        export(snapshot, {}, keys)
    (snapshot.directory / "disk.qcow2").unlink()
    with pytest.raises(MachineError):
        export(snapshot, {}, keys)


def test_keys_are_made_once_and_trusted_by_name(tmp_path: Path, keys: Keys) -> None:
    own = keys.own()
    assert own == Keys(tmp_path).own()
    assert (tmp_path / "signing-key").stat().st_mode & 0o777 == 0o600
    assert is_signed(b"a", keys.sign(b"a"), own)
    assert not is_signed(b"b", keys.sign(b"a"), own)
    assert keys.name_of(own) == OWN
    other_home = tmp_path / "other"
    other_home.mkdir()
    other = Keys(other_home).own()
    assert keys.name_of(other) is None
    keys.trust("build-host", show_key(other))
    assert keys.name_of(other) == "build-host"
    assert keys.trusted() == {"build-host": show_key(other)}
    keys.distrust("build-host")
    assert keys.name_of(other) is None
    with pytest.raises(NotFoundError):
        keys.distrust("build-host")
    with pytest.raises(InvalidRequestError):
        keys.trust("../x", show_key(other))
    (tmp_path / "trusted-keys.json").write_text("[")
    with pytest.raises(ConfigurationError):
        keys.trusted()


@pytest.mark.parametrize("text", ["", "ed25519:", "ed25519:AAAA", "AAAA", "ssh-ed25519 AAAA", "ed25519:" + "é" * 43])
def test_what_is_no_key(text: str) -> None:
    with pytest.raises(InvalidRequestError):
        read_key(text)


def test_keys_that_are_trusted_at_the_same_time_are_all_there(tmp_path: Path, keys: Keys) -> None:
    key = show_key(keys.own())
    names = [f"host-{number}" for number in range(80)]
    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(Keys(tmp_path).trust, name, key) for name in names]:
            done.result()
        assert sorted(keys.trusted()) == sorted(names)
        for done in [threads.submit(Keys(tmp_path).distrust, name) for name in names[1:]]:
            done.result()
    assert [*keys.trusted()] == names[:1]
