"""Count what a sending process has done since it began, over all its runs."""

from __future__ import annotations

from collections import Counter

import numpy as np

from aether_load.observer.live.bins import Counts
from aether_load.protocol import BUCKET_EDGES_MS, Outcome

EDGES_S = tuple(
    sorted({
        0.0002, 0.0005, 0.001, 0.002, 0.003, 0.0075, 0.015, 0.02, 0.03, 0.04, 0.06, 0.075, 0.125, 0.15, 0.2, 0.3, 0.4,
        0.6, 0.75, 1.5, 2.0, 3.0, 5.0, 7.5, 15.0, 30.0, 60.0, *(edge / 1000 for edge in BUCKET_EDGES_MS),
    })
)  # fmt: skip
"""Upper edges of the client's histograms in seconds: the server's own and finer ones between them."""
_EDGES_US = np.array([edge * 1e6 for edge in EDGES_S])


class Histogram:
    """Counts a bucket (not cumulative), one more than there are edges, and their sum in seconds."""

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(len(EDGES_S) + 1, np.int64)
        self.sum_s = 0.0

    def add(self, times_us: np.ndarray) -> None:
        """Count times; one that is equal to an edge is below it, as Prometheus has it."""
        self.counts += np.bincount(np.searchsorted(_EDGES_US, times_us), minlength=len(self.counts))
        self.sum_s += float(times_us.sum()) / 1e6


class Totals:
    """Requests by dataset and outcome, nodes by cache, and the two histograms."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, Outcome]] = Counter()
        self.latency = Histogram()
        self.overhead = Histogram()
        self.cached_nodes = 0
        self.uncached_nodes = 0
