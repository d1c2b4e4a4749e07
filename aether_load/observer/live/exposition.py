"""Write the sender's live figures in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest

from aether_load._version import __version__
from aether_load.observer.live.totals import EDGES_S, Histogram, Totals

if TYPE_CHECKING:
    from aether_load.observer.live.run import LiveRun
    from aether_load.observer.live.state import LiveState


class Exposition:
    """Collects what the live_state knows when it is asked; nothing is counted a request at a time for it."""

    def __init__(self, live_state: LiveState) -> None:
        self._live_state = live_state
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        """Return the exposition as it is now."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Yield every metric that there is something to say by: what was not measured is absent, not zero."""
        info = GaugeMetricFamily("aether_load_build_info", "Constantly 1; which release this is.", labels=["version"])
        info.add_metric([__version__], 1)
        yield info
        yield GaugeMetricFamily(
            "aether_load_running", "Whether a run is under way (1) or not (0).", int(self._live_state.is_running)
        )
        yield from _of_requests(self._live_state.totals)
        yield from _of_now(self._live_state)
        if self._live_state.live is not None:
            yield from _of_run(self._live_state.live, is_running=self._live_state.is_running)


def _of_requests(totals: Totals) -> Iterator[Metric]:
    """Yield what has been counted of requests since the process began."""
    requests = CounterMetricFamily(
        "aether_load_requests",
        "Requests that ended, by dataset and outcome; those that were due and never sent are dropped.",
        labels=["dataset", "outcome"],
    )
    for (dataset, outcome), count in sorted(totals.requests.items()):
        requests.add_metric([dataset, outcome.label], count)
    yield requests
    yield _histogram(
        "aether_load_request_latency_seconds",
        "Service latency of requests that were sent, from the first byte out to the last byte in.",
        totals.latency,
    )
    yield _histogram(
        "aether_load_overhead_seconds",
        "Service latency less the server's own total, of answers that could be read.",
        totals.overhead,
    )
    yield CounterMetricFamily(
        "aether_load_cached_nodes", "Nodes whose answer said that they came from the cache.", totals.cached_nodes
    )
    yield CounterMetricFamily(
        "aether_load_uncached_nodes", "Nodes whose answer said that they did not.", totals.uncached_nodes
    )


def _of_now(live_state: LiveState) -> Iterator[Metric]:
    """Yield what the sender is doing at this moment."""
    users = live_state.users
    for name, words, value in (
        ("requests_in_flight", "Requests that were sent and not answered.", users.in_flight),
        ("requests_waiting", "Requests that are due and wait for a free user.", users.waiting),
        ("users_thinking", "Users that pause before their next request.", users.thinking),
    ):
        yield GaugeMetricFamily(f"aether_load_{name}", words, value)
    yield CounterMetricFamily(
        "aether_load_generator_cpu_seconds",
        "CPU time of the sending process (the busiest of several), user and system; it can use one core.",
        users.cpu_s,
    )
    if live_state.target_rps is not None:
        yield GaugeMetricFamily(
            "aether_load_target_requests_per_second", "The open load that is asked for.", live_state.target_rps
        )


def _of_run(live: LiveRun, *, is_running: bool) -> Iterator[Metric]:
    """Yield the figures of the run that is under way, or of the last one."""
    if is_running and (latest := live.timeline.latest(1)):
        yield GaugeMetricFamily(
            "aether_load_achieved_requests_per_second",
            "Answers that came in in the last whole second.",
            latest[0].requests / latest[0].seconds,
        )
    if (difference := live.server.reconciliation.state.difference_nodes) is not None:
        yield GaugeMetricFamily(
            "aether_load_reconciliation_difference_nodes",
            "Nodes that the server counted in this phase beyond what was answered and what may be in flight "
            "(below zero: fewer than were answered).",
            difference,
        )


def _histogram(name: str, words: str, histogram: Histogram) -> HistogramMetricFamily:
    cumulative = histogram.counts.cumsum()
    edges = [*(f"{edge:g}" for edge in EDGES_S), "+Inf"]
    buckets = [(edge, float(count)) for edge, count in zip(edges, cumulative, strict=True)]
    return HistogramMetricFamily(name, words, buckets=buckets, sum_value=histogram.sum_s)
