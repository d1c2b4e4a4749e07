"""Compute a run's figures while it goes on, from its records as they are written and from readings of /metrics."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, dag_shape
from aether_load.analysis.server.scrape import Scrape, ScrapeError, difference, fell, parse_scrape
from aether_load.observer.live.bins import BINS, bins_of
from aether_load.observer.live.counts import BUCKETS, CACHED_NODES, UNCACHED_NODES, counts_by_request
from aether_load.observer.live.parts import parts_by_request
from aether_load.observer.live.reconciliation import LiveReconciliation
from aether_load.observer.live.time_bucket import PARTS, TimeBucket, Timeline
from aether_load.observer.live.totals import Totals
from aether_load.protocol import BUCKET_EDGES_MS, NodeShape, Outcome
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES
from aether_load.rundata.records.record_reader import RecordBatch, Tables
from aether_load.rundata.samples.node_columns import NodeColumns
from aether_load.rundata.scrapes import RawScrape

_NS_PER_S = 1_000_000_000
WRITTEN_AFTER_NS = 800_000_000
"""Rows are written each half second; what ended so long ago has been handed in."""
_SERVER_EDGES_US = np.array([(edge + 1) * 1000.0 for edge in BUCKET_EDGES_MS])
_OVERHEAD_PART = PARTS.index("overhead")
_MOCK = ANSWER_STATES.index("mock")


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """What can only be looked at, at an instant: requests in flight, waiting ones, users thinking, CPU time so far."""

    in_flight: int
    thinking_users: int
    waiting_requests: int
    cpu_s: float
    target_rps: float | None


class LiveRun:
    """A run's seconds, histograms, outcomes and reconciliation; everything is plain numbers that can be added up."""

    def __init__(self, began_ns: int, datasets: Sequence[str], nodes: Sequence[NodeShape], totals: Totals) -> None:
        self._began_ns = began_ns
        self.datasets = list(datasets)
        self.learn(nodes)
        self._totals = totals
        self.nodes_per_request = len(nodes)
        self.sequential = False
        self.reconciliation = LiveReconciliation(len(nodes))
        self._to_judge: deque[tuple[Scrape, RawScrape, int]] = deque()
        self._last_scrape: Scrape | None = None
        self._gauges: Gauges | None = None
        self.mock_answers = 0
        self._second = 0
        self._last_ended_ns = 0
        self._open: dict[int, TimeBucket] = {}
        self.reset()

    def learn(self, nodes: Sequence[NodeShape]) -> None:
        """Take in the nodes of all DAGs of the run, as it lists them by now."""
        self._shape: DagShape | None = dag_shape(nodes)
        self._columns = NodeColumns([node.id for node in nodes])

    def outcome_total(self, outcome: Outcome) -> int:
        """Return how many requests ended in one way."""
        return sum(count for (_, each), count in self.outcomes.items() if each is outcome)

    def reset(self) -> None:
        """Forget what was shown so far; the reconciliation goes on, because the server's counts do."""
        self.timeline = Timeline()
        self.outcomes: Counter[tuple[str, Outcome]] = Counter()
        self.client_buckets = np.zeros(BUCKETS, np.int64)
        self.server_buckets = np.zeros(BUCKETS, np.int64)
        self.server_time_ms = 0.0
        self.latencies = np.zeros(BINS, np.int64)
        self.cached_nodes = self.uncached_nodes = 0
        self._open.clear()

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
            label, outcome = labels[place // len(Outcome)], Outcome(int(place) % len(Outcome))
            self.outcomes[label, outcome] += int(counted[place])
            self._totals.add_requests(label, outcome, int(counted[place]))

    def _take_sent(self, rows: NDArray[np.void], nodes: NDArray[np.void], tables: Tables) -> None:
        ended = rows["ended_ns"]
        latency_us = (ended - rows["sent_ns"]) / 1000
        times, sent_nodes = self._columns.table(rows, tables)(nodes["time_ms"]), self._columns.sizes(rows, tables)
        parts = parts_by_request(rows, times, sent_nodes, self._shape, sequential=self.sequential)
        self.nodes_per_request = self.reconciliation.nodes_per_request = self._columns.most(tables)
        counts = counts_by_request(rows, nodes)
        unanswered = rows["server_total_ms"] == ABSENT
        self.reconciliation.take(ended, counts, unanswered.astype(np.int64))
        self._totals.latency.add(latency_us)
        self._totals.overhead.add(parts[~unanswered, _OVERHEAD_PART] * 1000)
        self._totals.cached_nodes += int(counts[:, CACHED_NODES].sum())
        self._totals.uncached_nodes += int(counts[:, UNCACHED_NODES].sum())
        self.client_buckets += np.bincount(
            np.searchsorted(_SERVER_EDGES_US, latency_us, side="right"), minlength=BUCKETS
        )
        self.mock_answers += int(np.count_nonzero(rows["answer_state"] == _MOCK))
        self._last_ended_ns = max(self._last_ended_ns, int(ended.max()))
        bins = bins_of(latency_us)
        seconds = np.maximum((ended - self._began_ns) // _NS_PER_S, self._second)
        failed = rows["outcome"] != Outcome.OK
        first, last = int(seconds.min()), int(seconds.max())
        for second in range(first, last + 1):
            which = slice(None) if first == last else seconds == second
            bucket = self._of_second(second)
            counted = np.bincount(bins[which], minlength=BINS)
            bucket.requests += int(counted.sum())
            bucket.failed += int(np.count_nonzero(failed[which]))
            bucket.latencies += counted
            bucket.parts_ms += parts[which].sum(axis=0)
            bucket.cached_nodes += int(counts[which, CACHED_NODES].sum())
            bucket.uncached_nodes += int(counts[which, UNCACHED_NODES].sum())

    def _of_second(self, second: int) -> TimeBucket:
        """Return the bucket of a second that is not closed yet."""
        found = self._open.get(second)
        if found is None:
            found = self._open[second] = TimeBucket(began_s=float(second), ended_s=float(second + 1))
        return found

    def scraped(self, raw: RawScrape, in_flight: int) -> None:
        """Take in a reading of /metrics, with how many requests were in flight when it ended."""
        scrape, reason = _read(raw)
        if raw.role == "before":
            self._judge_until(raw.began_ns)
            self.reconciliation.begin(scrape, None if scrape is not None else reason)
        elif scrape is None:
            self.reconciliation.fail(reason)
        else:
            self._to_judge.append((scrape, raw, in_flight))
        self._count_server(scrape, raw)

    def _count_server(self, scrape: Scrape | None, raw: RawScrape) -> None:
        """Count what the server did since its last reading in the second in which this reading ended."""
        last, self._last_scrape = self._last_scrape, scrape
        if scrape is None or last is None or raw.role == "before" or fell(last, scrape) is not None:
            return
        counted = difference(last, scrape)
        bucket = self._of_second(max((raw.ended_ns - self._began_ns) // _NS_PER_S, self._second))
        bucket.server_buckets += np.array(counted.buckets)
        bucket.server_time_ms += counted.node_time_sum_ms
        self.server_buckets += np.array(counted.buckets)
        self.server_time_ms += counted.node_time_sum_ms

    def tick(self, now_ns: int, gauges: Gauges) -> None:
        """Look at what can only be looked at, and close the seconds of which everything has been handed in."""
        cpu_s = None if self._gauges is None else gauges.cpu_s - self._gauges.cpu_s
        self._gauges = gauges
        bucket = self._of_second(max((now_ns - self._began_ns) // _NS_PER_S, self._second))
        bucket.in_flight = max(bucket.in_flight or 0, gauges.in_flight)
        bucket.target_rps = gauges.target_rps
        if cpu_s is not None:
            bucket.cpu_s = (bucket.cpu_s or 0.0) + cpu_s
        self._judge_until(now_ns - WRITTEN_AFTER_NS)
        closed = (now_ns - WRITTEN_AFTER_NS - self._began_ns) // _NS_PER_S
        while self._second < closed:
            self._close()

    def end(self) -> None:
        """Close everything: no row comes any more."""
        for scrape, raw, in_flight in self._to_judge:
            self.reconciliation.judge(scrape, raw.began_ns, raw.ended_ns, in_flight)
        self._to_judge.clear()
        last = max((second for second, bucket in self._open.items() if bucket.requests), default=-1)
        while self._second <= last:
            if self._second == last:
                # What came in in the last part of a second came in in no more time than that.
                ended_s = (self._last_ended_ns - self._began_ns) / _NS_PER_S
                self._open[last].ended_s = max(ended_s, last + 0.001)
            self._close()
        self._open.clear()

    def _judge_until(self, written_ns: int) -> None:
        while self._to_judge and self._to_judge[0][1].ended_ns <= written_ns:
            scrape, raw, in_flight = self._to_judge.popleft()
            self.reconciliation.judge(scrape, raw.began_ns, raw.ended_ns, in_flight)

    def _close(self) -> None:
        bucket = self._open.pop(self._second, None)
        if bucket is None:
            bucket = TimeBucket(began_s=float(self._second), ended_s=float(self._second + 1))
        self._second += 1
        self.latencies += bucket.latencies
        self.cached_nodes += bucket.cached_nodes
        self.uncached_nodes += bucket.uncached_nodes
        self.timeline.add(bucket)

    @property
    def gauges(self) -> Gauges | None:
        """Return what was seen last, None before anything was."""
        return self._gauges


def _read(raw: RawScrape) -> tuple[Scrape | None, str]:
    """Return what a text of /metrics says, or None and why it says nothing."""
    if raw.text is None:
        return None, f"/metrics could not be read: {raw.error}"
    try:
        return parse_scrape(raw.text), ""
    except ScrapeError as error:
        return None, f"/metrics: {error}"
