"""What /metrics shows of the sandboxes' networks: connections and bytes, of all and of each that runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from desktop_sandbox.node.facts import NetworkTotals
    from desktop_sandbox.node.interface import Node

_ENDS = (("refused", "refused"), ("failed", "failed"))


class NetworkMetrics(Collector):
    """Shows what the node counted when it was looked at last."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._totals: NetworkTotals | None = None
        registry.register(self)

    def look(self, node: Node) -> None:
        """Take the figures of now."""
        self._totals = node.network_totals()

    def collect(self) -> Iterator[Metric]:
        """The figures, in Prometheus's form."""
        totals = self._totals
        if totals is None:
            return
        total = totals.total
        connections = CounterMetricFamily(
            "desktop_sandbox_network_connections",
            "Connections by what became of them.",
            labels=["outcome"],
        )
        connections.add_metric(["begun"], total["connections"])
        for outcome, name in _ENDS:
            connections.add_metric([outcome], total[name])
        yield connections
        carried = CounterMetricFamily(
            "desktop_sandbox_network_bytes", "Bytes carried for sandboxes.", labels=["direction"]
        )
        carried.add_metric(["sent"], total["sent_bytes"])
        carried.add_metric(["received"], total["received_bytes"])
        yield carried
        yield CounterMetricFamily("desktop_sandbox_network_lookups", "Names asked for.", value=total["lookups"])
        yield CounterMetricFamily(
            "desktop_sandbox_network_gateway_ends", "How often the gateway ended by itself.", value=totals.ends
        )
        yield GaugeMetricFamily(
            "desktop_sandbox_network_gateway_running", "Whether the gateway runs.", value=int(totals.running)
        )
        each = CounterMetricFamily(
            "desktop_sandbox_network_sandbox_bytes",
            "Bytes carried for one sandbox that runs.",
            labels=["sandbox", "direction"],
        )
        open_now = GaugeMetricFamily(
            "desktop_sandbox_network_open_connections", "Connections open now.", labels=["sandbox"]
        )
        for sandbox, counters in totals.by_sandbox.items():
            each.add_metric([sandbox, "sent"], counters["sent_bytes"])
            each.add_metric([sandbox, "received"], counters["received_bytes"])
            open_now.add_metric([sandbox], counters["open"])
        yield each
        yield open_now
