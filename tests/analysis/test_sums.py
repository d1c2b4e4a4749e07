"""Sums over the largest numbers that an answer may state, against Python's integers, which never overflow."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.latency.correlate import correlate
from aether_load.analysis.latency.dag_shape import dag_shape
from aether_load.analysis.latency.decomposition import decompose
from aether_load.analysis.phase.rows import build_row
from aether_load.analysis.server.client_counts import own_counts
from aether_load.observer.live.counts import NODE_TIME_MS, NODES, TOKENS, counts_by_request
from aether_load.protocol import BUCKET_EDGES_MS, NodeShape, NodeState
from aether_load.response import LONGEST_MS, MOST_TOKENS
from aether_load.rundata.manifest import ClockPair, PhaseRecord
from made_samples import made_samples
from property_tests import examples

MS = 1_000_000
RECORD = PhaseRecord(name="p", users=1, began=ClockPair(0, ""), window_began_ns=0, window_ended_ns=1)
SHAPE = dag_shape([NodeShape("a"), NodeShape("b"), NodeShape("c", ("a", "b"))])
ROW = st.tuples(
    st.integers(1, LONGEST_MS).map(lambda took_ms: took_ms * MS),
    st.sampled_from([0, 1, MOST_TOKENS]) | st.integers(0, MOST_TOKENS),
    st.lists(st.sampled_from([0, 5, 10_001, LONGEST_MS]) | st.integers(0, LONGEST_MS), min_size=3, max_size=3),
)
COPIES = 2000
"""As many rows of the same, so that sums of 32 bits overflow, and those of 64 bits of ns come near it."""


@settings(max_examples=examples(20), deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5))
def test_no_sum_overflows(rows: list[tuple[int, int, list[int]]]) -> None:
    """Of ten thousands of answers that each state a day and two thousand million tokens."""
    many = rows * COPIES
    took, tokens, nodes = zip(*many, strict=True)
    totals = [sum(each) for each in nodes]
    samples = made_samples(
        [0] * len(many), took, (0, LONGEST_MS * MS), token_cost=tokens, server_total_ms=totals, node_times_ms=nodes
    )
    own = own_counts(samples)
    assert (own.succeeded_nodes_total, own.node_time_ms, own.tokens_total) == (
        3 * len(many), sum(totals), sum(tokens)
    )  # fmt: skip
    assert sum(own.buckets) == 3 * len(many)
    assert own.buckets[-1] == COPIES * sum(time > BUCKET_EDGES_MS[-1] for _, _, each in rows for time in each)
    row = build_row("all", samples)
    assert (row.requests_total, row.tokens_total) == (len(many), sum(tokens))
    assert row.server_time_share == pytest.approx(sum(totals) / (sum(took) / MS), abs=1e-5, rel=1e-6)
    correlation = correlate(samples, RECORD)
    assert correlation.overhead_ms is not None
    assert correlation.overhead_ms.count == len(many)
    mean = sum(time / MS for time in took) / len(many)
    decomposition = decompose(samples, SHAPE, sequential=False).whole
    parts = [getattr(decomposition, name) for name in ("start_delay", "overhead", "scheduler", "barrier", "node_path")]
    assert abs(sum(part.mean_contribution_ms for part in parts) - mean) < 1e-4 * max(mean, LONGEST_MS)


@settings(max_examples=examples(50), deadline=None)
@given(st.lists(ROW, min_size=1, max_size=20))
def test_no_live_sum_overflows(rows: list[tuple[int, int, list[int]]]) -> None:
    """The counts of each request, as the live reconciliation adds them up."""
    table = np.zeros(len(rows), [("nodes", "<i4"), ("tokens", "<i8")])
    table["nodes"], table["tokens"] = 3, [tokens for _, tokens, _ in rows]
    nodes = np.zeros(3 * len(rows), [("time_ms", "<i8"), ("state", "i1"), ("cached", "i1")])
    nodes["time_ms"], nodes["state"] = [time for _, _, each in rows for time in each], NodeState.SUCCEEDED
    counts = counts_by_request(table, nodes)
    assert counts[:, NODES].tolist() == [3] * len(rows)
    assert counts[:, NODE_TIME_MS].tolist() == [sum(each) for _, _, each in rows]
    assert int(counts[:, TOKENS].sum()) == sum(tokens for _, tokens, _ in rows)
