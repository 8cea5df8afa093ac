"""When a machine may be frozen. Pure: samples and looks are passed in, time too.

From outside: nobody asks, nobody watches, and its process uses no more of a core than an idle desktop does. That alone
would stop a job that sleeps most of the time; so the guest is looked into. Where something was started since its
template was made, it must not have run between two looks, nor sleep until a time of its own.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from desktop_sandbox.node.waiting import SERVICES, is_armed, is_timed

LOOK = ("sh", "-c", "echo $$; exec grep -s . /proc/uptime /proc/[0-9]*/stat")
"""What is run in the guest: its own pid, then lines of files with their names."""
MAX_LOOK_BYTES = 1 << 20
MAX_YOUNG = 200
"""More programs than this are not looked at closely: they count as work."""
IDLE_SHARE = 0.10
"""Of a core: an idle desktop with a browser uses half of this under emulation."""
_OLD_S = 1.0
_LINE = re.compile(r"/proc/(?:(uptime)|(\d{1,7})/stat):(.*)")
_CLOSER = re.compile(
    r"/proc/(\d{1,7})/(?:(comm)|(timers)|(fdinfo)/\d{1,7}|task/(\d{1,7})/(schedstat|syscall|wchan)):(.*)"
)
_KTHREADD = 2
_TICKS = 100


@dataclass(frozen=True)
class Programs:
    """The guest's processes, its kernel's and the look itself left out: when each was started (s after boot)."""

    uptime_s: float
    started_s: Mapping[int, float]

    def young(self, template_uptime_s: float) -> set[int]:
        """Those that were started after the template was made."""
        return {pid for pid, at in self.started_s.items() if at > template_uptime_s - _OLD_S}


@dataclass(frozen=True)
class Program:
    """A process seen closely: whether a thread sleeps until a time of its own, and what its threads ran so far."""

    asleep: bool
    ran: Mapping[int, str]


UNSEEN = Program(asleep=True, ran={})
"""One that could not be looked at."""


def closer(pids: Collection[int]) -> tuple[str, ...]:
    """What is run in the guest to see these processes closely."""
    every = sorted(pids)
    # the threads' own calls last: what they run is read before, so that no wait between the two is missed
    names = ("comm", "task/[0-9]*/schedstat", "task/[0-9]*/wchan", "task/[0-9]*/syscall")
    files, timers, open_files = (
        " ".join(f"/proc/{pid}/{name}" for pid in every for name in wanted)
        for wanted in (names, ("timers",), ("fdinfo/*",))
    )
    return (
        "sh",
        "-c",
        f"grep -Hs . {files}; grep -Hs ^ID: {timers}; exec grep -Hs ^it_value: {open_files}",
    )


def parse_programs(text: str) -> Programs:
    """Read what LOOK printed. What is not understood is left out: who lies keeps but itself awake or asleep."""
    first, _, rest = text.partition("\n")
    own = int(first) if first.isascii() and first.isdigit() and len(first) < 8 else -1
    uptime_s = 0.0
    started: dict[int, float] = {}
    for line in rest.splitlines():
        found = _LINE.fullmatch(line)
        if found is None:
            continue
        if found[1]:
            uptime_s = _number(found[3].split(" ")[0])
        else:
            pid, fields = int(found[2]), found[3].rpartition(")")[2].split()
            if len(fields) > 19 and pid not in (own, _KTHREADD) and int(_number(fields[1])) != _KTHREADD:
                started[pid] = _number(fields[19]) / _TICKS
    return Programs(uptime_s, started)


def parse_closer(text: str) -> dict[int, Program]:
    """Read what the closer look printed."""
    ran: dict[int, dict[int, str]] = {}
    calls: dict[tuple[int, int], dict[str, str]] = {}
    with_timer: set[int] = set()
    services: set[int] = set()
    for line in text.splitlines():
        found = _CLOSER.fullmatch(line)
        if found is None:
            continue
        pid, said = int(found[1]), found[7]
        if found[2]:
            if SERVICES.fullmatch(said):
                services.add(pid)
        elif found[5]:
            thread = int(found[5])
            calls.setdefault((pid, thread), {})[found[6]] = said
            if found[6] == "schedstat":
                ran.setdefault(pid, {})[thread] = said
        elif found[3] or is_armed(said.partition(":")[2]):
            with_timer.add(pid)
    timed = {pid for (pid, _), call in calls.items() if is_timed(call.get("syscall"), call.get("wchan", ""))}
    asleep = (timed | with_timer) - services
    return {pid: Program(pid in asleep, threads) for pid, threads in ran.items()}


def seen(young: Collection[int], closely: Mapping[int, Program]) -> dict[int, Program]:
    """These programs as they were seen closely; one that was not seen counts as work."""
    if len(young) > MAX_YOUNG:
        return dict.fromkeys(young, UNSEEN)
    return {pid: closely.get(pid, UNSEEN) for pid in young}


def _number(text: str) -> float:
    try:
        return float(text) if len(text) < 20 else 0.0
    except ValueError:
        return 0.0


def is_at_work(before: Mapping[int, Program], now: Mapping[int, Program]) -> bool:
    """Whether one of these programs came, went or ran between two looks, or waits for its time."""
    return before != now or any(program.asleep for program in now.values())


@dataclass
class Idleness:
    """One machine's quiet. `after_s`: how long it has to be quiet."""

    after_s: float
    since: float
    looked: Mapping[int, Program] | None = None
    _samples: deque[tuple[float, float]] = field(default_factory=deque)
    _not_before: float = 0.0
    _pause_s: float = 0.0

    def disturbed(self, now: float) -> None:
        """Somebody asked something, or watches."""
        self.since = now
        self.looked = None
        self._samples.clear()
        self._not_before = now + self.after_s
        self._pause_s = 0.0

    def sample(self, now: float, cpu_s: float) -> None:
        """Its process has used so many seconds of CPU by now."""
        self._samples.append((now, cpu_s))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self.after_s / 2:
            self._samples.popleft()

    def wants_look(self, now: float) -> bool:
        """Whether it has been quiet for long enough to look into the guest."""
        return now >= max(self._not_before, self.since + self.after_s) and self._is_quiet()

    def found(self, now: float, young: Mapping[int, Program]) -> bool:
        """What was seen in the guest; True: freeze it. What works is looked at ever more seldom."""
        before, self.looked = self.looked, young
        # what the look itself cost does not count
        self._samples.clear()
        if not young:
            return True
        self._not_before = now + self.after_s / 2
        if before is None:
            return False
        if is_at_work(before, young):
            self._pause_s = min(60.0, max(self.after_s / 2, 2 * self._pause_s))
            self._not_before = now + self._pause_s
            return False
        return True

    def _is_quiet(self) -> bool:
        if len(self._samples) < 2:
            return False
        (began, cpu_then), (now, cpu_now) = self._samples[0], self._samples[-1]
        return now - began >= self.after_s / 2 - 1.5 and (cpu_now - cpu_then) <= IDLE_SHARE * (now - began)
