"""Many actions in one call, with the settled screen as the answer; and what happens when one cannot be done.

python examples/batch.py [TEMPLATE] [PICTURE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from desktop_sandbox import InvalidActionError, Sandbox


def main(template: str = "desktop", picture: str = "batch.jpg") -> None:
    """One round trip instead of six."""
    with Sandbox.create(template, timeout=300) as desktop:
        result = desktop.act(
            [
                {"type": "move", "x": 640, "y": 400},
                {"type": "click", "count": 2, "modifiers": ["shift"]},
                {"type": "drag", "path": [[300, 300], [500, 350], [520, 420]], "duration_ms": 200},
                {"type": "scroll", "x": 640, "y": 400, "dy": 3},
                {"type": "key", "keys": "escape"},
                {"type": "cursor_position"},
            ],
            # taken when nothing has changed for 200 ms, or after 5 s as it is then
            screenshot={"format": "jpeg", "quality": 80, "stable": 200, "deadline": 5000},
        )
        position = result.results[5]
        print(f"the pointer is at ({position['x']}, {position['y']})")
        if result.screenshot is not None:
            Path(picture).write_bytes(result.screenshot.data)
            print(f"saved {picture}, {result.screenshot.width}×{result.screenshot.height}")

        # A batch is checked as a whole first: nothing of this one is done.
        try:
            desktop.act([{"type": "move", "x": 0, "y": 0}, {"type": "key", "keys": "contrl+s"}])
        except InvalidActionError as error:
            print(f"refused: {error.message} (hint: {error.hint})")
        print("the pointer is still at", desktop.get_cursor_position())


if __name__ == "__main__":
    main(*sys.argv[1:])
