"""Summarize latencies and shares with their uncertainty, exactly, from all samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.samples.table import pieces

CONFIDENCE = 0.95
STALLED: Literal["sender_stalled"] = "sender_stalled"
"""Why a percentile is an interval: the sender's event loop was held, and may have read answers late."""
_STALLED_SHARE, _STALLED_MS = 0.02, 0.2
QUANTILES = {"p50": 0.50, "p90": 0.90, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}
_ENOUGH_BEYOND = 10
_BISECTIONS = 50
FEWEST_VALUES = 6
"""Values without which their order bounds no median at 95 %."""


class Percentile(msgspec.Struct, frozen=True):
    """A percentile and its 95 % interval, in the distribution's unit.

    `low` or `high` is None where the samples do not bound it: without `high` the percentile is only known to be
    at least `low`. `reliability` is `unreliable` then, and `few_beyond` with fewer than 10 samples beyond it.
    The samples' percentile lies from `at_least` to `at_most`, which differ where the sender may have read answers late;
    `low` is of the least latencies then. Where they differ by more than the larger of 2 % and 0.2 ms, `value` is None
    and `reason` says `sender_stalled`.
    """

    value: float | None
    low: float | None
    high: float | None
    reliability: Literal["ok", "few_beyond", "unreliable"]
    at_least: float
    at_most: float
    reason: Literal["sender_stalled"] | None = None


class Distribution(msgspec.Struct, frozen=True):
    """A summary of `count` values, all in the unit that stands in the name of the key that holds it."""

    count: int
    min: float
    mean: float
    stddev: float | None
    p50: Percentile
    p90: Percentile
    p95: Percentile
    p99: Percentile
    p99_9: Percentile
    max: float


class Share(msgspec.Struct, frozen=True):
    """`hits` of `count`, as a share with its 95 % Wilson interval."""

    value: float
    low: float
    high: float
    hits: int
    count: int


def distribution(values: NDArray[Any], at_least: NDArray[np.float64] | None = None) -> Distribution | None:
    """Return the distribution of `values`, or None when there are none.

    `at_least` has the least that each may have been; it bounds the percentiles. The other figures are of `values`.
    """
    if len(values) == 0:
        return None
    ordered = ascending(values)
    least = None if at_least is None else ascending(at_least)
    return Distribution(
        count=len(ordered),
        min=_tidy(ordered[0]),
        mean=_tidy(ordered.mean()),
        stddev=_tidy(_deviation(ordered)) if len(ordered) > 1 else None,
        max=_tidy(ordered[-1]),
        **{name: percentile(ordered, q, at_least=least) for name, q in QUANTILES.items()},
    )


def ascending(values: NDArray[Any]) -> NDArray[Any]:
    """Return values in ascending order.

    Floats from 0 on are in the order of their bits, and integers sort in less than half the time.
    """
    if values.dtype == np.float64 and len(values) and values.min() >= 0:
        return np.sort(values.view(np.int64)).view(np.float64)
    return np.sort(values)


def _deviation(values: NDArray[Any]) -> float:
    """Return the standard deviation of a sample, piece by piece, because the squares of all would take their memory."""
    mean, squares = float(values.mean()), 0.0
    for rows in pieces(len(values)):
        centred = values[rows] - mean
        squares += float((centred * centred).sum())
    return math.sqrt(squares / (len(values) - 1))


def is_stalled(at_least: float, at_most: float) -> bool:
    """Tell whether a latency is known so badly that it is published as an interval; both ends in ms."""
    return at_most - at_least > max(_STALLED_SHARE * at_most, _STALLED_MS)


