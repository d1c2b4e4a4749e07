"""Find out whether a window was steady: MSER-5 on its throughput."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

BATCH = 5
SHORTEST_S = 120


class Steadiness(msgspec.Struct, frozen=True):
    """How many seconds MSER-5 would have cut off a window's beginning, and the mean rate of what it would leave."""

    cut_s: int
    rate_before_rps: float | None
    rate_after_rps: float


def mser5(per_second: Sequence[float]) -> Steadiness | None:
    """Return what MSER-5 makes of throughput by the second, or None for a window shorter than two minutes.

    Of the n means of five seconds, the first d* are the transient: d* = argmin over d <= n/2 of
    sum over i > d of (y_i - mean)^2 / (n - d)^2 (White, Cobb and Spratt 2000, WSC).
    """
    if len(per_second) < SHORTEST_S:
        return None
    means = [sum(per_second[start : start + BATCH]) / BATCH for start in range(0, len(per_second) - BATCH + 1, BATCH)]
    cut, best = 0, math.inf
    # From the end: sums of a longer and longer tail, each in one step.
    total = squares = 0.0
    for start in range(len(means) - 1, -1, -1):
        total += means[start]
        squares += means[start] ** 2
        left = len(means) - start
        spread = max(0.0, squares - total * total / left) / left**2
        if start <= len(means) // 2 and spread <= best:
            cut, best = start, spread
    before, after = means[:cut], means[cut:]
    return Steadiness(
        cut_s=cut * BATCH,
        rate_before_rps=round(sum(before) / len(before), 6) if before else None,
        rate_after_rps=round(sum(after) / len(after), 6),
    )
