"""Compare the server's histogram of node times over a phase with the node times in the answers."""

from __future__ import annotations

import msgspec

from aether_load.analysis.server.scrape import Scrape
from aether_load.analysis.statistics.distribution import QUANTILES, Distribution, distribution
from aether_load.analysis.statistics.histogram import Interval, QuantileInterval, mean_interval, quantile_interval
from aether_load.rundata.samples.table import PhaseSamples

_PUBLISHED = ("p50", "p90", "p95", "p99")


class ServerNodes(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own histogram of successful nodes over a phase: nodes, not requests, and intervals, not points.

    `answered_node_time_ms` is exact, of the same nodes as far as they are our own: the times in the answers of the
    whole phase, cut off to whole ms. On a trusted run each of its percentiles lies in the interval of that name.
    In the same buckets both sides stand in the reconciliation.
    """

    nodes_total: int
    node_time_mean_ms: Interval
    node_time_p50_ms: QuantileInterval
    node_time_p90_ms: QuantileInterval
    node_time_p95_ms: QuantileInterval
    node_time_p99_ms: QuantileInterval
    node_concurrency: float | None
    answered_node_time_ms: Distribution | None


def server_nodes(samples: PhaseSamples, counted: Scrape | None, elapsed_s: float | None) -> ServerNodes | None:
    """Return the server's side of a phase that lasted `elapsed_s` between its readings, or None without nodes."""
    if counted is None or counted.node_count == 0:
        return None
    buckets, total = counted.buckets, counted.node_time_sum_ms
    mean = mean_interval(buckets, total)
    assert mean is not None
    quantiles = {f"node_time_{name}_ms": quantile_interval(buckets, total, QUANTILES[name]) for name in _PUBLISHED}
    return ServerNodes(
        nodes_total=counted.node_count,
        node_time_mean_ms=mean,
        node_concurrency=round(total / 1000 / elapsed_s, 6) if elapsed_s else None,
        answered_node_time_ms=distribution(samples.node_times_ms[samples.succeeded_nodes]),
        **quantiles,  # type: ignore[arg-type]
    )
