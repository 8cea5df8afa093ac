"""Whether a thread of the guest waits until a time of its own. Pure: reads what x86-64 Linux says of it in /proc.

A wait with a limit, of whatever length, is one: nobody can tell a job that wakes once a day from an event loop that
wakes to look round. In doubt it is one, too: what need not run may, but what has to run must not stand still.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

_MILLISECONDS = {
    7: 2,  # poll
    232: 3,  # epoll_wait
    281: 3,  # epoll_pwait
}
"""System calls whose argument (index) is a limit in ms, an int; below 0: none."""
_POINTERS = {
    23: 4,  # select
    128: 2,  # rt_sigtimedwait
    208: 4,  # io_getevents
    220: 3,  # semtimedop
    242: 4,  # mq_timedsend
    243: 4,  # mq_timedreceive
    270: 4,  # pselect6
    271: 2,  # ppoll
    299: 4,  # recvmmsg
    333: 4,  # io_pgetevents
    441: 3,  # epoll_pwait2
    449: 3,  # futex_waitv
    455: 4,  # futex_wait
}
"""System calls whose argument (index) points to the limit; 0: none."""
_ALWAYS = {
    34,  # pause, for an alarm as a rule
    35,  # nanosleep
    130,  # rt_sigsuspend, likewise
    230,  # clock_nanosleep
}
_POLL, _FUTEX, _RESTART, _URING = 7, 202, 219, 426
_FUTEX_WAITS = {0, 6, 9, 11, 13}
_URING_EXTENDED = 8
_4_GIB = 1 << 32
_SYSCALL = re.compile(r"(\d{1,9})((?: 0x[0-9a-f]{1,16}){6}) 0x([0-9a-f]{1,16}) 0x[0-9a-f]{1,16}")
_NOT_IN_ONE = re.compile(r"-1(?: 0x[0-9a-f]{1,16}){2}")

SERVICES = re.compile(
    r"dbus-daemon|dbus-broker|dbus-broker-lau|at-spi-bus-laun|at-spi2-registr|gvfs.*|dconf-service|polkitd"
    r"|xdg-desktop-por|xdg-document-po|xdg-permission-|gnome-keyring-d|systemd-.*|\(sd-pam\)"
)
"""Names (15 letters) of what a desktop starts itself when a program needs it: these may wait as they like."""


def is_timed(syscall: str | None, wchan: str = "") -> bool:
    """Whether a thread waits until a time of its own: its /proc `syscall` (None: it could not be read) and `wchan`."""
    if "nanosleep" in wchan or syscall is None:
        return True
    if _NOT_IN_ONE.fullmatch(syscall):
        return False
    found = _SYSCALL.fullmatch(syscall)
    if found is None:  # "running", or not understood
        return True
    number, arguments, stack = int(found[1]), [int(text, 16) for text in found[2].split()], int(found[3], 16)
    # a 32-bit program numbers its calls otherwise
    return stack < _4_GIB or _has_limit(number, arguments, wchan)


def _has_limit(number: int, arguments: Sequence[int], wchan: str) -> bool:
    if number == _RESTART:
        # after it stood still for a checkpoint; but for poll, only waits with a limit go on like this
        return "poll" not in wchan or _has_limit(_POLL, arguments, wchan)
    if number in _MILLISECONDS:
        return arguments[_MILLISECONDS[number]] & 0x8000_0000 == 0
    if number in _POINTERS:
        return arguments[_POINTERS[number]] != 0
    if number == _FUTEX:
        return arguments[1] & 0x7F in _FUTEX_WAITS and arguments[3] != 0
    if number == _URING:
        return arguments[3] & _URING_EXTENDED != 0
    return number in _ALWAYS


def is_armed(it_value: str) -> bool:
    """Whether a timerfd is set: the `it_value` of its fdinfo, "(s, ns)"."""
    return re.fullmatch(r"\(0, 0\)", it_value.strip()) is None
