"""Another process's monotonic clock held against the run's own, by messages that go there and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray


class Echo(msgspec.Struct, frozen=True):
    """One message there and back, in monotonic ns: sent and back by the run's clock, in between by the other one."""

    sent_ns: int
    there_ns: int
    back_ns: int

    @property
    def round_trip_ns(self) -> int:
        """Return how long it took."""
        return self.back_ns - self.sent_ns


class ClockReading(msgspec.Struct, frozen=True):
    """What the other clock (at `at_ns` of its own) was ahead of the run's by, give or take `uncertainty_ns`."""

    at_ns: int
    offset_ns: int
    uncertainty_ns: int


def read_clock(echoes: Iterable[Echo]) -> ClockReading:
    """Return the reading of the quickest of some echoes; raises ValueError when there are none.

    The answer was given somewhere between there and back: half the round trip is the most that the middle is off by
    (Cristian 1989, Distributed Computing 3). An offset that is smaller than that is none: one clock for both.
    """
    best = min(echoes, key=lambda echo: echo.round_trip_ns)
    offset = best.there_ns - (best.sent_ns + best.back_ns) // 2
    uncertainty = (best.round_trip_ns + 1) // 2
    return ClockReading(best.there_ns, 0 if abs(offset) <= uncertainty else offset, uncertainty)


class Clock:
    """The other clock over a run, from readings of it in order; between two of them it runs evenly."""

    def __init__(self, readings: Sequence[ClockReading]) -> None:
        self._readings = tuple(readings)

    @property
    def is_the_runs_own(self) -> bool:
        """Tell whether there is nothing to translate."""
        return all(reading.offset_ns == 0 for reading in self._readings)

    def to_run(self, instants_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return instants of the other clock by the run's."""
        if self.is_the_runs_own:
            return instants_ns
        # Differences to the first reading are small enough for floats, which instants are not.
        first = self._readings[0]
        at = np.array([reading.at_ns - first.at_ns for reading in self._readings], np.float64)
        drift = np.array([reading.offset_ns - first.offset_ns for reading in self._readings], np.float64)
        drifted = np.interp((instants_ns - first.at_ns).astype(np.float64), at, drift)
        return instants_ns - first.offset_ns - np.round(drifted).astype(np.int64)
