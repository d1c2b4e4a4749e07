"""Read the value of a metric from the part of a report that the metric is of."""

from __future__ import annotations

from typing import Any

from aether_load.scenario.metrics import Metric, metric_of
from aether_load.scenario.threshold import Threshold

COUNTED_SHARES = ("error_rate", "rejected_rate", "dropped_rate")
"""Shares that follow from the outcomes in a row; a row holds the last one only as a number of requests."""


def metric_in(condition: Threshold) -> Metric:
    """Return the metric that a condition is about; raises ValueError with a sentence when no report holds it."""
    return metric_of(condition.metric, condition.aggregation, condition.quantile)


def read(metric: Metric, whole: Any) -> tuple[Any, str | None]:
    """Return a metric's value in the row, phase or search that it is of, or None and why it is not there.

    The name of a metric is the way to its value: `correlation.littles_law_ratio` is the field `littles_law_ratio` of
    the field `correlation`.
    """
    why: str | None = None
    for key in metric.name.removeprefix("search.").split("."):
        beside = getattr(whole, "reasons", None) or {}
        why = beside.get(key) or getattr(whole, "reason", None) or why
        whole = whole.get(key) if isinstance(whole, dict) else getattr(whole, key)
        if whole is None:
            return None, why or "it was not measured"
    return whole, None
