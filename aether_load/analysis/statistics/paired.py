"""Test whether a candidate is worse than its base by more than noise and a margin, pair by pair."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import percentile, rounded
from aether_load.scenario.gate_plan import FEWEST_PAIRS

Finding = Literal["regression", "no_regression", "inconclusive"]

POWER = 0.95
_RESAMPLES = 2000
_SEED = 20240229


class PairedTest(msgspec.Struct, frozen=True, kw_only=True):
    """What pairs of windows say of a candidate beside its base.

    `goodness` ratios are turned so that below 1 the candidate is worse, also for a metric that is better when lower.
    The interval is that of the median's order statistics, at 95 %. `p_value` is the one-sided Wilcoxon signed-rank
    test's, of no loss. `smallest_loss_seen` is the loss, as a share, that these pairs' spread would have failed in 95
    of 100 times. All are None without the pairs that a decision takes.
    """

    pairs_total: int
    finding: Finding
    goodness_median: float | None
    goodness_low: float | None
    goodness_high: float | None
    p_value: float | None
    smallest_loss_seen: float | None


def paired_test(log_ratios: Sequence[float], *, margin: float, confidence: float) -> PairedTest:
    """Test the natural logarithms of goodness ratios, candidate over base, one a pair.

    A regression is a one-sided p below 1 - `confidence` and a median ratio below 1 - `margin`. What is none is
    undecided as long as the interval of the median reaches below 1 - 2 `margin`, the loss that must be caught.
    Source: Wilcoxon 1945, Biometrics Bulletin 1(6); the interval: Conover, Practical Nonparametric Statistics, 3.2.
    """
    if len(log_ratios) < FEWEST_PAIRS:
        return PairedTest(
            pairs_total=len(log_ratios),
            finding="inconclusive",
            goodness_median=None,
            goodness_low=None,
            goodness_high=None,
            p_value=None,
            smallest_loss_seen=None,
        )
    values = np.sort(np.array(log_ratios, np.float64))
    median = math.exp(float(np.median(values)))
    bounds = percentile(values, 0.5)
    assert bounds.low is not None
    assert bounds.high is not None
    low, high = math.exp(bounds.low), math.exp(bounds.high)
    p_value = wilcoxon_less(values)
    finding: Finding = "no_regression"
    if p_value < 1 - confidence and median < 1 - margin:
        finding = "regression"
    elif low < 1 - 2 * margin:
        finding = "inconclusive"
    return PairedTest(
        pairs_total=len(values),
        finding=finding,
        goodness_median=rounded(median),
        goodness_low=rounded(low),
        goodness_high=rounded(high),
        p_value=p_value,
        smallest_loss_seen=rounded(smallest_loss(values, margin=margin, confidence=confidence)),
    )


def wilcoxon_less(values: NDArray[np.float64]) -> float:
    """Return the one-sided p of the signed-rank test that `values` lie below 0; 1 where they are all 0.

    Zeros are left out. Exact where no two absolute values are equal, else by the normal approximation with the
    variance that ties leave (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 3.1).
    """
    values = values[values != 0]
    count = len(values)
    if count == 0:
        return 1.0
    ranks, ties = _ranks(np.abs(values))
    above = float(ranks[values > 0].sum())
    if len(ties) == count:
        return float(_rank_sums(count)[: round(above) + 1].sum())
    variance = count * (count + 1) * (2 * count + 1) / 24 - float((ties**3 - ties).sum()) / 48
    return NormalDist().cdf((above - count * (count + 1) / 4) / math.sqrt(variance))


def _ranks(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return each value's rank from 1, the mean rank where several are equal, and how many share each."""
    _, place, shared = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(shared)
    return (last - (shared - 1) / 2)[place], shared


def _rank_sums(count: int) -> NDArray[np.float64]:
    """Return the probability of each rank sum, from 0, where each rank from 1 to `count` is in it with even odds."""
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        with_it = np.zeros_like(chances)
        with_it[rank:] = chances[:-rank]
        chances = (chances + with_it) / 2
    return chances


def smallest_loss(values: NDArray[np.float64], *, margin: float, confidence: float) -> float:
    """Return the loss that pairs of this spread fail in `POWER` of all cases.

    The pairs, moved so that their median is 0, are drawn anew with replacement, as often as it takes for a steady
    figure. Each draw fails from a certain loss on: where its median reaches the margin, and where few enough of its
    Walsh averages (means of two) are above 0, which is what the rank sum counts. No distribution is assumed.
    """
    draws = np.random.default_rng(_SEED)
    centred = values - np.median(values)
    drawn = draws.choice(centred, size=(_RESAMPLES, len(centred)))
    first, second = np.triu_indices(len(centred))
    allowed = most_above(len(centred), 1 - confidence)
    by_median = math.log(1 - margin) - np.median(drawn, axis=1)
    if allowed is None:
        return 1.0
    place = len(first) - 1 - allowed
    by_rank = np.array([-np.partition((row[first] + row[second]) / 2, place)[place] for row in drawn])
    shift = np.quantile(np.minimum(by_median, by_rank), 1 - POWER)
    return float(-math.expm1(shift))


def share_failing_by_chance(values: NDArray[np.float64], *, margin: float, confidence: float) -> float:
    """Return the share of gates that would fail with pairs of this spread and no loss: each pair either way round.

    Between equal builds either side of a pair may as well have been the other, so that the sign of each logarithm is
    drawn anew, as often as it takes for a steady figure.
    """
    allowed = most_above(len(values), 1 - confidence)
    if allowed is None:
        return 0.0
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], size=(_RESAMPLES, len(values)))
    ranks, _ = _ranks(np.abs(values))
    drawn = signs * np.abs(values)
    above = (ranks * (drawn > 0)).sum(axis=1)
    return float(np.mean((above <= allowed) & (np.median(drawn, axis=1) < math.log(1 - margin))))


def most_above(count: int, alpha: float) -> int | None:
    """Return the largest rank sum of positive values for which the one-sided p is below `alpha`, or None."""
    allowed = int(np.searchsorted(np.cumsum(_rank_sums(count)), alpha, side="left")) - 1
    return allowed if allowed >= 0 else None
