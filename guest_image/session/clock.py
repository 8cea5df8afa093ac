"""Notices that somebody has set the clock, as the agent does when a machine was restored."""

from __future__ import annotations

import errno
import os
import time
from typing import Any

_os: Any = os  # timerfd is in Python 3.13, the guest's, and not in what types are checked for
_NEVER = 2.0**32


class ClockWatch:
    """Becomes readable when somebody sets the wall clock (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET)."""

    def __init__(self) -> None:
        self._fd: int = _os.timerfd_create(time.CLOCK_REALTIME, flags=_os.TFD_NONBLOCK | _os.TFD_CLOEXEC)
        self._arm()

    def fileno(self) -> int:
        """For a selector."""
        return self._fd

    def take(self) -> bool:
        """Whether the clock was set since the last time."""
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno != errno.ECANCELED:
                raise
            self._arm()
            return True
        return False

    def _arm(self) -> None:
        flags = _os.TFD_TIMER_ABSTIME | _os.TFD_TIMER_CANCEL_ON_SET
        try:
            _os.timerfd_settime(self._fd, flags=flags, initial=_NEVER)
        except OSError as error:  # set once more since it was read: it is armed all the same
            if error.errno != errno.ECANCELED:
                raise
