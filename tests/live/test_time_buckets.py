"""Figures of a run in seconds that can be added up: bins, buckets, the timeline, parts, the quick reading."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest

from aether_load.analysis.latency.dag_shape import dag_shape, levels_and_path, longest_paths
from aether_load.analysis.server.client_counts import bucket_of_counts
from aether_load.observer.live.bins import BINS, bins_of, percentile_ms
from aether_load.observer.live.figures import figures, point
from aether_load.observer.live.run import LiveRun
from aether_load.observer.live.time_bucket import PARTS, TimeBucket, Timeline
from aether_load.observer.live.totals import Totals
from aether_load.observer.messages import Gauges
from aether_load.protocol import NodeShape, NodeState, Outcome
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, NODE, RequestRecord
from aether_load.rundata.records.record_reader import (
    HOLD_TYPE,
    ITERATION_TYPE,
    LEVEL_TYPE,
    NODE_TYPE,
    REQUEST_TYPE,
    RecordBatch,
    Tables,
)
from aether_load.rundata.scrapes import RawScrape
from folders import counted

MS = 1_000_000
SECOND = 1000 * MS
FAN_OUT = (NodeShape("a"), NodeShape("b"), NodeShape("sum", ("a", "b")))


@pytest.mark.parametrize("q", [0.5, 0.95, 0.99])
def test_a_percentile_of_bins_is_within_half_a_percent(q: float) -> None:
    """Whatever the latencies are, the bins say the nearest rank's to 0.5 %."""
    latencies_us = np.random.default_rng(5).lognormal(9, 1.5, 10_000)
    exact = np.sort(latencies_us)[math.ceil(q * len(latencies_us)) - 1] / 1000
    counts = np.bincount(bins_of(latencies_us), minlength=BINS)
    assert percentile_ms(counts, q) == pytest.approx(exact, rel=0.005)


def test_nothing_has_no_percentile() -> None:
    """Absent is not zero."""
    assert percentile_ms(np.zeros(BINS, np.int64), 0.5) is None


def test_a_timeline_of_a_day_is_short_and_loses_nothing() -> None:
    """86,400 seconds take some hundred buckets, in order, without a gap, with all that was in them."""
    timeline = Timeline()
    for second in range(86_400):
        timeline.add(TimeBucket(began_s=second, ended_s=second + 1, requests=second % 7, in_flight=second))
    buckets = list(timeline)
    assert len(buckets) < 1500
    assert sum(bucket.requests for bucket in buckets) == sum(second % 7 for second in range(86_400))
    assert all(early.ended_s == late.began_s for early, late in pairwise(buckets))
    assert (buckets[0].began_s, buckets[-1].ended_s) == (0, 86_400)
    assert [bucket.seconds for bucket in timeline.latest(5)] == [1, 1, 1, 1, 1]
    assert buckets[0].in_flight == buckets[0].ended_s - 1


def live_run(
    datasets: tuple[str, str] = ("piqa", "arc_easy"), nodes: tuple[NodeShape, NodeShape, NodeShape] = FAN_OUT
) -> LiveRun:
    return LiveRun(0, datasets, nodes, Totals())


class Sender:
    """Records that go to a live run when they are written."""

    def __init__(self, run: LiveRun) -> None:
        self.run = run
        self.buffer = RecordBuffer(["piqa/0", "arc_easy/0"], ["piqa", "arc_easy"])
        self.buffer.phases.place("closed")
        self.tables = Tables()


def watched(run: LiveRun) -> Sender:
    return Sender(run)


def send(
    sender: Sender,
    at_ms: int,
    took_ms: int,
    nodes: Sequence[int | NodeState] = (20, 30, 10),
    *,
    server_ms: int = 45,
    due_ms: int | None = None,
    outcome: Outcome = Outcome.OK,
    prompt: int = 0,
) -> None:
    """Record a request of a DAG of three nodes; without nodes it brought no answer."""
    packed = b"".join(
        NODE.pack(ABSENT, node, 0) if isinstance(node, NodeState) else NODE.pack(node, NodeState.SUCCEEDED, 0)
        for node in nodes
    )
    record = RequestRecord(
        request_index=0, due_ns=int((at_ms if due_ms is None else due_ms) * MS), sent_ns=int(at_ms * MS),
        ended_ns=int((at_ms + took_ms) * MS), server_total_ms=server_ms if nodes else ABSENT, tokens=5 * len(nodes),
        prompt=prompt, nodes=len(nodes), http_status=200, outcome=outcome,
    )  # fmt: skip
    sender.buffer.add(record, packed)


def written(sender: Sender) -> None:
    sender.buffer.seal()
    while (block := sender.buffer.take()) is not None:
        sender.tables.add(bytes(block.texts))
        batch = RecordBatch(
            np.frombuffer(bytes(block.requests), REQUEST_TYPE),
            np.frombuffer(bytes(block.nodes), NODE_TYPE),
            np.frombuffer(bytes(block.levels), LEVEL_TYPE),
            np.frombuffer(bytes(block.holds), HOLD_TYPE),
            np.frombuffer(bytes(block.iterations), ITERATION_TYPE),
        )
        sender.run.take(batch, sender.tables)


USERS = Gauges(done=0, failed=0, active=2, thinking=0, waiting=0, cpu_s=1.0)


