"""Compare another process's monotonic clock with the run's own, by messages that go there and back."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec


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
