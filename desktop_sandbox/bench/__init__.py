"""`desktop-sandbox bench`: measures this host's desktops through the SDK, side by side with the usual ways."""

from __future__ import annotations


def main(argv: list[str]) -> int:
    """Measure and print; 0 once it is done, whether or not targets are missed. Raises DesktopSandboxError."""
    from desktop_sandbox.bench.options import parse
    from desktop_sandbox.bench.run import run

    return run(parse(argv))
