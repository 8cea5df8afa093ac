"""The command for code that keeps its state."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from desktop_sandbox.cli.desktop import connected, save
from desktop_sandbox.cli.output import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from desktop_sandbox.sdk.code import CodeResult


def run(
    sandbox_id: str,
    code: str,
    language: str,
    *,
    context: str | None,
    timeout: float,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Run code with what it says passed on as it comes; 0 where it ended well, 124 for a timeout."""
    text = sys.stdin.read() if code == "-" else code
    saved = 0

    def show(result: CodeResult) -> None:
        nonlocal saved
        picture, kind = (result.png, "png") if result.png else (result.jpeg, "jpg")
        if picture is not None and folder is not None:
            saved += 1
            folder.mkdir(parents=True, exist_ok=True)
            save(folder / f"{saved}.{kind}", picture)
            print(f"saved {folder / f'{saved}.{kind}'}", file=sys.stderr)
        elif result.text is not None:
            print(result.text, flush=True)

    with connected(sandbox_id) as desktop:
        if as_json:
            done = desktop.run_code(text, language=language, context=context, timeout=timeout or None)
            print_json(done)
        else:
            done = desktop.run_code(
                text,
                language=language,
                context=context,
                timeout=timeout or None,
                on_stdout=lambda said: print(said, end="", flush=True),
                on_stderr=lambda said: print(said, end="", file=sys.stderr, flush=True),
                on_result=show,
            )
            if done.error is not None:
                print(done.error.traceback or f"{done.error.name}: {done.error.value}", file=sys.stderr)
            elif done.status != "ok":
                print(f"error: it ended as {done.status}", file=sys.stderr)
    return 124 if done.status == "timeout" else int(done.status != "ok")
