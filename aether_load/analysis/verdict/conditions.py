"""Decide whether a condition on a figure of a report holds, is broken, or cannot be decided."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.phase.rows import Row
from aether_load.analysis.statistics.distribution import (
    CONFIDENCE,
    QUANTILES,
    STALLED,
    Distribution,
    Percentile,
    Share,
    is_stalled,
    percentile,
    wilson,
)
from aether_load.analysis.statistics.histogram import Interval, QuantileInterval
from aether_load.protocol import Outcome
from aether_load.rundata.samples.table import PhaseSamples, response_latencies, service_latencies
from aether_load.scenario.metrics import Metric, metric_of
from aether_load.scenario.threshold import Threshold

State = Literal["holds", "broken", "undecided"]

COUNTED_SHARES = ("error_rate", "rejected_rate", "dropped_rate")
"""Shares that follow from the outcomes in a row; a row holds the last one only as a number of requests."""
_POINTS = ("p", "p50")
_PLAIN: dict[str | None, Callable[[NDArray[np.float64]], np.float64]] = {"min": np.min, "mean": np.mean, "max": np.max}
_MEDIAN = 0.5
_WHY_OVER: dict[str | None, str] = {STALLED: "it lies in what the sender itself may have added (sender_stalled)"}
_NO_SPREAD = "one value alone has no spread"
_NO_POINT = "the server's buckets give an interval, and no point in it"


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


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """A number with its interval, from `low` to `high`, both infinite where nothing bounds it; None where none is.

    An `is_open` interval holds all but its upper end, and has no point: `value` is None there, and where the sender
    may have read answers late. Without a value, `reason` says why.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    is_open: bool = False
    reason: str | None = None

    @property
    def shown(self) -> str:
        """Return it as text: `812 [790, 840]`."""
        if self.low is None or self.high is None:
            assert self.value is not None
            return _text(self.value)
        bounds = f"[{_text(self.low)}, {_text(self.high)}{')' if self.is_open else ']'}"
        return bounds if self.value is None else f"{_text(self.value)} {bounds}"


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """What a number decides, and the number itself, as a value with its interval and as text (`shown`).

    `value` is None where `reason` says why; `low` and `high` are None where nothing bounds it, or where it has no
    interval.
    """

    state: State
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    shown: str


class Finding(Decided, frozen=True, kw_only=True):
    """What became of one condition, and in words."""

    condition: str

    @property
    def sentence(self) -> str:
        """Return it in a sentence that begins with the condition."""
        if not self.shown:
            return f"{self.condition}: nothing to decide on: {self.reason}"
        undecided = f"is not decided: {_WHY_OVER.get(self.reason, 'the interval reaches over it')}"
        words = {"holds": "holds", "broken": "is broken", "undecided": undecided}
        return f"{self.condition} {words[self.state]}: {self.shown}"


def judge_condition(
    condition: Threshold,
    row: Row,
    samples: PhaseSamples,
    which: NDArray[np.bool_],
    *,
    confidence: float = CONFIDENCE,
    interrupted: bool = False,
) -> Finding:
    """Return what became of a condition on the requests `which` of a phase, of which `row` is the summary.

    Percentiles and shares are decided on their interval: it holds when all of the interval fulfils it, is broken
    when none of it does, and is undecided otherwise. So are the mean, the least and the largest latency where the
    sender may have read answers late. Other numbers are taken as they are. In an `interrupted` run requests that we
    gave up ourselves are in no share of failures.
    """
    metric = metric_in(condition)
    if metric.name in COUNTED_SHARES:
        return decide(condition, _counted_share(metric, row, confidence, interrupted=interrupted))
    published = confidence == CONFIDENCE and condition.quantile in {None, *QUANTILES.values()}
    if metric.has_samples and (condition.aggregation in _PLAIN or (condition.aggregation in _POINTS and not published)):
        return decide(condition, _latency(condition, metric, samples, which & samples.was_sent, confidence))
    return judge_number(condition, row, confidence=confidence)


def judge_number(condition: Threshold, whole: Any, *, confidence: float = CONFIDENCE) -> Finding:
    """Return what became of a condition on a number of `whole`: a row, a phase's report, or a search's."""
    value, why = read(metric_in(condition), whole)
    return decide(condition, Measured(reason=why) if value is None else _measured(condition, value, confidence))


