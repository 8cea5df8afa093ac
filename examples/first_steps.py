"""A first desktop: open a terminal, type into it, look at the screen, save what is there.

    python examples/first_steps.py [TEMPLATE] [PICTURE]

Needs a running server (`make run`).
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from desktop_sandbox import Sandbox


def wait_for_window(desktop: Sandbox, application: str, timeout: float = 30) -> str:
    """The id of an application's first window, once there is one."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        windows = desktop.get_application_windows(application)
        if windows:
            return windows[0]
        time.sleep(0.2)
    raise TimeoutError(f"no window of {application} within {timeout} s")


def main(template: str = "desktop", picture: str = "screen.png") -> None:
    """Create, act, look; the desktop is gone when the block ends."""
    with Sandbox.create(template, timeout=300) as desktop:
        width, height = desktop.get_screen_size()
        print(f"{desktop.sandbox_id}: {width}×{height}")

        desktop.launch(["xterm", "-T", "first steps", "-geometry", "90x24+200+160"])
        window = wait_for_window(desktop, "xterm")
        print("a terminal:", desktop.get_window_title(window))

        desktop.left_click(400, 300)
        desktop.write("echo 'héllo 世界'\n")
        # wait until the screen has not changed for 300 ms, then take it
        Path(picture).write_bytes(desktop.screenshot(stable_ms=300))
        print("saved", picture)


if __name__ == "__main__":
    main(*sys.argv[1:])
