"""Count what the runtime counts, and write it as Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal

_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_BOUNDS_TEXT = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")


class Metrics:
    """Counters since the start; `seconds` is summed as a float and in order of completion, as the runtime does."""

    def __init__(self) -> None:
        self.executed_nodes = 0
        self.token_cost = 0
        self.errors = 0
        self.cache_hits = 0
        self.cache_misses = 0
        self.parallel_nodes = 0
        self.seconds = 0.0
        self.buckets = [0] * len(_BOUNDS_TEXT)

    def succeeded(self, milliseconds: int, tokens: int, *, cached: bool) -> None:
        """Count a node that succeeded after a time in whole milliseconds."""
        self.executed_nodes += 1
        self.token_cost += tokens
        self.seconds += milliseconds / 1000
        self.buckets[bisect_left(_BOUNDS_MS, milliseconds)] += 1
        if cached:
            self.cache_hits += 1
        else:
            self.cache_misses += 1

    def exposition(self, *, is_v2: bool) -> str:
        """Return all metrics in text format 0.0.4, by name; some are of v2 runtimes only."""
        cache = (
            *_family("aether_cache_hits_total", "counter", "Total cache hits", self.cache_hits),
            *_family("aether_cache_misses_total", "counter", "Total cache misses", self.cache_misses),
        )
        parallel = _family(
            "aether_parallel_nodes",
            "gauge",
            "Number of nodes executed in parallel in the last batch",
            self.parallel_nodes,
        )
        lines = [
            *(cache if is_v2 else ()),
            *_family("aether_errors_total", "counter", "Total number of errors", self.errors),
            *_family("aether_executed_nodes_total", "counter", "Total number of executed nodes", self.executed_nodes),
            *self._histogram(),
            *(parallel if is_v2 else ()),
            *_family("aether_token_cost_total", "counter", "Total simulated token cost", self.token_cost),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> list[str]:
        name = "aether_execution_time_seconds"
        lines = [f"# HELP {name} Node execution time in seconds", f"# TYPE {name} histogram"]
        total = 0
        for bound, count in zip(_BOUNDS_TEXT, self.buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        # Without exponent and without a bare `.0`, as the runtime's library writes floats.
        seconds = f"{Decimal(repr(self.seconds)):f}".removesuffix(".0")
        return [*lines, f"{name}_sum {seconds}", f"{name}_count {total}"]


def _family(name: str, kind: str, explanation: str, value: int) -> list[str]:
    return [f"# HELP {name} {explanation}", f"# TYPE {name} {kind}", f"{name} {value}"]
