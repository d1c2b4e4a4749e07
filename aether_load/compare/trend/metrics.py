"""Name the metrics of the summary, and say which way each is better."""

from __future__ import annotations

from typing import Literal

from aether_load.outputs.summary import SUMMARY_COLUMNS

Better = Literal["higher", "lower", "neither"]

_HIGHER = {
    "request_throughput_rps", "ok_throughput_rps", "goodput_rps", "goodput_share", "tokens_per_s", "accuracy",
    "ok_total",
}  # fmt: skip
_LOWER = {
    "error_rate", "tokens_per_correct_answer", "cost_per_correct_answer_usd", "unanswered_total",
    "node_error_total", "aborted_total", "http_error_total", "invalid_response_total", "timeout_total",
    "connection_error_total", "dropped_total", "phase_server_node_mean_low_ms",
}  # fmt: skip
_NEITHER = {
    "achieved_load", "requests_total", "rejected_total", "cancelled_total", "server_time_share", "tokens_total",
    "cached_nodes_total", "uncached_nodes_total", "phase_unexplained_nodes_total", "phase_littles_law_ratio",
}  # fmt: skip
_BOUNDS = ("_low_ms", "_high_ms", "_low", "_high", "_reliability")


def better(metric: str) -> Better | None:
    """Return which way a metric is better; None for a column that is no metric."""
    if metric in _HIGHER:
        return "higher"
    if metric in _LOWER:
        return "lower"
    if metric in _NEITHER:
        return "neither"
    return "lower" if "_latency_" in metric and not metric.endswith(_BOUNDS) else None


METRICS: tuple[str, ...] = tuple(name for name in SUMMARY_COLUMNS if better(name) is not None)
"""Each metric, in the order of the summary's columns."""

JUDGED = (
    "response_latency_p50_ms", "response_latency_p95_ms", "response_latency_p99_ms", "ok_throughput_rps",
    "goodput_rps", "error_rate", "accuracy", "tokens_per_correct_answer",
)  # fmt: skip
"""Metrics that `--fail-on-regression` judges."""


def bounds_of(metric: str) -> tuple[str, str] | None:
    """Return the columns of a metric's 95 % interval, None where it has none."""
    stem = metric.removesuffix("_ms")
    suffix = metric.removeprefix(stem)
    names = f"{stem}_low{suffix}", f"{stem}_high{suffix}"
    return names if names[0] in SUMMARY_COLUMNS and names[1] in SUMMARY_COLUMNS else None


def reliability_of(metric: str) -> str | None:
    """Return the column of a percentile's reliability, None for what is no percentile."""
    name = f"{metric.removesuffix('_ms')}_reliability"
    return name if name in SUMMARY_COLUMNS else None
