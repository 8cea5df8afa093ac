"""Changes the size of the screen while it runs, by RandR, on an Xvfb that was started at its largest size.

A screen must contain its CRTC at every moment: growing makes the screen larger first, shrinking makes it smaller last.
See the RandR protocol 1.4, "Resizing the screen".
"""

from __future__ import annotations

from typing import Any

from Xlib import X
from Xlib.error import XError
from Xlib.ext import randr

_DPI = 96


class ScreenSizeError(Exception):
    """The screen cannot have this size; `message` says why, `hint` what is allowed."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(f"{message} ({hint})")
        self.message = message
        self.hint = hint


def current_size(display: Any) -> tuple[int, int]:
    """Width and height of the screen in pixels, asked of the server."""
    geometry = display.screen().root.get_geometry()
    return geometry.width, geometry.height


def maximum_size(display: Any) -> tuple[int, int]:
    """The largest width and height the server allows."""
    limits = display.screen().root.xrandr_get_screen_size_range()
    return limits.max_width, limits.max_height


def set_screen_size(display: Any, width: int, height: int) -> None:
    """Make the screen width × height pixels, odd sizes too. Raises ScreenSizeError; then the size is as it was."""
    root = display.screen().root
    limits = root.xrandr_get_screen_size_range()
    if not (limits.min_width <= width <= limits.max_width and limits.min_height <= height <= limits.max_height):
        raise ScreenSizeError(
            f"the screen cannot be {width}×{height}",
            f"from {limits.min_width}×{limits.min_height} to {limits.max_width}×{limits.max_height}",
        )
    before = current_size(display)
    if before == (width, height):
        return
    display.grab_server()
    try:
        _resize(display, root, before, width, height)
    except XError as error:
        raise ScreenSizeError(f"the X server refused {width}×{height}: {error}", "see the session's log") from error
    finally:
        display.ungrab_server()
        display.sync()
    if current_size(display) != (width, height):
        raise ScreenSizeError(f"the screen did not become {width}×{height}", "see the session's log")


def _resize(display: Any, root: Any, before: tuple[int, int], width: int, height: int) -> None:
    resources = root.xrandr_get_screen_resources()
    output, crtc = resources.outputs[0], resources.crtcs[0]
    mode = _mode(display, root, resources, output, width, height)
    _set_screen(root, max(before[0], width), max(before[1], height))
    try:
        _set_crtc(display, root, crtc, mode, [output])
    except (XError, ScreenSizeError):
        _set_screen(root, *before)
        raise
    _set_screen(root, width, height)
    _forget_modes(display, root, output, keep=mode)


def _mode(display: Any, root: Any, resources: Any, output: int, width: int, height: int) -> int:
    offered = set(display.xrandr_get_output_info(output, resources.config_timestamp).modes)
    for mode in resources.modes:
        if (mode.width, mode.height) == (width, height):
            if mode.id not in offered:
                display.xrandr_add_output_mode(output, mode.id)
            return int(mode.id)
    name = f"{width}x{height}"
    timing = (0, width, height, width * height * 60, width, width, width, 0, height, height, height, len(name), 0)
    mode_id = int(root.xrandr_create_mode(timing, name).mode)
    display.xrandr_add_output_mode(output, mode_id)
    return mode_id


def _set_screen(root: Any, width: int, height: int) -> None:
    root.xrandr_set_screen_size(width, height, round(width * 25.4 / _DPI), round(height * 25.4 / _DPI))


def _set_crtc(display: Any, root: Any, crtc: int, mode: int, outputs: list[int]) -> None:
    timestamp = root.xrandr_get_screen_resources().config_timestamp
    answer = display.xrandr_set_crtc_config(crtc, timestamp, 0, 0, mode, randr.Rotate_0, outputs, X.CurrentTime)
    if answer.status != randr.SetConfigSuccess:
        raise ScreenSizeError(f"RandR answered status {answer.status}", "another program changes the screen, try again")


def _forget_modes(display: Any, root: Any, output: int, keep: int) -> None:
    """Take away modes of former sizes, which would pile up: those of 60 Hz without blanking are ours."""
    for mode in root.xrandr_get_screen_resources().modes:
        if mode.id != keep and mode.h_total == mode.width and mode.v_total == mode.height:
            display.xrandr_delete_output_mode(output, mode.id)
            display.xrandr_destroy_mode(mode.id)
