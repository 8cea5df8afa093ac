"""The session's life: X server up, screen ready, programs started; then it sleeps until something happens."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Mapping
from pathlib import Path

from Xlib.error import ConnectionClosedError
from xvfbwrapper import Xvfb

from guest_image.agent.x.keyboard import prepare_keyboard
from guest_image.session import config
from guest_image.session.apps import Supervisor
from guest_image.session.cgroups import SessionCgroups
from guest_image.session.clock import ClockWatch
from guest_image.session.screen import Screen, connect

_X_TIMEOUT_S = 120.0
_WINDOW_MANAGER_TIMEOUT_S = 60.0
_BUS_TIMEOUT_S = 120.0
_BUS_EVERY_S = 0.05
_X_PRIORITY = 10
_CLOCK_SET_S = 1.5


def start_x_server(size: tuple[int, int], environment: Mapping[str, str], directory: Path) -> Xvfb:
    """Start Xvfb at its largest size, with its framebuffer in a file in `directory`."""
    # A killed server leaves its socket behind, and xvfbwrapper takes that for a server that is up.
    with contextlib.suppress(FileNotFoundError):
        Path(f"/tmp/.X11-unix/X{config.DISPLAY_NUMBER}").unlink()  # noqa: S108
    server = Xvfb(
        width=size[0],
        height=size[1],
        colordepth=24,
        tempdir=directory,
        display=config.DISPLAY_NUMBER,
        environ=dict(environment),
        timeout=_X_TIMEOUT_S,
        extra_args=[
            *("-fbdir", str(directory), "-noreset", "-nolisten", "tcp", "-maxclients", "2048"),
            # -dumbSched: no timer signals while it works; few clients, and each costs an emulated machine much
            *("-dpi", "96", "-s", "0", "-dpms", "-dumbSched"),
        ],
    )
    server.start()
    return server


def go_first(pid: int) -> None:
    """Let the X server run before all programs that it serves, on the processor where the agent's lane runs.

    What an agent does is then done at once however busy the programs are, and wakes no other processor.
    """
    try:
        os.sched_setaffinity(pid, {min(os.sched_getaffinity(pid))})
        os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(_X_PRIORITY))
    except OSError as error:
        print(f"x the X server runs like any program: {error}", flush=True)


def notify_systemd(message: str) -> None:
    """Tell systemd (man sd_notify); nothing where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.connect("\0" + address[1:] if address.startswith("@") else address)
            notifier.sendall(message.encode())


def wait_for_bus(path: Path, deadline: float) -> bool:
    """Wait until the user's D-Bus listens, which starts beside the X server; `deadline` in monotonic seconds."""
    while not path.exists():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_BUS_EVERY_S)
    return True


def main() -> int:
    """Run the session until it is told to stop (0) or its X server dies (1: systemd starts everything again)."""
    facts = config.load()
    directory = config.RUNTIME_DIRECTORY
    cgroups = SessionCgroups()
    environment = config.user_environment(os.getuid(), facts.environment)
    (directory / "environment").write_text(config.environment_file(environment))
    signals = _SignalPipe(signal.SIGCHLD, signal.SIGTERM)
    server = start_x_server(facts.max_resolution, environment, directory)
    try:
        display = connect(f":{config.DISPLAY_NUMBER}", time.monotonic() + _X_TIMEOUT_S)
        screen = Screen(display, facts.resolution, directory)
        # before any program can grab keys that typing will need
        prepare_keyboard(display)
        go_first(server.proc.pid)
        notify_systemd("READY=1")
        print(f"= screen {facts.resolution[0]}x{facts.resolution[1]}, X server {server.proc.pid}", flush=True)
        if not wait_for_bus(Path(environment["XDG_RUNTIME_DIR"]) / "bus", time.monotonic() + _BUS_TIMEOUT_S):
            print(f"x the user's D-Bus did not start within {_BUS_TIMEOUT_S:.0f} s", flush=True)
        supervisor = Supervisor(environment, cgroups.enter_apps, Path(environment["HOME"]))
        return _serve(facts, screen, server, supervisor, signals)
    except (ConnectionClosedError, ConnectionError) as error:
        print(f"x the X server is gone: {error}", flush=True)
        return 1
    finally:
        signal.set_wakeup_fd(-1)
        server.stop()


def _serve(
    facts: config.SessionConfig, screen: Screen, server: Xvfb, supervisor: Supervisor, signals: _SignalPipe
) -> int:
    for app in (*(app for app in facts.apps if app.early), facts.window_manager):
        supervisor.start(app)
    waiting = [app for app in facts.apps if not app.early]
    deadline = time.monotonic() + _WINDOW_MANAGER_TIMEOUT_S
    clock_set = config.AppConfig(facts.clock_set, restart=False)
    clock = ClockWatch()
    with selectors.DefaultSelector() as selector:
        selector.register(screen, selectors.EVENT_READ)
        selector.register(signals, selectors.EVENT_READ)
        selector.register(clock, selectors.EVENT_READ)
        while True:
            screen.handle_events()
            if waiting and (screen.window_manager_seen or time.monotonic() >= deadline):
                for app in waiting:
                    supervisor.start(app)
                waiting = []
            timeout = supervisor.run_due()
            if waiting:
                timeout = min(timeout or _WINDOW_MANAGER_TIMEOUT_S, max(0.0, deadline - time.monotonic()))
            screen.handle_events()
            selector.select(timeout)
            if clock.take() and facts.clock_set:
                # not at once: a restored machine has better things to do in its first second
                supervisor.start_later(clock_set, _CLOCK_SET_S)
            for number in signals.take():
                if number == signal.SIGTERM:
                    return 0
                supervisor.reap()
            if server.proc.poll() is not None:
                print(f"x the X server ended with {server.proc.returncode}", flush=True)
                return 1


class _SignalPipe:
    """Signals as bytes that a selector can wait for."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        return self._reader.fileno()

    def take(self) -> list[int]:
        try:
            return list(dict.fromkeys(self._reader.recv(4096)))
        except BlockingIOError:
            return []
