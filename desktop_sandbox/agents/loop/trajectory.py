"""Keeps what an agent did: a line of JSON a step, a picture a step, and a page to look through both."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = """<!doctype html><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px/1.5 system-ui;max-width:1000px;margin:2em auto;padding:0 1em}}
img{{width:100%;border:1px solid #ccc}}
pre{{background:#f4f4f4;padding:.6em;overflow:auto;white-space:pre-wrap}}h2{{margin-top:2em}}</style>
<h1>{title}</h1><p>{summary}</p>{steps}"""


@dataclass(frozen=True)
class Step:
    """One turn: what the model said, its calls as the vendor has them, and how long both parts took in seconds.

    `stopped` is the vendor's word for why the model broke off; None if it said all that it had to say.
    """

    said: str
    calls: list[dict[str, Any]]
    model_s: float
    desktop_s: float
    stopped: str | None = None


class Trajectory:
    """A folder with trajectory.jsonl, NNNN.jpg and index.html; each is complete after every step."""

    def __init__(self, folder: Path, task: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._task = task
        self._parts: list[str] = []
        (folder / "trajectory.jsonl").write_text("", encoding="utf-8")

    def add(self, step: Step, picture: bytes) -> None:
        """Write a step and the JPEG of the screen after it."""
        number = len(self._parts) + 1
        name = f"{number:04}.jpg"
        (self.folder / name).write_bytes(picture)
        line = {"step": number, **vars(step), "picture": name}
        with (self.folder / "trajectory.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        calls = "\n".join(json.dumps(call, ensure_ascii=False, default=str) for call in step.calls)
        took = f"model {step.model_s:.1f} s, desktop {step.desktop_s:.1f} s"
        self._parts.append(
            f"<h2>{number}</h2><p>{html.escape(step.said)}</p><pre>{html.escape(calls)}</pre>"
            f'<p>{took}</p><img src="{name}" loading="lazy" alt="the screen after step {number}">'
        )
        self.finish("not ended")

    def finish(self, outcome: str) -> None:
        """Write the page; `outcome` says how it ended."""
        summary = html.escape(f"{len(self._parts)} steps; {outcome}")
        page = PAGE.format(title=html.escape(self._task), summary=summary, steps="".join(self._parts))
        (self.folder / "index.html").write_text(page, encoding="utf-8")
