"""Test many differences at once without calling chance a difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

_HALF_WIDTH_Z = NormalDist().inv_cdf(0.975)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for being several, in the same order (Holm 1979, Scandinavian J. of Statistics 6).

    Rejecting those below 0.05 makes one wrong rejection or more in at most 5 % of families in which nothing differs,
    however the tests depend on each other.
    """
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    adjusted, least = [0.0] * len(p_values), 0.0
    for step, place in enumerate(order):
        least = max(least, min(1.0, (len(p_values) - step) * p_values[place]))
        adjusted[place] = least
    return adjusted


def difference_p(
    first: tuple[float, float | None, float | None], other: tuple[float, float | None, float | None]
) -> float:
    """Return the two-sided p-value of two figures being equal, each a value with its 95 % interval.

    The half of each interval that faces the other figure stands for its error, as 1.96 standard errors. A bound that
    is missing there leaves anything possible: p is 1.
    """
    lower, upper = sorted((first, other), key=lambda figure: figure[0])
    if lower[2] is None or upper[1] is None or lower[0] == upper[0]:
        return 1.0
    error = math.hypot(lower[2] - lower[0], upper[0] - upper[1]) / _HALF_WIDTH_Z
    return math.erfc((upper[0] - lower[0]) / error / math.sqrt(2)) if error else 0.0
