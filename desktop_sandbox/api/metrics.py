"""What /metrics shows: requests and their latency by route, sandboxes by state, time to create one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from desktop_sandbox.api.network_metrics import NetworkMetrics
from desktop_sandbox.api.stream_metrics import StreamMetrics
from desktop_sandbox.node.facts import SandboxState

if TYPE_CHECKING:
    from desktop_sandbox.node.interface import Node
    from desktop_sandbox.stream.views import Views

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_CREATE = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.75, 1, 2, 5, 20, 120)


class Metrics:
    """Counters of one app; a registry of its own, so that two apps in one process do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("method", "route")
        self._requests = Counter(
            "desktop_sandbox_requests", "Requests answered.", (*labels, "status"), registry=self._registry
        )
        self._latency = Histogram(
            "desktop_sandbox_request_seconds",
            "Time from a request's headers to the end of its answer.",
            labels,
            buckets=_LATENCY,
            registry=self._registry,
        )
        self._create = Histogram(
            "desktop_sandbox_create_seconds", "Time to create a sandbox.", buckets=_CREATE, registry=self._registry
        )
        self._sandboxes = Gauge("desktop_sandbox_sandboxes", "Sandboxes by state.", ("state",), registry=self._registry)
        self._frozen = Gauge(
            "desktop_sandbox_frozen", "Running sandboxes that stand still in memory.", registry=self._registry
        )
        self._stream = StreamMetrics(self._registry)
        self._network = NetworkMetrics(self._registry)

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request; `route` is the pattern, never the path."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(method, route).observe(seconds)

    def created(self, seconds: float) -> None:
        """Note how long one create took."""
        self._create.observe(seconds)

    async def text(self, node: Node, views: Views) -> bytes:
        """The page in Prometheus's text format."""
        await self._stream.look(views)
        self._network.look(node)
        counts = dict.fromkeys(SandboxState, 0)
        frozen = 0
        cursor: str | None = None
        while True:
            page = await node.list(limit=1000, cursor=cursor)
            for sandbox in page.sandboxes:
                counts[sandbox.state] += 1
                frozen += sandbox.frozen
            cursor = page.cursor
            if cursor is None:
                break
        for state, count in counts.items():
            self._sandboxes.labels(str(state)).set(count)
        self._frozen.set(frozen)
        return generate_latest(self._registry)