def _measured(condition: Threshold, value: Any, confidence: float) -> Measured:
    if isinstance(value, Interval | QuantileInterval):
        return Measured(
            low=value.low, high=math.inf if value.high is None else value.high, is_open=True, reason=_NO_POINT
        )
    if isinstance(value, Share):
        return _of_share(wilson(value.hits, value.count, confidence))
    if isinstance(value, Percentile):
        return _of_percentile(value)
    if isinstance(value, Distribution):
        if condition.aggregation in _POINTS:
            name = next(name for name, q in QUANTILES.items() if q == (condition.quantile or _MEDIAN))
            return _of_percentile(getattr(value, name))
        assert condition.aggregation is not None
        value = getattr(value, condition.aggregation)
        if value is None:
            return Measured(reason=_NO_SPREAD)
    return Measured(value=float(value))


def _latency(
    condition: Threshold, metric: Metric, samples: PhaseSamples, which: NDArray[np.bool_], confidence: float
) -> Measured:
    """Return a percentile, or another point, of the latencies themselves, with what the sender may have added."""
    take = service_latencies if metric.name == "service_latency_ms" else response_latencies
    measured, at_least = take(samples, which)
    if len(measured) == 0:
        return Measured(reason="no request was sent in the window")
    if condition.aggregation in _PLAIN:
        point = _PLAIN[condition.aggregation]
        low, high = (round(float(point(ends)), 6) for ends in (measured if at_least is None else at_least, measured))
        return Measured(low=low, high=high, reason=STALLED) if is_stalled(low, high) else Measured(value=high)
    least = None if at_least is None else np.sort(at_least)
    return _of_percentile(percentile(np.sort(measured), condition.quantile or _MEDIAN, confidence, least))


def _counted_share(metric: Metric, row: Row, confidence: float, *, interrupted: bool) -> Measured:
    outcomes = row.outcomes
    count = row.requests_total - (outcomes[Outcome.CANCELLED.label] if interrupted else 0)
    hits = {
        "error_rate": count - outcomes["ok"] - outcomes["rejected"],
        "rejected_rate": outcomes["rejected"],
        "dropped_rate": outcomes[Outcome.DROPPED.label],
    }[metric.name]
    return _of_share(wilson(hits, count, confidence), row.reasons.get(metric.name, "there was no request"))


def _of_share(share: Share | None, reason: str | None = None) -> Measured:
    if share is None:
        return Measured(reason=reason)
    return Measured(value=share.value, low=share.low, high=share.high)


def _of_percentile(point: Percentile) -> Measured:
    return Measured(
        value=point.value,
        low=-math.inf if point.low is None else point.low,
        high=math.inf if point.high is None else point.high,
        reason=point.reason,
    )


def decide(condition: Threshold, number: Measured) -> Finding:
    """Return what became of a condition on a number."""
    low = number.value if number.low is None else number.low
    high = number.value if number.high is None else number.high
    state: State = "undecided"
    if low is not None and high is not None:
        ends = {condition.holds(low), _holds_up_to(condition, high) if number.is_open else condition.holds(high)}
        # For "==" both ends may miss while the middle hits: an interval that holds the number decides nothing.
        inside = low <= condition.value < high or (condition.value == high and not number.is_open)
        if condition.operator in {"==", "!="} and inside and low < high:
            ends = {True, False}
        state = "undecided" if len(ends) == 2 else "holds" if ends == {True} else "broken"
    return Finding(
        condition=condition.text,
        state=state,
        value=number.value,
        low=None if number.low is None or math.isinf(number.low) else number.low,
        high=None if number.high is None or math.isinf(number.high) else number.high,
        reason=number.reason,
        shown=number.shown if low is not None else "",
    )


def _holds_up_to(condition: Threshold, end: float) -> bool:
    """Tell whether numbers right below `end` fulfil a condition."""
    if condition.operator in {"<", "<="}:
        return end <= condition.value
    return end > condition.value if condition.operator in {">", ">="} else condition.operator == "!="


def _text(value: float) -> str:
    if math.isinf(value):
        return "unbounded"
    # A count is whole however large it is.
    return f"{value:.0f}" if float(value).is_integer() else f"{value:g}"
