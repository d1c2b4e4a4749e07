"""Another machine's clock is translated to within half a round trip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.rundata.clock import ClockReading, Echo, read_clock
from aether_load.rundata.worker_clock import WorkerClock

SECOND = 1_000_000_000


@given(
    st.integers(-(10**18), 10**18),
    st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1, max_size=10),
)
def test_the_offset_is_within_its_uncertainty(offset: int, trips: list[tuple[int, int]]) -> None:
    """Whatever the way there and back take, each for itself, and however far the clocks are apart."""
    at, echoes = 10**15, []
    for there, back in trips:
        echoes.append(Echo(at, at + there + offset, at + there + back))
        at += there + back
    reading = read_clock(echoes)
    assert reading.uncertainty_ns == (min(there + back for there, back in trips) + 1) // 2
    # An offset that may be none is taken for none, and is off by twice as much then.
    off = abs(reading.offset_ns - offset)
    assert off <= (reading.uncertainty_ns + 1) * (1 if reading.offset_ns else 2)


def test_a_difference_that_a_round_trip_hides_is_none() -> None:
    assert read_clock([Echo(1000, 1040, 1100)]) == ClockReading(1040, 0, 50)


def test_there_is_no_reading_without_an_echo() -> None:
    with pytest.raises(ValueError, match="empty"):
        read_clock([])


def test_a_clock_that_runs_faster_is_followed_between_readings() -> None:
    """Instants beyond what a float holds exactly, a second ahead at first and 1 ms more an hour later."""
    start = 3 * 10**17
    clock = WorkerClock([ClockReading(start, SECOND, 5), ClockReading(start + 3600 * SECOND, SECOND + 1_000_000, 5)])
    told = np.array([start - SECOND, start, start + 1800 * SECOND + 1, start + 3600 * SECOND, start + 9999 * SECOND])
    assert clock.to_run(told).tolist() == [
        start - 2 * SECOND,
        start - SECOND,
        start + 1799 * SECOND + 1 - 500_000,
        start + 3599 * SECOND - 1_000_000,
        start + 9998 * SECOND - 1_000_000,
    ]


def test_the_runs_own_clock_is_left_alone() -> None:
    told = np.array([1, 2, 3])
    assert WorkerClock([ClockReading(5, 0, 3), ClockReading(9, 0, 2)]).to_run(told) is told
