"""Measure whether requests queue up under an open load: whether response latency grows while the load lasts."""

from __future__ import annotations

import msgspec
import numpy as np

from aether_load.rundata.samples.table import PhaseSamples, response_ms

_BINS = 10
_FEWEST_IN_BIN = 3
_T_975_8 = 2.306
"""The 97.5 % quantile of Student's t with the 8 degrees of freedom of a line through 10 points."""


class QueueGrowth(msgspec.Struct, frozen=True, kw_only=True):
    """By how much response latency grows in a second of load, in seconds, with the lower end of its 95 % interval.

    Under a load r above the capacity c a queue grows by (r / c - 1) seconds of work in each second, so that this is the
    share by which the load is too large. Under a load that is served it is 0.
    """

    per_second: float
    low: float


def queue_growth(samples: PhaseSamples) -> QueueGrowth | None:
    """Return the growth over the window, by a line through the mean latencies of ten equal parts of it.

    None where a part has too few requests.
    """
    window_s = samples.window_s
    which = samples.in_window & samples.was_sent
    if not window_s or not which.any():
        return None
    assert samples.window_began_ns is not None
    due_s = (samples.due_ns[which] - samples.window_began_ns) / 1e9
    latency_s = response_ms(samples, which) / 1000
    places = np.minimum((due_s / window_s * _BINS).astype(np.int64), _BINS - 1)
    counts = np.bincount(places, minlength=_BINS)
    if counts.min() < _FEWEST_IN_BIN:
        return None
    at = np.bincount(places, due_s, _BINS) / counts
    mean = np.bincount(places, latency_s, _BINS) / counts
    centred = at - at.mean()
    squares = float(centred @ centred)
    slope = float(centred @ mean) / squares
    rest = mean - mean.mean() - slope * centred
    error = float(np.sqrt(rest @ rest / (_BINS - 2) / squares))
    return QueueGrowth(per_second=round(slope, 6), low=round(slope - _T_975_8 * error, 6))