def test_the_parts_of_a_request_add_up_to_its_response_latency() -> None:
    """Start delay, client, scheduler, barriers, path; a request without an answer is a part of its own."""
    run = live_run()
    buffer = watched(run)
    send(buffer, 110, 50, due_ms=100)
    send(buffer, 200, 60, nodes=(), outcome=Outcome.TIMEOUT)
    send(buffer, 300, 40, nodes=(20, NodeState.FAILED, NodeState.SKIPPED), server_ms=25, outcome=Outcome.NODE_ERROR)
    written(buffer)
    run.tick(3 * SECOND, USERS, None)
    (first, _) = run.timeline
    assert dict(zip(PARTS, first.parts_ms.tolist(), strict=True)) == pytest.approx(
        {"start_delay": 10, "overhead": 5 + 15, "scheduler": 5, "barrier": 0, "node_path": 40, "undivided_server": 25,
         "unanswered": 60}
    )  # fmt: skip
    assert first.parts_ms.sum() == pytest.approx(60 + 60 + 40)


def test_in_sequence_no_level_waits() -> None:
    """One node at a time the path is all nodes, and the scheduler's part what is left."""
    run = live_run()
    run.sequential = True
    buffer = watched(run)
    send(buffer, 100, 70, server_ms=65)
    written(buffer)
    run.tick(3 * SECOND, USERS, None)
    parts = dict(zip(PARTS, next(iter(run.timeline)).parts_ms.tolist(), strict=True))
    assert (parts["node_path"], parts["scheduler"], parts["barrier"]) == (60, 5, 0)


def test_paths_are_the_analysis_own() -> None:
    """What the live figures take for levels and paths is what the report takes."""
    shape = dag_shape((*FAN_OUT, NodeShape("late", ("a",))))
    times = np.random.default_rng(3).integers(0, 100, (50, 4))
    assert shape is not None
    levels, path = levels_and_path(shape, times)
    whole = longest_paths(shape, times)
    assert np.array_equal(levels, whole.levels_ms)
    assert np.array_equal(path, whole.path_ms)


def test_a_request_counts_in_the_second_in_which_its_answer_came() -> None:
    """However late its row is written; outcomes and histograms have all of them, the dropped too."""
    run = live_run()
    buffer = watched(run)
    send(buffer, 900, 50)
    send(buffer, 950, 100, prompt=1)
    send(buffer, 1100, 7, outcome=Outcome.REJECTED, nodes=())
    buffer.buffer.add(RequestRecord(0, 5, outcome=Outcome.DROPPED))
    written(buffer)
    run.tick(4 * SECOND, USERS, None)
    assert [(bucket.began_s, bucket.requests, bucket.failed) for bucket in run.timeline] == [
        (0, 1, 0),
        (1, 2, 1),
        (2, 0, 0),
    ]
    now = figures(run)
    assert now.outcomes == [("piqa", "ok", 1), ("piqa", "rejected", 1), ("piqa", "dropped", 1), ("arc_easy", "ok", 1)]
    assert now.requests_total == 3
    # 7 ms, 50 ms and 100 ms, as the server would put them: up to 10, up to 50, up to 100.
    assert now.client_buckets == (0, 1, 0, 1, 1, *[0] * 7)


def test_a_second_without_answers_has_no_percentile() -> None:
    """It is a gap in the chart, not a zero; the rate is a zero that was measured."""
    empty = point(TimeBucket(began_s=3, ended_s=4))
    assert (empty.p50_ms, empty.parts_ms, empty.server_mean_ms, empty.cpu_share, empty.cache_hit_share) == (None,) * 5
    assert empty.rate_rps == 0


def scrape(text: str, role: str = "during", at_s: float = 1.0) -> RawScrape:
    return RawScrape(
        phase="p", role=role, began_ns=int(at_s * SECOND), ended_ns=int(at_s * SECOND) + MS, began_utc="", text=text
    )


def test_the_servers_side_is_what_it_counted_between_two_readings() -> None:
    """Mean and p95 of a second are of the nodes that were counted in it."""
    run = live_run()
    run.scraped(scrape(counted([]), "before", 0.1), 0)
    run.scraped(scrape(counted([40] * 10), at_s=0.9), 0)
    run.scraped(scrape(counted([40] * 10 + [7] * 30), at_s=1.9), 0)
    run.tick(4 * SECOND, USERS, None)
    points = [point(bucket) for bucket in run.timeline]
    assert [now.server_mean_ms for now in points] == [40, 7, None]
    assert (points[1].server_p95_low_ms, points[1].server_p95_high_ms) == (7, 11)


def test_after_a_restart_the_next_reading_counts_again() -> None:
    """Counters that fell are no negative nodes."""
    run = live_run()
    run.scraped(scrape(counted([5] * 9), "before", 0.1), 0)
    run.scraped(scrape(counted([]), at_s=0.9), 0)
    run.scraped(scrape(counted([7]), at_s=1.9), 0)
    run.tick(4 * SECOND, USERS, None)
    assert [int(bucket.server_buckets.sum()) for bucket in run.timeline] == [0, 1, 0]
    assert run.server.reconciliation.state.state == "restarted"


def test_own_counts_by_request_are_the_analysis_own() -> None:
    """Buckets of node times are as the report has them."""
    run = live_run()
    buffer = watched(run)
    times = [0, 5, 6, 10, 11, 51, 2500, 2501, 10_001]
    for place in range(3):
        send(buffer, 10, 5000, nodes=times[place * 3 : place * 3 + 3])
    run.scraped(scrape(counted([]), "before", 0.0), 0)
    written(buffer)
    run.scraped(scrape(counted(times), "after", 6.0), 0)
    run.tick(8 * SECOND, USERS, None)
    lines = {line.name: line.ours for line in run.server.reconciliation.state.lines}
    assert tuple(lines[name] for name in lines if name.startswith(("nodes up", "nodes above"))) == bucket_of_counts(
        np.array(times)
    )
    assert (lines["nodes"], lines["node time, ms"], lines["tokens"]) == (9, sum(times), 45)
