"""The Python packages that the guest gets beside Debian's: fetched by pip on the host, unpacked into the base."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import guest_image
from guest_image.builder.errors import BuildCancelledError, BuildError
from guest_image.builder.process import Runner
from guest_image.builder.store import Store

REQUIREMENTS = Path(guest_image.__file__).parent / "requirements.txt"


def fetch_wheels(store: Store, runner: Runner, more: Sequence[str] = ()) -> Path:
    """The directory with the wheels of requirements.txt and `more`, downloaded by pip if they are not there yet.

    Raises BuildError if pip cannot get them, BuildCancelledError when stopped. The caller holds the store.
    """
    key = hashlib.sha256("\n".join([REQUIREMENTS.read_text(), *more]).encode()).hexdigest()[:16]
    target = store.home / "wheels" / key
    if target.is_dir():
        return target
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
    with store.aside(target) as aside:
        try:
            runner.run([*pip, "--dest", str(aside), "--requirement", str(REQUIREMENTS), *more])
        except BuildCancelledError:
            raise
        except BuildError as error:
            by_hand = f"pip download --no-deps --requirement {REQUIREMENTS} {' '.join(more)}".rstrip()
            raise runner.fail(
                "pip cannot download the guest's Python packages", f"try it by hand: {by_hand}"
            ) from error
    return target


def pack(wheels: Path) -> bytes:
    """A tar archive of what the wheels hold; the same wheels always give the same bytes."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for path in sorted(wheels.glob("*.whl")):
            with zipfile.ZipFile(path) as wheel:
                for name in sorted(item for item in wheel.namelist() if not item.endswith("/")):
                    data = wheel.read(name)
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    member.mode = 0o755 if ".data/scripts/" in name else 0o644
                    archive.addfile(member, io.BytesIO(data))
    return out.getvalue()
