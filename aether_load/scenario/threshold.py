"""A condition on a number of the report, in k6's grammar: "p(99)<500", "hellaswag:request_latency_ms:p(95)<500"."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Literal

import msgspec

from aether_load.scenario.duration import Seconds
from aether_load.scenario.validation import Strict, nearest

Operator = Literal["<", "<=", ">", ">=", "==", "!="]

DEFAULT_METRIC = "response_latency_ms"
LONGEST = 200
"""Characters of a condition."""
MOST_WHERE = 2
"""Names before a metric: a phase's and a dataset's."""
_PARTS = re.compile(r"(?P<what>[^<>=!]*)(?P<operator><=|>=|==|!=|<|>)(?P<value>[^<>=!]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*")
_LIMIT = re.compile(r"[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_PERCENTILE = re.compile(r"p\(\s*([0-9]+(?:\.[0-9]+)?)\s*\)")
_LIKE_A_PERCENTILE = re.compile(r"p_?([0-9]{1,2})(?:[._]?([1-9]|9+))?", re.IGNORECASE)
_LIKE_AN_AGGREGATION = {"average": "avg", "median": "med", "maximum": "max", "minimum": "min"}
AGGREGATIONS = ("min", "max", "mean", "avg", "med", "stddev", "count")

ALIASES = {"request_latency_ms": DEFAULT_METRIC}
"""Other words for a metric."""
LATENCIES = ("response_latency_ms", "service_latency_ms", *ALIASES)
"""Metrics that are distributions."""
SHARES = ("error_rate", "rejected_rate", "accuracy", "dropped_rate")
PLAIN = ("request_throughput_rps", "ok_throughput_rps", "requests_total", "ok_total", "tokens_total")


class ThresholdPlan(Strict, frozen=True, kw_only=True):
    """A condition that decides a run's verdict.

    With `abort_on_fail` the run ends early, in order, as soon as it is broken; `delay_abort_eval` is for how long
    after a window's opening it is not looked at yet.
    """

    condition: str
    abort_on_fail: bool = False
    delay_abort_eval: Seconds = Seconds(0)


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
    if len(text) > LONGEST:
        raise ValueError(f"it has {len(text)} characters, of {LONGEST} that a condition may have.")
    match = _PARTS.fullmatch(text)
    *names, what = [part.strip() for part in match["what"].split(":")] if match else [""]
    limit = match["value"].strip() if match else ""
    percentile = _PERCENTILE.fullmatch(what)
    is_point = percentile is not None or what in AGGREGATIONS
    if match is None or not (is_point or _NAME.fullmatch(what)) or not all(names) or not _LIMIT.fullmatch(limit):
        raise ValueError('expected a number of the report and a limit, as in "p(95)<500" or "error_rate<0.01".')
    if math.isinf(float(limit)):
        raise ValueError(f"{limit} is more than any number of a report can be.")
    quantile = aggregation = None
    if percentile is not None:
        # By decimals: 99.9 / 100 is a little above 0.999, which of a thousand samples would be the last one.
        quantile = float(Decimal(percentile[1]) / 100)
        if not 0 < quantile < 1:
            raise ValueError(f"there is no {what}: a percentile lies between 0 and 100.")
        aggregation = "p"
    elif is_point:
        aggregation = {"avg": "mean", "med": "p50"}.get(what, what)
    if aggregation is None:
        metric = what
    elif names:
        metric = names.pop()
    else:
        metric = DEFAULT_METRIC
    if len(names) > MOST_WHERE:
        raise ValueError("before the metric there is room for a phase and a dataset, no more.")
    return Threshold(
        text=" ".join(text.split()),
        where=tuple(names),
        metric=metric,
        aggregation=aggregation,
        quantile=quantile,
        operator=match["operator"],  # type: ignore[arg-type]
        value=float(limit),
    )


def meaning(text: str) -> Threshold:
    """Return what a condition states however it is written: two of one meaning are equal."""
    return msgspec.structs.replace(parse_threshold(text), text="")


def quoted(text: str) -> str:
    """Return a condition as it stands in a sentence about it: in quotes, and no longer than one can read."""
    return repr(text if len(text) <= LONGEST else f"{text[:40]}…")


def plan_mistake(plan: ThresholdPlan) -> str | None:
    """Return what is wrong with one of a scenario's thresholds, as "key = value: sentence", or None."""
    try:
        parse_threshold(plan.condition)
    except ValueError as error:
        return f"condition = {quoted(plan.condition)}: {error}"
    if plan.delay_abort_eval and not plan.abort_on_fail:
        return "delay_abort_eval: it is how long abort_on_fail waits, and that is not set."
    return None


def with_conditions(plans: tuple[ThresholdPlan, ...], conditions: Iterable[str]) -> tuple[ThresholdPlan, ...]:
    """Return the thresholds with those of a command line behind them; one that is there already is asked once.

    Raises ValueError with a sentence that quotes the condition.
    """
    found = {meaning(plan.condition): plan for plan in plans}
    for condition in conditions:
        plan = ThresholdPlan(condition=condition)
        try:
            found.setdefault(meaning(condition), plan)
        except ValueError as error:
            raise ValueError(f"{quoted(condition)}: {error}") from None
    return tuple(found.values())


def aggregation_meant(name: str) -> str | None:
    """Return the percentile or aggregation that a name was meant for, such as p(95) for `p95`, or None."""
    like = _LIKE_A_PERCENTILE.fullmatch(name)
    if like is None:
        return _LIKE_AN_AGGREGATION.get(name.lower())
    return f"p({like[1]}.{like[2]})" if like[2] else f"p({like[1]})"


def metric_mistake(condition: Threshold) -> str | None:
    """Return what is wrong with the metric of a search's condition, with the nearest name, or None."""
    known = [*LATENCIES, *SHARES, *PLAIN]
    if condition.metric not in known:
        near = aggregation_meant(condition.metric) or nearest(condition.metric, known, cutoff=0.5)
        advice = f"did you mean {near!r}?" if near else f"there are {', '.join(known)}."
        return f"there is no metric {condition.metric!r}; {advice}"
    if condition.metric in LATENCIES and condition.aggregation is None:
        return f"{condition.metric} is a distribution: say which point of it, as in {condition.metric}:p(95)."
    if condition.metric not in LATENCIES and condition.aggregation is not None:
        return f"{condition.metric} is one number and has no {condition.aggregation}."
    return None
