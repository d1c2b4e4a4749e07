"""Count latencies in bins that are 1 % wide, from which percentiles of any time bucket follow."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

_PER_OCTAVE = 70
BINS = 28 * _PER_OCTAVE
"""From 1 us to 4.5 minutes; what lies beyond is counted in the outermost bins."""

Counts = NDArray[np.int64]


def bins_of(latencies_us: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each latency."""
    places = (np.log2(np.maximum(latencies_us, 1.0)) * _PER_OCTAVE).astype(np.int64)
    return np.minimum(places, BINS - 1)


def percentile_ms(counts: Counts, q: float) -> float | None:
    """Return the q-quantile (nearest rank) in ms, at most 0.5 % off, or None of nothing."""
    ends = counts.cumsum()
    total = int(ends[-1])
    if total == 0:
        return None
    place = int(np.searchsorted(ends, max(1, math.ceil(q * total))))
    return float(2 ** ((place + 0.5) / _PER_OCTAVE)) / 1000
