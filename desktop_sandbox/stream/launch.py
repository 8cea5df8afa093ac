"""Starts the media process behind its wall, and ends it. Knows nothing of what is said over its socket."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from desktop_sandbox.errors import ConfigurationError
from desktop_sandbox.microvm.wall import Wall

Launch = Callable[[socket.socket], "subprocess.Popen[bytes]"]
"""Starts a media process that holds the socket's other end (blocking, some ms)."""

_LOG_BYTES = 1 << 20
_FILES = 4096


def launcher(wall: Wall, log: Path, *, file_limit_bytes: int, environ: Mapping[str, str] = os.environ) -> Launch:
    """How the media process is started; what it says on stderr goes to `log`, which is begun anew above 1 MiB."""

    def launch(end: socket.socket) -> subprocess.Popen[bytes]:
        with suppress(OSError):
            if log.stat().st_size > _LOG_BYTES:
                log.unlink()
        argv = wall.command([sys.executable, "-m", "streamer", "--control-fd", str(end.fileno())])
        kept = {name: environ[name] for name in ("PATH", "HOME", "LANG", "VIRTUAL_ENV") if name in environ}
        with log.open("ab") as stderr:
            try:
                child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=stderr,
                    stderr=stderr,
                    pass_fds=(end.fileno(),),
                    env=kept,
                    start_new_session=True,
                )
            except OSError as error:
                raise ConfigurationError(f"the media process cannot be started: {error}") from error
        for what, limit in (
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_NOFILE, _FILES),
            (resource.RLIMIT_FSIZE, file_limit_bytes),
        ):
            with suppress(ProcessLookupError, PermissionError, ValueError):
                resource.prlimit(child.pid, what, (limit, limit))
        return child

    return launch
