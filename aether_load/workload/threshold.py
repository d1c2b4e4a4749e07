"""A condition on a number of the report, in k6's grammar: "p(99)<500", "hellaswag:request_latency_ms:p(95)<500"."""

from __future__ import annotations

import difflib
import re
from decimal import Decimal
from typing import Literal

import msgspec

Operator = Literal["<", "<=", ">", ">=", "==", "!="]

DEFAULT_METRIC = "response_latency_ms"
_CONDITION = re.compile(
    r"\s*(?:(?P<path>[A-Za-z0-9_.#-]+(?::[A-Za-z0-9_.#-]+)*?):)?"
    r"(?P<what>p\(\s*\d+(?:\.\d+)?\s*\)|[A-Za-z_][A-Za-z0-9_]*)"
    r"\s*(?P<operator><=|>=|==|!=|<|>)\s*(?P<value>[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\s*"
)
_PERCENTILE = re.compile(r"p\(\s*(\d+(?:\.\d+)?)\s*\)")
AGGREGATIONS = ("min", "max", "mean", "avg", "med", "stddev", "count")

LATENCIES = ("response_latency_ms", "service_latency_ms", "request_latency_ms")
"""Metrics that are distributions; `request_latency_ms` is another word for the response latency."""
SHARES = ("error_rate", "rejected_rate", "accuracy", "unsent_rate")
PLAIN = ("request_throughput_rps", "ok_throughput_rps", "requests_total", "ok_total", "token_cost_total")


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """One condition: which number, compared with what.

    `where` are the names before the metric (a phase, a dataset, both); `aggregation` is what is taken of a
    metric that is a distribution, with `quantile` (0 to 1) for a percentile; both None for a plain number.
    """

    text: str
    where: tuple[str, ...]
    metric: str
    aggregation: str | None
    quantile: float | None
    operator: Operator
    value: float

    def holds(self, number: float) -> bool:
        """Tell whether `number` fulfils the condition."""
        return {
            "<": number < self.value,
            "<=": number <= self.value,
            ">": number > self.value,
            ">=": number >= self.value,
            "==": number == self.value,
            "!=": number != self.value,
        }[self.operator]


def parse_threshold(text: str) -> Threshold:
    """Return the condition that `text` states; raises ValueError with what is wrong with it.

    A percentile or an aggregation alone is of the response latency; a plain name is a number of its own.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ValueError('expected a number of the report and a limit, as in "p(95)<500" or "error_rate<0.01".')
    names = match["path"].split(":") if match["path"] else []
    what = match["what"]
    quantile = aggregation = None
    if percentile := _PERCENTILE.fullmatch(what):
        # By decimals: 99.9 / 100 is a little above 0.999, which of a thousand samples would be the last one.
        quantile = float(Decimal(percentile[1]) / 100)
        if not 0 < quantile < 1:
            raise ValueError(f"there is no {what}: a percentile lies between 0 and 100.")
        aggregation = "p"
    elif what in AGGREGATIONS:
        aggregation = {"avg": "mean", "med": "p50"}.get(what, what)
    if aggregation is None:
        metric = what
    elif names:
        metric = names.pop()
    else:
        metric = DEFAULT_METRIC
    if len(names) > 2:
        raise ValueError("before the metric there is room for a phase and a dataset, no more.")
    return Threshold(
        text=text.strip(),
        where=tuple(names),
        metric=metric,
        aggregation=aggregation,
        quantile=quantile,
        operator=match["operator"],  # type: ignore[arg-type]
        value=float(match["value"]),
    )


def metric_mistake(condition: Threshold) -> str | None:
    """Return what is wrong with a condition's metric, in a sentence with the nearest name, or None."""
    known = [*LATENCIES, *SHARES, *PLAIN]
    if condition.metric not in known:
        near = difflib.get_close_matches(condition.metric, known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}."
        return f"there is no metric {condition.metric!r}; {advice}"
    if condition.metric in LATENCIES and condition.aggregation is None:
        return f"{condition.metric} is a distribution: say which point of it, as in {condition.metric}:p(95)."
    if condition.metric not in LATENCIES and condition.aggregation is not None:
        return f"{condition.metric} is one number and has no {condition.aggregation}."
    return None
