"""Fill the seconds of a run with what came in, and close each when all of it has been handed in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.observer.live.time_bucket import TimeBucket, Timeline

_NS_PER_S = 1_000_000_000


class Seconds:
    """The seconds of a run that may still be filled, by their numbers, and a timeline of those that are closed.

    What comes in too late for its own second counts in the first that is open.
    """

    def __init__(self, began_ns: int) -> None:
        self._began_ns = began_ns
        self._first_open = 0
        self.reset()

    def reset(self) -> None:
        """Forget all that came in."""
        self.timeline = Timeline()
        self._open: dict[int, TimeBucket] = {}

    def numbers(self, instants_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the second in which each instant counts."""
        return np.maximum((instants_ns - self._began_ns) // _NS_PER_S, self._first_open)

    def at(self, instant_ns: int) -> TimeBucket:
        """Return the bucket of the second in which an instant counts."""
        return self.number(max((instant_ns - self._began_ns) // _NS_PER_S, self._first_open))

    def number(self, second: int) -> TimeBucket:
        """Return the bucket of a second that is open."""
        if second not in self._open:
            self._open[second] = TimeBucket(began_s=float(second), ended_s=float(second + 1))
        return self._open[second]

    def close_until(self, instant_ns: int) -> None:
        """Close the seconds that were over at an instant."""
        for second in range(self._first_open, (instant_ns - self._began_ns) // _NS_PER_S):
            self.timeline.add(self.number(second))
            del self._open[second]
            self._first_open = second + 1

    def close_all(self, last_ended_ns: int) -> None:
        """Close everything up to the last second that has an answer, the last of which came in at this instant."""
        last = max((second for second, bucket in self._open.items() if bucket.requests), default=-1)
        if last >= 0:
            # What came in in the last part of a second came in in no more time than that.
            self._open[last].ended_s = max((last_ended_ns - self._began_ns) / _NS_PER_S, last + 0.001)
        self.close_until(self._began_ns + (last + 1) * _NS_PER_S)
        self._open.clear()
