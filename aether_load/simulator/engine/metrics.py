"""The runtime's counters and their Prometheus text."""

from __future__ import annotations

from bisect import bisect_left
from decimal import Decimal

_BOUNDS_MS = (5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000)
_BOUNDS_TEXT = ("0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf")
_HELP = {
    "aether_cache_hits_total": "Total cache hits",
    "aether_cache_misses_total": "Total cache misses",
    "aether_errors_total": "Total number of errors",
    "aether_executed_nodes_total": "Total number of executed nodes",
    "aether_execution_time_seconds": "Node execution time in seconds",
    "aether_parallel_nodes": "Number of nodes executed in parallel in the last batch",
    "aether_token_cost_total": "Total simulated token cost",
}


class Metrics:
    """Counters since the start; `seconds` is added up in floats and in order of completion, as the runtime does."""

    __slots__ = (
        "buckets",
        "cache_hits",
        "cache_misses",
        "errors",
        "executed_nodes",
        "parallel_nodes",
        "seconds",
        "token_cost",
    )

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Set everything to zero, as a restart does."""
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

    def exposition(self, *, cache: bool) -> str:
        """Everything in text format 0.0.4, by name; without `cache`, what a v1 runtime has."""
        values = {
            "aether_cache_hits_total": self.cache_hits,
            "aether_cache_misses_total": self.cache_misses,
            "aether_errors_total": self.errors,
            "aether_executed_nodes_total": self.executed_nodes,
            "aether_execution_time_seconds": None,
            "aether_parallel_nodes": self.parallel_nodes,
            "aether_token_cost_total": self.token_cost,
        }
        lines = []
        for name, value in values.items():
            if not cache and name in {"aether_cache_hits_total", "aether_cache_misses_total", "aether_parallel_nodes"}:
                continue
            kind = "histogram" if value is None else "counter" if name.endswith("_total") else "gauge"
            lines += [f"# HELP {name} {_HELP[name]}", f"# TYPE {name} {kind}"]
            lines += self._histogram(name) if value is None else [f"{name} {value}"]
        return "\n".join(lines) + "\n"

    def _histogram(self, name: str) -> list[str]:
        lines = []
        total = 0
        for bound, count in zip(_BOUNDS_TEXT, self.buckets, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        return [*lines, f"{name}_sum {_plain(self.seconds)}", f"{name}_count {total}"]


def _plain(value: float) -> str:
    """Write a float without exponent and without a bare `.0`: 0.06, 12, 0.000001."""
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
