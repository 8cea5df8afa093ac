"""The command line. Imports nothing heavy until a command needs it."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `desktop-sandbox`: exit code 2 for wrong usage, 1 for errors, which are told without a traceback."""
    from desktop_sandbox.cli.app import app
    from desktop_sandbox.cli.output import shown_lines
    from desktop_sandbox.errors import DesktopSandboxError

    try:
        app()
    except DesktopSandboxError as error:
        print(f"error: {shown_lines(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"hint: {shown_lines(error.hint)}", file=sys.stderr)
        raise SystemExit(1) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
