"""Text recognition by tesseract, a program of its own with little memory and time: what it reads, a guest made.

It gets plain grey pixels that the host wrote, never a file that the guest wrote, so no decoder meets the guest's bytes.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

import cv2
import numpy as np

from desktop_sandbox.errors import ConfigurationError, DeadlineError, InvalidRequestError, ServerError
from desktop_sandbox.vision.words import Word, parse

if TYPE_CHECKING:
    from desktop_sandbox.screen.regions import Rect
    from desktop_sandbox.vision.pictures import Colours

DEADLINE_S = 30.0
SCALE = 2.0
"""Letters of a screen are half as large as tesseract likes them."""
LARGEST_PX = 16_000_000
MOST_ANSWER_BYTES = 4 << 20
_BACKGROUND_PX = 21
_MEMORY_BYTES = 1 << 30
_NOBODY = "65534"
_LANGUAGE = re.compile(r"[A-Za-z]{3}(_[A-Za-z]{1,16})?(\+[A-Za-z]{3}(_[A-Za-z]{1,16})?){0,3}")


class Reader:
    """Reads text off pictures, `at_once` of them at a time: each takes a core for a second or two."""

    def __init__(self, at_once: int | None = None, program: str = "tesseract") -> None:
        self._turns = asyncio.Semaphore(at_once or max(1, (os.cpu_count() or 2) // 2))
        self._program = program

    async def read(
        self, part: Colours, region: Rect, *, language: str = "eng", deadline_s: float = DEADLINE_S
    ) -> list[Word]:
        """The words in `part`, the screen's `region`, in reading order.

        ConfigurationError where tesseract or the language is not installed, DeadlineError where it takes too long.
        """
        if not _LANGUAGE.fullmatch(language):
            raise InvalidRequestError(f"{language!r} is no language.", hint='Write "eng", "deu" or "eng+deu".')
        command = self._command(language)
        try:
            async with asyncio.timeout(deadline_s):
                async with self._turns:
                    data, scale = await asyncio.to_thread(prepared, part)
                    answer = await _run(command, data, language)
        except TimeoutError:
            raise DeadlineError(
                f"The text was not read within {deadline_s:g} s.", hint="Read a smaller region, or try again later."
            ) from None
        return parse(answer, scale=scale, region=region)

    def _command(self, language: str) -> list[str]:
        program, prlimit, setpriv = (shutil.which(name) for name in (self._program, "prlimit", "setpriv"))
        if program is None or prlimit is None:
            missing = "tesseract" if program is None else "prlimit"
            package = "tesseract-ocr" if program is None else "util-linux"
            raise ConfigurationError(
                f"{missing} is not installed on the server's host.", hint=f"apt install {package}, then try again"
            )
        limits = [prlimit, f"--as={_MEMORY_BYTES}", f"--cpu={int(DEADLINE_S)}", "--fsize=0", "--core=0", "--nofile=64"]
        walls: list[str] = []
        if setpriv is not None:
            walls = [setpriv, "--no-new-privs"]
            if os.geteuid() == 0:
                walls += [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--bounding-set=-all"]
            walls.append("--")
        return [*walls, *limits, program, "stdin", "stdout", "-l", language, "--dpi", "96", "--psm", "11", "tsv"]


def prepared(part: Colours) -> tuple[bytes, float]:
    """A picture as tesseract reads screens best, as PGM, and how much larger it is.

    Dark on white whatever the colours were: what differs from its surroundings is ink.
    """
    grey = cv2.cvtColor(part, cv2.COLOR_BGR2GRAY)
    ink = cv2.absdiff(grey, cv2.medianBlur(grey, _BACKGROUND_PX))
    page = 255 - cv2.convertScaleAbs(ink, alpha=2.0)
    scale = min(SCALE, (LARGEST_PX / max(1, page.size)) ** 0.5)
    page = np.asarray(cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)
    height, width = page.shape
    return b"P5\n%d %d\n255\n" % (width, height) + page.tobytes(), width / part.shape[1]


async def _run(command: list[str], data: bytes, language: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8"},
        cwd="/",
        start_new_session=True,
    )
    try:
        out, complaint = await process.communicate(data)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    said = complaint.decode("utf-8", "replace").strip()
    if process.returncode != 0:
        if "Failed loading language" in said or "couldn't load any languages" in said:
            name = language.partition("+")[0].lower().replace("_", "-")
            raise ConfigurationError(
                f"tesseract does not know the language {language!r}.", hint=f"apt install tesseract-ocr-{name}"
            )
        raise ServerError(
            f"tesseract ended with {process.returncode}: {said[-300:] or 'no word'}", hint="read a smaller region"
        )
    if len(out) > MOST_ANSWER_BYTES:
        raise ServerError(f"tesseract answered with {len(out)} bytes.", hint="read a smaller region")
    return out.decode("utf-8", "replace")
