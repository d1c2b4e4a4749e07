"""Seconds of a run that are filled, and closed when all of them has been handed in."""

import numpy as np

from aether_load.observer.live.seconds import Seconds

SECOND = 1_000_000_000
BEGAN = 50 * SECOND


def answered(seconds: Seconds, instant_s: float) -> None:
    seconds.at(BEGAN + int(instant_s * SECOND)).requests += 1


def closed(seconds: Seconds) -> list[tuple[float, float, int]]:
    return [(bucket.began_s, bucket.ended_s, bucket.requests) for bucket in seconds.timeline]


def test_a_second_without_anything_is_a_bucket_too() -> None:
    """Charts have no gaps in time."""
    seconds = Seconds(BEGAN)
    answered(seconds, 2.5)
    seconds.close_until(BEGAN + int(3.9 * SECOND))
    assert closed(seconds) == [(0, 1, 0), (1, 2, 0), (2, 3, 1)]


def test_what_comes_after_its_second_was_closed_counts_in_the_first_that_is_open() -> None:
    """It is not lost, and what is closed does not change."""
    seconds = Seconds(BEGAN)
    seconds.close_until(BEGAN + 2 * SECOND)
    answered(seconds, 0.5)
    assert seconds.numbers(np.array([BEGAN, BEGAN + 3 * SECOND])).tolist() == [2, 3]
    seconds.close_until(BEGAN + 3 * SECOND)
    assert closed(seconds) == [(0, 1, 0), (1, 2, 0), (2, 3, 1)]


def test_the_last_second_is_as_long_as_there_were_answers() -> None:
    """Those behind it, in which nothing came in, are none."""
    seconds = Seconds(BEGAN)
    answered(seconds, 0.1)
    answered(seconds, 1.25)
    assert seconds.at(BEGAN + 5 * SECOND).began_s == 5
    seconds.close_all(BEGAN + int(1.25 * SECOND))
    assert closed(seconds) == [(0, 1, 1), (1, 1.25, 1)]
    assert seconds.timeline.latest(1)[0].seconds == 0.25


def test_a_reset_forgets_open_and_closed_seconds_and_goes_on_in_time() -> None:
    """The charts begin anew where the run is."""
    seconds = Seconds(BEGAN)
    answered(seconds, 0.5)
    seconds.close_until(BEGAN + SECOND)
    answered(seconds, 1.5)
    seconds.reset()
    answered(seconds, 1.75)
    seconds.close_until(BEGAN + 2 * SECOND)
    assert closed(seconds) == [(1, 2, 1)]
