"""Count answers request by request in the terms of the server's counters."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.server.scrape import Scrape
from aether_load.protocol import (
    BUCKET_EDGES_MS,
    CACHE_HITS_TOTAL,
    CACHE_MISSES_TOTAL,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    TOKEN_COST_TOTAL,
    NodeState,
)

NODES, NODE_TIME_MS, TOKENS, FAILED_NODES, CACHED_NODES, UNCACHED_NODES = range(6)
FIRST_BUCKET = 6
BUCKETS = len(BUCKET_EDGES_MS) + 1
WIDTH = FIRST_BUCKET + BUCKETS

Counts = NDArray[np.int64]

NAMES = (
    "nodes", "node time, ms", "tokens", "failed nodes", "nodes from the cache", "nodes not from the cache",
    *(f"nodes up to {edge} ms" for edge in BUCKET_EDGES_MS), f"nodes above {BUCKET_EDGES_MS[-1]} ms",
)  # fmt: skip
_COUNTERS = (
    (NODES, EXECUTED_NODES_TOTAL),
    (TOKENS, TOKEN_COST_TOTAL),
    (FAILED_NODES, ERRORS_TOTAL),
    (CACHED_NODES, CACHE_HITS_TOTAL),
    (UNCACHED_NODES, CACHE_MISSES_TOTAL),
)


def counts_by_request(rows: NDArray[np.void], nodes: NDArray[np.void]) -> Counts:
    """Return a row a request: its nodes, their time, tokens and so on, as the server counts them."""
    count = len(rows)
    owner = np.repeat(np.arange(count), rows["nodes"])
    succeeded = nodes["state"] == NodeState.SUCCEEDED
    whose, times, cached = owner[succeeded], nodes["time_ms"][succeeded], nodes["cached"][succeeded]
    table = np.empty((count, WIDTH), np.int64)
    table[:, NODES] = np.bincount(whose, minlength=count)
    table[:, NODE_TIME_MS] = np.bincount(whose, weights=times, minlength=count)
    table[:, TOKENS] = np.maximum(rows["tokens"], 0)
    table[:, FAILED_NODES] = np.bincount(owner[nodes["state"] == NodeState.FAILED], minlength=count)
    table[:, CACHED_NODES] = np.bincount(whose[cached == 1], minlength=count)
    table[:, UNCACHED_NODES] = np.bincount(whose[cached == 0], minlength=count)
    places = whose * BUCKETS + np.searchsorted(BUCKET_EDGES_MS, times)
    table[:, FIRST_BUCKET:] = np.bincount(places, minlength=count * BUCKETS).reshape(count, BUCKETS)
    return table


def counts_of_server(scrape: Scrape) -> tuple[int | None, ...]:
    """Return what a reading says of each of them, None where this runtime has no such counter."""
    counted: list[int | None] = [None] * WIDTH
    for place, name in _COUNTERS:
        if name in scrape.counters:
            counted[place] = round(scrape.counters[name])
    counted[NODE_TIME_MS] = round(scrape.node_time_sum_ms)
    counted[FIRST_BUCKET:] = scrape.buckets
    return tuple(counted)
