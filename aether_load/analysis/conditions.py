"""A condition held against a phase's samples: it holds, it is broken, or the samples do not decide it."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.rows import Row
from aether_load.analysis.statistics import percentile, wilson
from aether_load.analysis.table import PhaseSamples, response_ms, service_ms
from aether_load.protocol import Outcome
from aether_load.workload.threshold import LATENCIES, SHARES, Threshold

State = Literal["holds", "broken", "undecided"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one condition: the number with its 95 % interval, None where there is none, and in words."""

    condition: str
    state: State
    value: float | None
    low: float | None
    high: float | None
    sentence: str


def judge_condition(condition: Threshold, row: Row, samples: PhaseSamples, which: NDArray[np.bool_]) -> Finding:
    """Return what became of a condition on the requests `which` of a phase, of which `row` is the summary.

    Percentiles and shares are decided on their 95 % interval: it holds when all of the interval fulfils it, is
    broken when none of it does, and is undecided otherwise; other numbers are taken as they are.
    """
    if condition.metric in LATENCIES:
        return _judge_latency(condition, samples, which & samples.was_sent)
    if condition.metric in SHARES:
        return _judge_rate(condition, row)
    value = getattr(row, condition.metric)
    if value is None:
        return _nothing(condition, row.reasons.get(condition.metric, "it was not measured"))
    return _decided(condition, float(value), None, None)


def _judge_latency(condition: Threshold, samples: PhaseSamples, which: NDArray[np.bool_]) -> Finding:
    take = service_ms if condition.metric == "service_latency_ms" else response_ms
    values = np.sort(take(samples, which))
    if len(values) == 0:
        return _nothing(condition, "no request was sent in the window")
    if condition.quantile is not None or condition.aggregation == "p50":
        point = percentile(values, condition.quantile or 0.5)
        low = -np.inf if point.low is None else point.low
        high = np.inf if point.high is None else point.high
        return _decided(condition, point.value, low, high)
    plain = {
        "min": values[0],
        "max": values[-1],
        "mean": values.mean(),
        "count": len(values),
        "stddev": values.std(ddof=1) if len(values) > 1 else 0.0,
    }
    assert condition.aggregation is not None
    return _decided(condition, round(float(plain[condition.aggregation]), 6), None, None)


def _judge_rate(condition: Threshold, row: Row) -> Finding:
    if condition.metric == "accuracy":
        share = row.accuracy
    else:
        outcomes = row.outcomes
        hits = {
            "error_rate": row.requests_total - outcomes["ok"] - outcomes["rejected"],
            "rejected_rate": outcomes["rejected"],
            "unsent_rate": outcomes[Outcome.UNSENT.label],
        }[condition.metric]
        share = wilson(hits, row.requests_total)
    if share is None:
        return _nothing(condition, row.reasons.get(condition.metric, "there was no request"))
    return _decided(condition, share.value, share.low, share.high)


def _nothing(condition: Threshold, why: str) -> Finding:
    return Finding(
        condition=condition.text,
        state="undecided",
        value=None,
        low=None,
        high=None,
        sentence=f"{condition.text}: nothing to decide on: {why}",
    )


def _decided(condition: Threshold, value: float, low: float | None, high: float | None) -> Finding:
    ends = {condition.holds(end) for end in (value if low is None else low, value if high is None else high)}
    # For "==" both ends may miss while the middle hits: an interval that holds the number decides nothing.
    if condition.operator in {"==", "!="} and low is not None and high is not None and low <= condition.value <= high:
        ends = {True, False} if low < high else ends
    state: State = "undecided" if len(ends) == 2 else "holds" if ends == {True} else "broken"
    bounds = "" if low is None or high is None else f" [{_bound(low)}, {_bound(high)}]"
    words = {"holds": "holds", "broken": "is broken", "undecided": "is not decided: the interval reaches over it"}
    return Finding(
        condition=condition.text,
        state=state,
        value=value,
        low=None if low is None or np.isinf(low) else low,
        high=None if high is None or np.isinf(high) else high,
        sentence=f"{condition.text} {words[state]}: {value:g}{bounds}",
    )


def _bound(value: float) -> str:
    return "unbounded" if np.isinf(value) else f"{value:g}"
