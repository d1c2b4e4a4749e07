"""Compute a run's figures while it goes on, from its records as they are written and from readings of /metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import dag_shape
from aether_load.observer.live.bins import BINS, bins_of
from aether_load.observer.live.counts import BUCKETS, CACHED_NODES, UNCACHED_NODES, counts_by_request
from aether_load.observer.live.parts import parts_by_request
from aether_load.observer.live.seconds import Seconds
from aether_load.observer.live.server import LiveServer
from aether_load.observer.live.time_bucket import PARTS, Timeline
from aether_load.observer.live.totals import Totals
from aether_load.observer.messages import Gauges
from aether_load.protocol import BUCKET_EDGES_MS, NodeShape, Outcome
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES
from aether_load.rundata.records.record_reader import RecordBatch, Tables
from aether_load.rundata.samples.node_columns import NodeColumns
from aether_load.rundata.scrapes import RawScrape

WRITTEN_AFTER_NS = 800_000_000
"""Rows are written each half second; what ended so long ago has been handed in."""
_SERVER_EDGES_US = np.array([(edge + 1) * 1000.0 for edge in BUCKET_EDGES_MS])
_OVERHEAD_PART = PARTS.index("overhead")
_MOCK = ANSWER_STATES.index("mock")


class LiveRun:
    """A run's seconds, histograms and outcomes, all plain numbers that can be added up, and what its server counted."""

    def __init__(self, began_ns: int, datasets: Sequence[str], nodes: Sequence[NodeShape], totals: Totals) -> None:
        self.datasets = list(datasets)
        self.nodes_per_request = len(nodes)
        self.sequential = False
        self.server = LiveServer(len(nodes))
        self.users: Gauges | None = None
        """How things stood with the users last, None before anything was seen of them."""
        self.mock_answers = 0
        self._totals = totals
        self._seconds = Seconds(began_ns)
        self._last_ended_ns = 0
        self.learn(nodes)
        self.reset()

    def learn(self, nodes: Sequence[NodeShape]) -> None:
        """Take in the nodes of all DAGs of the run, as it lists them by now."""
        self._shape = dag_shape(nodes)
        self._columns = NodeColumns([node.id for node in nodes])

    @property
    def timeline(self) -> Timeline:
        """Return the seconds that are closed."""
        return self._seconds.timeline

    def outcome_total(self, outcome: Outcome) -> int:
        """Return how many requests ended in one way."""
        return sum(count for (_, each), count in self.outcomes.items() if each is outcome)

    def reset(self) -> None:
        """Forget what was shown so far."""
        self._seconds.reset()
        self.server.reset()
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        self.client_buckets = np.zeros(BUCKETS, np.int64)
        self.latencies = np.zeros(BINS, np.int64)
        self.cached_nodes = self.uncached_nodes = 0

    def take(self, batch: RecordBatch, tables: Tables) -> None:
        """Take in records as they are read from their file."""
        rows, nodes = batch.requests, batch.nodes
        self._count_outcomes(rows, tables)
        sent = rows["sent_ns"] != ABSENT
        if not sent.all():
            nodes = nodes[np.repeat(sent, rows["nodes"])]
            rows = rows[sent]
        if len(rows):
            self._take_sent(rows, nodes, tables)

    def _count_outcomes(self, rows: NDArray[np.void], tables: Tables) -> None:
        labels, places = tables.labels(rows)
        counted = np.bincount(places * len(Outcome) + rows["outcome"], minlength=len(labels) * len(Outcome))
        for place in np.flatnonzero(counted):
            key = labels[place // len(Outcome)], Outcome(int(place) % len(Outcome))
            self.outcomes[key] += int(counted[place])
            self._totals.requests[key] += int(counted[place])

    def _take_sent(self, rows: NDArray[np.void], nodes: NDArray[np.void], tables: Tables) -> None:
        ended = rows["ended_ns"]
        latency_us = (ended - rows["sent_ns"]) / 1000
        times, sent_nodes = self._columns.table(rows, tables)(nodes["time_ms"]), self._columns.sizes(rows, tables)
        parts = parts_by_request(rows, times, sent_nodes, self._shape, sequential=self.sequential)
        self.nodes_per_request = self.server.reconciliation.nodes_per_request = self._columns.most(tables)
        counts = counts_by_request(rows, nodes)
        unanswered = rows["server_total_ms"] == ABSENT
        self.server.reconciliation.take(ended, counts, unanswered.astype(np.int64))
        self._totals.latency.add(latency_us)
        self._totals.overhead.add(parts[~unanswered, _OVERHEAD_PART] * 1000)
        for counted in (self, self._totals):
            counted.cached_nodes += int(counts[:, CACHED_NODES].sum())
            counted.uncached_nodes += int(counts[:, UNCACHED_NODES].sum())
        self.client_buckets += np.bincount(
            np.searchsorted(_SERVER_EDGES_US, latency_us, side="right"), minlength=BUCKETS
        )
        self.mock_answers += int(np.count_nonzero(rows["answer_state"] == _MOCK))
        self._last_ended_ns = max(self._last_ended_ns, int(ended.max()))
        self._fill_seconds(rows, bins_of(latency_us), parts, counts)

    def _fill_seconds(
        self, rows: NDArray[np.void], bins: NDArray[np.int64], parts: NDArray[np.float64], counts: NDArray[np.int64]
    ) -> None:
        seconds = self._seconds.numbers(rows["ended_ns"])
        failed = rows["outcome"] != Outcome.OK
        first, last = int(seconds.min()), int(seconds.max())
        for second in range(first, last + 1):
            which = slice(None) if first == last else seconds == second
            bucket = self._seconds.number(second)
            latencies = np.bincount(bins[which], minlength=BINS)
            bucket.requests += int(latencies.sum())
            bucket.failed += int(np.count_nonzero(failed[which]))
            bucket.latencies += latencies
            bucket.parts_ms += parts[which].sum(axis=0)
            bucket.cached_nodes += int(counts[which, CACHED_NODES].sum())
            bucket.uncached_nodes += int(counts[which, UNCACHED_NODES].sum())
            self.latencies += latencies

    def scraped(self, raw: RawScrape, in_flight: int) -> None:
        """Take in a reading of /metrics; what the server did since the last counts in the second in which it ended."""
        counted = self.server.scraped(raw, in_flight)
        if counted is not None:
            bucket = self._seconds.at(raw.ended_ns)
            bucket.server_buckets += np.array(counted.buckets)
            bucket.server_time_ms += counted.node_time_sum_ms

    def tick(self, now_ns: int, users: Gauges, target_rps: float | None) -> None:
        """Look at what can only be looked at, and close the seconds of which everything has been handed in."""
        bucket = self._seconds.at(now_ns)
        bucket.in_flight = max(bucket.in_flight or 0, users.in_flight)
        bucket.target_rps = target_rps
        if self.users is not None:
            bucket.cpu_s = (bucket.cpu_s or 0.0) + users.cpu_s - self.users.cpu_s
        self.users = users
        self.server.judge_until(now_ns - WRITTEN_AFTER_NS)
        self._seconds.close_until(now_ns - WRITTEN_AFTER_NS)

    def end(self) -> None:
        """Close everything: no row comes any more."""
        self.server.judge_until()
        self._seconds.close_all(self._last_ended_ns)
