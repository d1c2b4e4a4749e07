"""Convert instants of a worker's clock to the run's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.clock import ClockReading


class WorkerClock:
    """The other clock over a run, from readings of it in order; between two of them it runs evenly."""

    def __init__(self, readings: Sequence[ClockReading]) -> None:
        self._readings = tuple(readings)

    @property
    def is_the_runs_own(self) -> bool:
        """Tell whether both clocks are the same."""
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
