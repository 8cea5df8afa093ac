# Generated from ../_async by python -m desktop_sandbox.sdk.generate: change that, not this.
"""Acting on a desktop and looking at it: the part of a sandbox that a person would do with hands and eyes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

from desktop_sandbox import errors
from desktop_sandbox.sdk import runtime
from desktop_sandbox.sdk.models import ActResult, Screenshot, Window, parse_batch, parse_picture, parse_window
from desktop_sandbox.sdk.requests import (
    Button,
    Direction,
    ImageFormat,
    Point,
    Region,
    act_wait_s,
    at,
    held,
    screenshot_query,
    scrolled,
    text_chunks,
    typed_before,
    waiting,
)

if TYPE_CHECKING:
    import httpx

    from desktop_sandbox.sdk._sync.connection import Connection

_DRIVING_S = 120.0


class Desktop:
    """Pointer, keyboard, screen and windows. Coordinates are screen pixels from the top left corner."""

    _connection: Connection
    _path: str
    wait_for_control: float
    """So many seconds each action waits while a person drives, before it is refused with ControlHeldError."""

    def act(
        self,
        actions: Sequence[Mapping[str, Any]],
        *,
        screenshot: bool | Mapping[str, Any] = False,
        changes: bool | Mapping[str, Any] = False,
        timeout: float | None = None,
        wait_for_control: float | None = None,
    ) -> ActResult:
        """Run actions in order, for example `{"type": "click", "x": 4, "y": 5}`.

        `screenshot` returns the settled screen at the end (a mapping gives format, quality, scale, region, cursor,
        stable, deadline). `changes` also tells what they changed on the screen, once it has settled (a mapping gives
        region, ignore, quiet_ms, reaction_ms, timeout).

        Raises InvalidActionError before anything is done, and ActionFailedError at the first action that fails: its
        `evidence` has `index`, and the `results` of those before it. DeadlineError after `timeout` seconds (None: as
        long as such actions may take) has the same. While a person drives the desktop it waits `wait_for_control`
        seconds (None: the attribute of that name), then raises ControlHeldError. A caller that leaves (its task is
        cancelled, or Ctrl-C) stops the batch.
        """
        body: dict[str, Any] = {"actions": list(actions)}
        if screenshot is not False:
            body["screenshot"] = screenshot if screenshot is True else dict(screenshot)
        if changes is not False:
            body["changes"] = changes if changes is True else dict(changes)
        if timeout is not None:
            body["timeout"] = timeout
        patience = self.wait_for_control if wait_for_control is None else wait_for_control
        if patience:
            body["wait_for_control"] = patience
        path, wait = f"{self._path}/actions", act_wait_s(body)
        try:
            answer = self._connection.request("POST", path, body=body, timeout=wait, cancel=True)
        except (errors.ActionFailedError, errors.DeadlineError) as error:
            shots = error.evidence.get("screenshots")
            if isinstance(shots, Mapping):
                error.evidence["screenshots"] = {int(i): parse_picture(shot) for i, shot in shots.items()}
            final = error.evidence.get("screenshot")
            error.evidence["screenshot"] = parse_picture(final) if isinstance(final, Mapping) else None
            raise
        return parse_batch(answer.json())

    def left_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click, at a place or where the pointer is."""
        self._click(x, y, "left", 1, modifiers)

    def right_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click with the right button."""
        self._click(x, y, "right", 1, modifiers)

    def middle_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click with the middle button."""
        self._click(x, y, "middle", 1, modifiers)

    def double_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click twice."""
        self._click(x, y, "left", 2, modifiers)

    def triple_click(self, x: int | None = None, y: int | None = None, *, modifiers: Sequence[str] = ()) -> None:
        """Click three times."""
        self._click(x, y, "left", 3, modifiers)

    def move_mouse(self, x: int, y: int) -> None:
        """Move the pointer."""
        self.act([{"type": "move", "x": x, "y": y}])

    def mouse_press(self, button: Button = "left") -> None:
        """Press a button and keep it pressed."""
        self.act([{"type": "mouse_down", "button": button}])

    def mouse_release(self, button: Button = "left") -> None:
        """Let a button go."""
        self.act([{"type": "mouse_up", "button": button}])

    def drag(
        self,
        start: Point,
        end: Point,
        *via: Point,
        button: Button = "left",
        modifiers: Sequence[str] = (),
        duration_ms: int | None = None,
    ) -> None:
        """Drag from `start` to `end`, and on to further points; `duration_ms` is the whole path's."""
        action: dict[str, Any] = {"type": "drag", "path": [start, end, *via], "button": button, **held(modifiers)}
        if duration_ms is not None:
            action["duration_ms"] = duration_ms
        self.act([action])

    def scroll(
        self,
        direction: Direction = "down",
        amount: int = 1,
        *,
        x: int | None = None,
        y: int | None = None,
        modifiers: Sequence[str] = (),
    ) -> None:
        """Turn the wheel by `amount` steps, at a place or where the pointer is."""
        self.act([{"type": "scroll", **at(x, y), **scrolled(direction, amount), **held(modifiers)}])

    def write(self, text: str, *, delay_ms: int = 0) -> None:
        """Type text, any Unicode; `delay_ms` between characters. What fails says in `evidence["partial"]["typed"]` how
        many characters of the text were typed."""
        delay = {"delay_ms": delay_ms} if delay_ms else {}
        done = 0
        for chunk in text_chunks(text):
            try:
                self.act([{"type": "type", "text": chunk, **delay}])
            except errors.DesktopSandboxError as error:
                typed_before(error, done, len(text))
                raise
            done += len(chunk)

    def press(self, key: str | Sequence[str], *, repeat: int = 1) -> None:
        """Press a key or a combination: "enter", "ctrl+s" or ["ctrl", "s"]."""
        keys = key if isinstance(key, str) else list(key)
        self.act([{"type": "key", "keys": keys, "repeat": repeat}])

    def hold(self, key: str | Sequence[str], duration_ms: int) -> None:
        """Hold a key or a combination for a time."""
        keys = key if isinstance(key, str) else list(key)
        self.act([{"type": "hold", "keys": keys, "duration_ms": duration_ms}])

    def key_down(self, key: str) -> None:
        """Press a key and keep it pressed."""
        self.act([{"type": "key_down", "key": key}])

    def key_up(self, key: str) -> None:
        """Let a key go."""
        self.act([{"type": "key_up", "key": key}])

    def get_cursor_position(self) -> tuple[int, int]:
        """Where the pointer is: (x, y)."""
        result = self.act([{"type": "cursor_position"}])
        return result.results[0]["x"], result.results[0]["y"]

    def wait(self, ms: int) -> None:
        """Do nothing for a time."""
        runtime.sync_sleep(ms / 1000)

    @overload
    def screenshot(
        self,
        format: Literal["stream"],
        *,
        quality: int = 80,
        scale: float = 1.0,
        region: Region | None = None,
        cursor: bool = True,
        stable_ms: int | None = None,
        deadline_ms: int = 5000,
    ) -> Iterator[bytes]: ...

    @overload
    def screenshot(
        self,
        format: ImageFormat = "png",
        *,
        quality: int = 80,
        scale: float = 1.0,
        region: Region | None = None,
        cursor: bool = True,
        stable_ms: int | None = None,
        deadline_ms: int = 5000,
    ) -> bytes: ...

    def screenshot(
        self,
        format: ImageFormat | Literal["stream"] = "png",
        *,
        quality: int = 80,
        scale: float = 1.0,
        region: Region | None = None,
        cursor: bool = True,
        stable_ms: int | None = None,
        deadline_ms: int = 5000,
    ) -> bytes | Iterator[bytes]:
        """The screen as png, jpeg, webp or raw (RGB rows); "bytes" is a png, "stream" one in chunks (as in E2B).

        `region` is (x, y, width, height); `scale` in (0, 1]; `stable_ms` waits until nothing changed for so long,
        within `deadline_ms`. `capture` returns the picture's size as well. A raw picture of a sandbox on this host is
        read out of its memory directly, by the user who runs the server.
        """
        query = screenshot_query(format, quality, scale, region, cursor, stable_ms, deadline_ms)
        if format == "stream":
            return self._screenshot_chunks(query)
        screens = self._connection.screens
        if format == "raw" and scale == 1 and stable_ms is None and screens is not None:
            sandbox_id = self._path.rpartition("/")[2]
            data = runtime.sync_raw(screens, sandbox_id, region, cursor=cursor)
            if data is not None:
                return data
        return (self._connection.request("GET", f"{self._path}/screenshot", params=query)).content

    def capture(
        self,
        format: ImageFormat = "png",
        *,
        quality: int = 80,
        scale: float = 1.0,
        region: Region | None = None,
        cursor: bool = True,
        stable_ms: int | None = None,
        deadline_ms: int = 5000,
        keep: bool = False,
    ) -> Screenshot:
        """As `screenshot`, with the picture's size, media type, and whether it was stable.

        With `keep` the server keeps what the whole screen showed then for ten minutes, as `moment`: see `changes`.
        """
        query = screenshot_query(format, quality, scale, region, cursor, stable_ms, deadline_ms)
        if keep:
            query["keep"] = "true"
        answer = self._connection.request("GET", f"{self._path}/screenshot", params=query)
        stable = answer.headers.get("X-Screen-Stable")
        return Screenshot(
            data=answer.content,
            media_type=answer.headers["Content-Type"],
            width=int(answer.headers["X-Screen-Width"]),
            height=int(answer.headers["X-Screen-Height"]),
            stable=None if stable is None else stable == "true",
            moment=answer.headers.get("X-Screen-Moment"),
        )

    def windows(self) -> list[Window]:
        """All windows, bottom to top."""
        answer = self._connection.request("GET", f"{self._path}/windows")
        return [parse_window(window) for window in answer.json()["windows"]]

    def get_current_window_id(self) -> str | None:
        """The active window's id; None if no window is active."""
        return next((window.id for window in self.windows() if window.active), None)

    def get_application_windows(self, application: str) -> list[str]:
        """Ids of an application's windows: those whose class contains the name, in any case."""
        name = application.lower()
        return [window.id for window in self.windows() if name in window.window_class.lower()]

    def get_window_title(self, window_id: str) -> str:
        """A window's title; NotFoundError if there is no such window."""
        for window in self.windows():
            if window.id == window_id:
                return window.title
        raise errors.NotFoundError(f"there is no window {window_id}", hint="windows() lists those there are")

    def launch(self, application: str | Sequence[str], uri: str | None = None) -> int:
        """Start an app by name, desktop file, or program and arguments; its process id. It runs on by itself."""
        app = application if isinstance(application, str) else list(application)
        pid: int = (self._driving("POST", "launch", {"app": app, "uri": uri})).json()["pid"]
        return pid

    def open(self, file_or_url: str) -> None:
        """Open a file or an address with the desktop's default app."""
        self._driving("POST", "open", {"target": file_or_url})

    def _driving(self, method: str, what: str, body: dict[str, Any]) -> httpx.Response:
        """What is refused, or waits `wait_for_control` seconds, while a person drives."""
        wait = _DRIVING_S + self.wait_for_control
        asked = waiting(body, self.wait_for_control)
        return self._connection.request(method, f"{self._path}/{what}", body=asked, timeout=wait)

    def _click(self, x: int | None, y: int | None, button: Button, count: int, modifiers: Sequence[str]) -> None:
        self.act([{"type": "click", **at(x, y), "button": button, "count": count, **held(modifiers)}])

    def _screenshot_chunks(self, query: dict[str, str]) -> Iterator[bytes]:
        path = f"{self._path}/screenshot"
        with self._connection.stream("GET", path, params=dict(query)) as response:
            yield from response.iter_bytes()
