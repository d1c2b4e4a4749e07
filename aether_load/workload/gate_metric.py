"""A number that two builds are compared by, and which way of it is the better one: "response_latency_ms:p(95)"."""

from __future__ import annotations

from typing import Literal

import msgspec

from aether_load.workload.mistakes import did_you_mean
from aether_load.workload.threshold import parse_threshold

Better = Literal["higher", "lower"]

DEFAULT_METRIC = "ok_throughput_rps"
THROUGHPUTS = ("ok_throughput_rps", "request_throughput_rps", "goodput_rps", "tokens_per_s")
"""Rates; in open load they are the rate that was asked for, and tell builds apart no more."""
DISTRIBUTIONS = ("response_latency_ms", "service_latency_ms", "overhead_ms", "server_total_ms", "node_time_ms")
"""Numbers of each request or node, of which an aggregation is taken; all of them are better when lower."""
_BETTER: dict[str, Better] = {
    **dict.fromkeys(THROUGHPUTS, "higher"),
    "accuracy": "higher",
    **dict.fromkeys(DISTRIBUTIONS, "lower"),
    "token_cost_mean": "lower",
}
_ALIASES = {"request_latency_ms": "response_latency_ms", "throughput": DEFAULT_METRIC}


class GateMetric(msgspec.Struct, frozen=True, kw_only=True):
    """What is taken of each window: a number by its name, of one `dataset` or (None) of all requests.

    `aggregation` (with `quantile`, 0 to 1, for a percentile) is what is taken of a distribution, else None.
    """

    text: str
    dataset: str | None
    metric: str
    aggregation: str | None
    quantile: float | None
    better: Better


def parse_gate_metric(text: str) -> GateMetric:
    """Return the number that `text` names, in the grammar of thresholds; raises ValueError with what is wrong."""
    try:
        condition = parse_threshold(f"{text}<0")
    except ValueError:
        raise ValueError('expected a number, as in "ok_throughput_rps" or "response_latency_ms:p(95)".') from None
    metric = _ALIASES.get(condition.metric, condition.metric)
    if metric not in _BETTER:
        raise ValueError(f"there is no {condition.metric!r} to compare; {did_you_mean(condition.metric, _BETTER)}")
    if metric in DISTRIBUTIONS and condition.aggregation is None:
        raise ValueError(f"{metric} is a distribution: say which point of it, as in {metric}:p(95).")
    if metric not in DISTRIBUTIONS and condition.aggregation is not None:
        raise ValueError(f"{metric} is one number and has no {condition.aggregation}.")
    if condition.aggregation in {"count", "stddev"}:
        raise ValueError(f"a {condition.aggregation} is neither better nor worse when it is higher.")
    if len(condition.where) > 1:
        raise ValueError("before the metric there is room for a dataset, no more.")
    return GateMetric(
        text=text.strip(),
        dataset=condition.where[0] if condition.where else None,
        metric=metric,
        aggregation=condition.aggregation,
        quantile=condition.quantile,
        better=_BETTER[metric],
    )
