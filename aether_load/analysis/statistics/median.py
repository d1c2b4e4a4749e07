"""Take the median of a few repetitions, with the interval that their order gives it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from aether_load.analysis.statistics.distribution import percentile, rounded

FEWEST_VALUES = 6
"""Values without which their order bounds no median at 95 %."""


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
