"""Add up the client's own answers in the terms of the server's counters."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import BUCKET_EDGES_MS, NodeState, Outcome
from aether_load.rundata.samples.table import PhaseSamples


class OwnCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a phase's answers, over all of its requests, in the window and outside it.

    `buckets` and `node_time_ms` are of nodes that succeeded, and so are `cached_nodes_total` and
    `uncached_nodes_total`, both None where no answer said whether a node came from the cache. `failed_nodes_total`
    counts as the runtime's error counter does: nodes that failed and DAGs with a cycle, no panics.
    `unread_nodes_at_most` bounds the nodes of requests whose answer was not read, and of `lost_requests_at_most`
    requests whose samples were lost with a worker.
    """

    succeeded_nodes_total: int
    node_time_ms: int
    buckets: tuple[int, ...]
    cached_nodes_total: int | None
    uncached_nodes_total: int | None
    tokens_total: int
    failed_nodes_total: int
    panicked_nodes_total: int
    unread_requests_total: int
    lost_requests_at_most: int = 0
    unread_nodes_at_most: int


def own_counts(samples: PhaseSamples, lost_requests_at_most: int = 0) -> OwnCounts:
    """Return the sums of a phase's answers; requests whose samples were lost count as without an answer."""
    succeeded = samples.succeeded_nodes
    times = samples.node_times_ms[succeeded]
    cached = samples.node_cached[succeeded]
    told = int(np.count_nonzero(cached >= 0))
    hits = int(np.count_nonzero(cached == 1))
    is_unread = ~samples.readable & (samples.outcome != Outcome.DROPPED)
    unread = int(np.count_nonzero(is_unread))
    largest = int(samples.sent_nodes.max(initial=0)) or samples.node_states.shape[1]
    costs = samples.token_cost
    return OwnCounts(
        succeeded_nodes_total=len(times),
        node_time_ms=int(times.sum(dtype=np.int64)),
        buckets=bucket_of_counts(times),
        cached_nodes_total=hits if told else None,
        uncached_nodes_total=told - hits if told else None,
        tokens_total=int(costs[costs > 0].sum()),
        failed_nodes_total=int(np.count_nonzero(samples.node_states == NodeState.FAILED)) + samples.cycles_total,
        panicked_nodes_total=int(np.count_nonzero(samples.node_states == NodeState.PANICKED)),
        unread_requests_total=unread,
        lost_requests_at_most=lost_requests_at_most,
        unread_nodes_at_most=int(samples.sent_nodes[is_unread].sum()) + lost_requests_at_most * largest,
    )


def bucket_of_counts(times_ms: NDArray[np.integer]) -> tuple[int, ...]:
    """Return how many node times (whole ms) fall into each of the server's twelve buckets."""
    ordered = np.bincount(np.searchsorted(BUCKET_EDGES_MS, times_ms), minlength=len(BUCKET_EDGES_MS) + 1)
    return tuple(int(count) for count in ordered)