def percentile(
    ordered: NDArray[np.float64],
    q: float,
    confidence: float = CONFIDENCE,
    at_least: NDArray[np.float64] | None = None,
) -> Percentile:
    """Return the q-quantile of ascending values by nearest rank, with its binomial interval.

    `at_least` has the least that the values may have been, ascending too, where that is less. The interval is
    [X(l), X(u)] with l the largest rank for which P(Bin(n, q) <= l-1) <= tail and u the smallest for which
    P(Bin(n, q) >= u) <= tail, 0.025 at a confidence of 0.95: order statistics, no assumption on the distribution
    (Conover, Practical Nonparametric Statistics, 3.2).
    """
    count = len(ordered)
    rank = max(1, math.ceil(q * count))
    tail = (1 - confidence) / 2
    lower = binomial_quantile(tail, count, q)
    upper = binomial_quantile(1 - tail, count, q) + 1
    reliability: Literal["ok", "few_beyond", "unreliable"] = "ok"
    if upper > count:
        reliability = "unreliable"
    elif count - rank < _ENOUGH_BEYOND:
        reliability = "few_beyond"
    least, most = ordered if at_least is None else at_least, ordered
    bounds = _tidy(least[rank - 1]), _tidy(most[rank - 1])
    stalled = is_stalled(*bounds)
    return Percentile(
        value=None if stalled else bounds[1],
        low=_tidy(least[lower - 1]) if lower >= 1 else None,
        high=_tidy(most[upper - 1]) if upper <= count else None,
        reliability=reliability,
        at_least=bounds[0],
        at_most=bounds[1],
        reason=STALLED if stalled else None,
    )


def binomial_quantile(share: float, count: int, q: float) -> int:
    """Return the smallest k with P(Bin(count, q) <= k) >= share."""
    first, below = _binomial(count, q)
    return first + int(np.searchsorted(below, share * below[-1]))


def _binomial(count: int, q: float) -> tuple[int, NDArray[np.float64]]:
    """Return the first k that can be, and P(Bin(count, q) <= k) for it and those that follow, up to a common factor.

    Exact: from the probabilities themselves, each the one before times (n - k) / (k + 1) · q / (1 - q), over as many of
    them as hold all but 1e-30.
    """
    near, spread = count * q, 12 * math.sqrt(count * q * (1 - q)) + 40
    first, last = max(0, int(near - spread)), min(count, int(near + spread) + 1)
    k = np.arange(first, last)
    logs = np.concatenate(([0.0], np.cumsum(np.log((count - k) / (k + 1.0)) + math.log(q / (1 - q)))))
    return first, np.cumsum(np.exp(logs - logs.max()))


def _share_up_to(k: int, count: int, q: float) -> float:
    first, below = _binomial(count, q)
    return 0.0 if k < first else float(below[min(k - first, len(below) - 1)] / below[-1])


def _share_for(k: int, count: int, below: float) -> float:
    """Return the q with P(Bin(count, q) <= k) = `below`, by bisection: that falls as q rises."""
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_up_to(k, count, middle) > below else (low, middle)
    return high


def wilson(hits: int, count: int, confidence: float = CONFIDENCE) -> Share | None:
    """Return hits/count with its Wilson score interval (Wilson 1927, JASA 22), or None for a count of zero."""
    if count == 0:
        return None
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return Share(_tidy(share), _tidy(max(0.0, centre - half)), _tidy(min(1.0, centre + half)), hits, count)


def clopper_pearson(hits: int, count: int) -> Share | None:
    """Return hits/count with its exact 95 % interval (Clopper and Pearson 1934, Biometrika 26), or None for no count.

    It covers at least 95 % whatever the true share is, also where no hit was seen at all.
    """
    if count == 0:
        return None
    tail = (1 - CONFIDENCE) / 2
    low = _share_for(hits - 1, count, 1 - tail) if hits else 0.0
    high = _share_for(hits, count, tail) if hits < count else 1.0
    return Share(_tidy(hits / count), _tidy(low), _tidy(high), hits, count)


def rounded(value: float | None) -> float | None:
    """Return a figure at the resolution of every figure in a report, or None as it is."""
    return None if value is None else _tidy(value)


def _tidy(value: float) -> float:
    """Return a plain float at a resolution far below what is measured, so that files stay readable."""
    return round(float(value), 6)


class Median(msgspec.Struct, frozen=True):
    """A median and its 95 % interval; the bounds are None below `FEWEST_VALUES` values, and all is None without any."""

    value: float | None
    low: float | None
    high: float | None


def median_of(values: Sequence[float]) -> Median:
    """Return the median of some values with the interval of its order statistics."""
    if not values:
        return Median(None, None, None)
    ordered = np.sort(np.array(values, np.float64))
    bounds = percentile(ordered, 0.5) if len(ordered) >= FEWEST_VALUES else None
    value = rounded(float(np.median(ordered)))
    return Median(value, bounds.low, bounds.high) if bounds else Median(value, None, None)
