"""The program that reads text: its limits, its deadline, and what is said where it is missing or fails."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from desktop_sandbox.errors import ConfigurationError, DeadlineError, InvalidRequestError, ServerError
from desktop_sandbox.vision.reading import Reader, prepared

PART = np.full((60, 200, 3), 255, np.uint8)
REGION = (0, 0, 200, 60)


def program(folder: Path, code: str) -> str:
    """A program in place of tesseract, in the system's own Python: it runs as nobody."""
    path = folder / "reader"
    path.write_text(f"#!/usr/bin/python3\n{code}")
    path.chmod(0o755)
    for parent in (folder, *folder.parents[:3]):
        parent.chmod(parent.stat().st_mode | 0o055)
    return str(path)


async def test_a_missing_program_is_named_with_its_package() -> None:
    with pytest.raises(ConfigurationError, match="not installed") as caught:
        await Reader(program="no-such-tesseract").read(PART, REGION)
    assert caught.value.hint == "apt install tesseract-ocr, then try again"


@pytest.mark.parametrize("language", ["", "e", "eng/..", "--help", "eng deu", "eng+", "a" * 99])
async def test_a_language_is_no_option_and_no_path(language: str) -> None:
    with pytest.raises(InvalidRequestError, match="no language"):
        await Reader().read(PART, REGION, language=language)


async def test_it_is_ended_at_its_deadline_and_when_its_caller_goes(tmp_path: Path) -> None:
    reader = Reader(1, program(tmp_path, "import time\ntime.sleep(600)\n"))
    begun = time.monotonic()
    with pytest.raises(DeadlineError, match=r"within 0\.5 s"):
        await reader.read(PART, REGION, deadline_s=0.5)
    job = asyncio.create_task(reader.read(PART, REGION))
    await asyncio.sleep(0.5)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert time.monotonic() - begun < 20
    with pytest.raises(DeadlineError):  # its turn came: nothing holds it any more
        await reader.read(PART, REGION, deadline_s=0.5)


async def test_it_has_little_memory_and_no_files_to_write(tmp_path: Path) -> None:
    code = """
import os, resource, sys
data = sys.stdin.buffer.read()
assert data.startswith(b"P5\\n400 120\\n255\\n"), data[:20]
assert len(data) == 15 + 400 * 120, len(data)
limits = [resource.getrlimit(getattr(resource, f"RLIMIT_{name}"))[1] for name in ("AS", "CPU", "FSIZE", "CORE")]
assert limits == [1 << 30, 30, 0, 0], limits
assert os.getuid() != 0
assert not [name for name in os.environ if "KEY" in name or "HOME" in name], os.environ
status = open("/proc/self/status").read()
assert "NoNewPrivs:\\t1" in status
print("level\\n5\\t1\\t1\\t1\\t1\\t1\\t20\\t20\\t40\\t40\\t90\\tgood")
"""
    [word] = await Reader(1, program(tmp_path, code)).read(PART, REGION)
    assert (word.text, word.box) == ("good", (10, 10, 20, 20))


async def test_a_program_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    code = "import sys\nsys.stdin.buffer.read()\nsys.exit('it broke')\n"
    with pytest.raises(ServerError, match="it broke"):
        await Reader(1, program(tmp_path, code)).read(PART, REGION)


@pytest.mark.skipif(not shutil.which("tesseract"), reason="needs tesseract")
async def test_an_empty_page_has_no_words() -> None:
    assert await Reader().read(PART, REGION) == []
    assert await Reader().read(PART[:1, :1], (5, 5, 1, 1)) == []


def test_any_colours_become_dark_on_white() -> None:
    page = np.full((40, 100, 3), (160, 60, 20), np.uint8)
    page[10:30, 20:23] = (250, 250, 250)
    data, scale = prepared(page)
    assert scale == 2.0
    pixels = np.frombuffer(data[len(b"P5\n200 80\n255\n") :], np.uint8).reshape(80, 200)
    assert pixels[40, 43] < 60
    assert pixels[40, 150] > 240
