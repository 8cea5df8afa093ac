"""Generates the synchronous classes from the asynchronous ones: `python -m desktop_sandbox.sdk.generate [--check]`.

Works on tokens: `async` and `await` go, names are renamed by the table below. A rename that nothing uses is an error,
so that the table never grows old. The result is formatted with ruff.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import subprocess
import sys
import tokenize
from pathlib import Path

SDK, AGENTS = Path(__file__).parent, Path(__file__).parent.parent / "agents"
PAIRS = [(top / "_async", top / "_sync") for top in (SDK, AGENTS)]
HEADER = "# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.\n"

RENAMES = {
    "AsyncAnthropicComputer": "AnthropicComputer",
    "AsyncComputer": "Computer",
    "AsyncComputerToolset": "ComputerToolset",
    "BetaAsyncAbstractComputerToolset20260801": "BetaAbstractComputerToolset20260801",
    "BetaAsyncComputerConfirmCallable": "BetaComputerConfirmCallable",
    "AsyncClient": "Client",
    "AsyncClipboard": "Clipboard",
    "AsyncCommands": "Commands",
    "AsyncConnection": "Connection",
    "AsyncControl": "Control",
    "AsyncDesktopComputer": "DesktopComputer",
    "AsyncDesktop": "Desktop",
    "AsyncEyes": "Eyes",
    "AsyncElements": "Elements",
    "AsyncFiles": "Files",
    "AsyncGeminiComputer": "GeminiComputer",
    "AsyncHands": "Hands",
    "AsyncHost": "Host",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "AsyncNetwork": "Network",
    "AsyncOpenAIComputer": "OpenAIComputer",
    "AsyncRecordings": "Recordings",
    "AsyncSandbox": "Sandbox",
    "AsyncSandboxList": "SandboxList",
    "AsyncStream": "Stream",
    "__aenter__": "__enter__",
    "__aexit__": "__exit__",
    "_async": "_sync",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aiter_lines": "iter_lines",
    "aread": "read",
    "async_chunks": "sync_chunks",
    "AsyncAttached": "Attached",
    "AsyncBackgroundCommand": "BackgroundCommand",
    "AsyncPortConnection": "PortConnection",
    "AsyncPorts": "Ports",
    "AsyncTerminal": "Terminal",
    "AsyncTerminals": "Terminals",
    "__aiter__": "__iter__",
    "async_last_word": "sync_last_word",
    "async_lock": "sync_lock",
    "async_receive": "sync_receive",
    "async_send": "sync_send",
    "async_socket": "sync_socket",
    "async_from_disk": "sync_from_disk",
    "async_in_thread": "sync_in_thread",
    "async_unpack": "sync_unpack",
    "async_raw": "sync_raw",
    "async_fitted": "sync_fitted",
    "async_scope": "sync_scope",
    "async_sleep": "sync_sleep",
    "async_tell": "sync_tell",
    "async_transport": "sync_transport",
    "asynccontextmanager": "contextmanager",
}
_WORDS = re.compile(r"\b(async |await )|\b(\w+)\b")


def convert(source: str, used: set[str]) -> str:
    """The synchronous form of a module's source; adds the renames it used to `used`."""
    lines = source.splitlines(keepends=True)
    edits: list[tuple[int, int, int, str]] = []
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    for token, following in itertools.pairwise(tokens):
        row, start = token.start
        if token.type == tokenize.NAME and token.string in ("async", "await"):
            edits.append((row, start, following.start[1], ""))
        elif token.type == tokenize.NAME and token.string in RENAMES:
            used.add(token.string)
            edits.append((row, start, token.end[1], RENAMES[token.string]))
        elif token.type in (tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)):
            for at in range(row, token.end[0] + 1):
                first = start if at == row else 0
                last = token.end[1] if at == token.end[0] else len(lines[at - 1])
                edits.append((at, first, last, _WORDS.sub(_plain_word, lines[at - 1][first:last])))
    for row, start, end, text in sorted(edits, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:start] + text + line[end:]
    return "".join(lines)


def generate() -> dict[Path, str]:
    """All generated files by path. SystemExit if a rename is used nowhere."""
    used: set[str] = set()
    made = {}
    for source, target in PAIRS:
        for path in sorted(source.glob("*.py")):
            made[target / path.name] = convert(path.read_text(), used)
        made[target / "__init__.py"] = '"""The synchronous classes, generated."""\n'
    if unused := sorted(set(RENAMES) - used):
        raise SystemExit(f"error: renames that nothing uses: {', '.join(unused)}\nhint: take them out of RENAMES")
    return {path: _formatted(HEADER + text, path) for path, text in made.items()}


def main(argv: list[str] | None = None) -> int:
    """Write the generated files, or with --check say which are not what they should be; the exit code."""
    parser = argparse.ArgumentParser(description="generate the synchronous SDK")
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is out of date")
    check = parser.parse_args(argv).check
    made = generate()
    present = {path: path.read_text() for _, target in PAIRS for path in target.glob("*.py")}
    stale = sorted(path for path in made.keys() | present.keys() if made.get(path) != present.get(path))
    if check:
        if stale:
            names = ", ".join(f"{path.parent.parent.name}/{path.name}" for path in stale)
            print(f"error: out of date: {names}\nhint: python -m desktop_sandbox.sdk.generate")
        return 1 if stale else 0
    for path in stale:
        if path in made:
            path.write_text(made[path])
        else:
            path.unlink()
    print(f"{len(stale)} of {len(made)} files changed")
    return 0


def _plain_word(match: re.Match[str]) -> str:
    return "" if match[1] else RENAMES.get(match[2], match[2])


def _formatted(text: str, path: Path) -> str:
    ruff = [sys.executable, "-m", "ruff"]
    where = ["--stdin-filename", str(path), "-"]
    tidy = ["check", "--select", "I,F401,UP028", "--fix-only", "--unsafe-fixes", "--quiet"]
    for step in (tidy, ["format", "--quiet"]):
        text = subprocess.run([*ruff, *step, *where], input=text, capture_output=True, text=True, check=True).stdout
    return text


if __name__ == "__main__":
    raise SystemExit(main())
