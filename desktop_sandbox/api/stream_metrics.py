"""What /metrics shows of the live view, asked of the media process when somebody looks. Nothing is started for it.

No label is a sandbox or a viewer: those come and go without end.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from statistics import median
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from desktop_sandbox.errors import DesktopSandboxError

if TYPE_CHECKING:
    from desktop_sandbox.stream.views import Views

log = logging.getLogger("desktop_sandbox.api")

STATS_S = 2.0
_STAGES = ("captured", "encoded", "sent")
_TOTALS = ("captured", "encoded", "dropped", "keyframes")


class StreamMetrics:
    """Gauges and counters of the live view."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
            return Gauge(f"desktop_sandbox_{name}", text, labels, registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(f"desktop_sandbox_{name}", text, labels, registry=registry)

        self._viewers = gauge("viewers", "Viewers that see a picture.", ("transport",))
        self._watched = gauge("watched_desktops", "Desktops that the media process reads.")
        self._up = gauge("streamer_up", "Whether a media process runs.")
        self._recordings = gauge("recordings_active", "Recordings that are going on.")
        self._fps = gauge("stream_fps", "Frames in the last second, all viewers.")
        self._kbps = gauge("stream_bitrate_kbps", "Bits sent in the last second, all viewers.")
        self._loss = gauge("stream_loss_ratio", "Packet loss, the worst viewer's.")
        self._rtt = gauge("stream_rtt_seconds", "Round trip, the median over viewers.")
        self._stage = gauge("stream_stage_seconds", "Time a frame takes, the median over viewers.", ("stage",))
        self._input = gauge("input_seconds", "From a viewer's input to the guest's answer, the median over desktops.")
        self._restarts = counter("streamer_restarts", "Media processes that ended by themselves.")
        self._begun = counter("recordings_begun", "Recordings begun.")
        self._frames = counter(
            "stream_frames", "Frames, by what became of them; keyframes are also encoded.", ("what",)
        )
        self._lost_input = counter("input_dropped", "Viewers' input that a slow guest lost.")
        self._seen: dict[tuple[str, str], float] = {}

    async def look(self, views: Views) -> None:
        """Set everything to what is now."""
        by_transport = dict.fromkeys(("webrtc", "socket"), 0)
        for viewer in views.viewers.values():
            by_transport[viewer.transport] += viewer.live
        for transport, count in by_transport.items():
            self._viewers.labels(transport).set(count)
        self._up.set(views.supervisor.running)
        self._recordings.set(views.recorder.count)
        self._grow(self._restarts, "restarts", "", views.supervisor.restarts)
        self._grow(self._begun, "begun", "", views.recorder.begun)
        times = [median(desk.driver.seconds) for desk in views.desks.values() if desk.driver.seconds]
        self._input.set(median(times) if times else 0)
        for sandbox, desk in views.desks.items():
            self._grow(self._lost_input, "input", sandbox, desk.driver.dropped)
        desktops = await _stats(views)
        self._watched.set(len(desktops))
        for sandbox, totals in desktops.items():
            for what in _TOTALS:
                self._grow(self._frames.labels(what), what, sandbox, _number(totals.get(what)))
        self._look_at_viewers([found for totals in desktops.values() for found in _viewers(totals)])
        gone = {key for key in self._seen if key[1] and key[1] not in views.desks and key[1] not in desktops}
        for key in gone:
            del self._seen[key]

    def _look_at_viewers(self, viewers: list[Mapping[str, Any]]) -> None:
        self._fps.set(sum(_number(found.get("fps")) for found in viewers))
        self._kbps.set(sum(_number(found.get("bitrate_kbps")) for found in viewers))
        self._loss.set(max((_number(found.get("loss")) for found in viewers), default=0))
        self._rtt.set(_median(found.get("rtt_ms") for found in viewers) / 1000)
        for stage in _STAGES:
            values = (found["ms"].get(stage) for found in viewers if isinstance(found.get("ms"), Mapping))
            self._stage.labels(stage).set(_median(values) / 1000)

    def _grow(self, counter: Counter, what: str, whose: str, total: float) -> None:
        """Add what came since the last look; a media process that was started anew counts from the beginning."""
        before = self._seen.get((what, whose), 0.0)
        self._seen[what, whose] = total
        counter.inc(total - before if total >= before else total)


async def _stats(views: Views) -> dict[str, Mapping[str, Any]]:
    link = views.supervisor.link_now()
    if link is None:
        return {}
    try:
        desktops = (await link.request("stats", {}, deadline_s=STATS_S)).get("desktops")
    except DesktopSandboxError as error:
        log.debug("no stats of the media process: %s", error.message)
        return {}
    found = desktops if isinstance(desktops, Mapping) else {}
    return {str(sandbox): totals for sandbox, totals in found.items() if isinstance(totals, Mapping)}


def _viewers(totals: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    viewers = totals.get("viewers")
    return [found for found in viewers.values() if isinstance(found, Mapping)] if isinstance(viewers, Mapping) else []


def _median(values: Iterable[object]) -> float:
    known = [_number(value) for value in values if value is not None]
    return median(known) if known else 0.0


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0
