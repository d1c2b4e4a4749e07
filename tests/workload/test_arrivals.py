"""When the requests of an open load are due."""

from __future__ import annotations

import math
from itertools import islice, pairwise, takewhile
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from aether_load.schedule.arrivals import arrival_offsets

NS = 1_000_000_000


def within(kind: str, rate: float, seconds: float, *, seed: str = "s", **ramp: Any) -> list[int]:
    return list(takewhile(lambda offset: offset < seconds * NS, arrival_offsets(kind, rate, seed, **ramp)))


@pytest.mark.parametrize(("rate", "seconds"), [(1, 3), (50, 2), (0.5, 10), (30, 1), (1000, 20), (7, 9)])
def test_constant_arrivals_are_as_many_as_rate_times_time(rate: float, seconds: int) -> None:
    """The k-th is due at k / rate: exactly rate times time of them, without drift over chunks."""
    due = within("constant", rate, seconds)
    assert due == [int(k / rate * 1e9) for k in range(int(rate * seconds))]


@pytest.mark.parametrize("seed", ["1 open window", "2 open window", "3 open window"])
def test_poisson_arrivals_have_the_mean_and_the_spread_of_their_kind(seed: str) -> None:
    """Gaps have the mean 1/rate and the same standard deviation; counts by second have their mean for variance.

    Bounds are five standard errors for fixed seeds, so that the test cannot flip.
    """
    rate, seconds = 200, 100
    due = np.array(within("poisson", rate, seconds, seed=seed))
    gaps = np.diff(due) / 1e9
    assert abs(len(due) - rate * seconds) < 5 * math.sqrt(rate * seconds)
    assert abs(gaps.mean() * rate - 1) < 5 / math.sqrt(len(gaps))
    assert abs(gaps.std() * rate - 1) < 5 * math.sqrt(2 / len(gaps))
    counts = np.bincount(due // NS, minlength=seconds)
    assert abs(counts.var(ddof=1) / rate - 1) < 5 * math.sqrt(2 / seconds)
    # Gaps do not depend on the ones before.
    assert abs(np.corrcoef(gaps[:-1], gaps[1:])[0, 1]) < 5 / math.sqrt(len(gaps))


@given(
    st.sampled_from(["constant", "poisson"]),
    st.floats(0.001, 1e6),
    st.text(max_size=8),
    st.none() | st.tuples(st.floats(0, 1e5), st.floats(0.001, 1000)),
)
def test_times_rise_and_come_from_the_seed_alone(
    kind: str, rate: float, seed: str, ramp: tuple[float, float] | None
) -> None:
    """The same seed gives the same times, and none is before the one before it."""
    more: dict[str, Any] = {} if ramp is None else {"ramp_from_rps": ramp[0], "ramp_over_s": ramp[1]}
    first = list(islice(arrival_offsets(kind, rate, seed, **more), 5000))
    assert first == list(islice(arrival_offsets(kind, rate, seed, **more), 5000))
    assert first[0] >= 0
    assert all(a <= b for a, b in pairwise(first))


@pytest.mark.parametrize("other", ["s ", "t", ""])
def test_another_seed_gives_other_times(other: str) -> None:
    """Also one that differs by a space."""
    assert within("poisson", 100, 1) != within("poisson", 100, 1, seed=other)


@given(st.floats(0, 500), st.floats(1, 500), st.floats(0.5, 20))
def test_a_ramp_is_the_integral_of_its_rate(start: float, end: float, over: float) -> None:
    """At each instant as many were due as the rate, summed up until then, says: up, down, and level."""
    assume(start + end > 1)
    due = within("constant", end, over + 2, ramp_from_rps=start, ramp_over_s=over)
    for share in (0.1, 0.5, 0.9, 1.0):
        t = share * over
        wanted = start * t + (end - start) * t * t / (2 * over)
        assert abs(sum(offset < t * NS for offset in due) - wanted) <= 1.01
    assert abs(len(due) - ((start + end) / 2 * over + 2 * end)) <= 1.01


def test_poisson_climbs_a_ramp_as_constant_does() -> None:
    """Half of the ramp brings a quarter of its requests, within five standard deviations."""
    due = within("poisson", 1000, 10, seed="7", ramp_from_rps=0.0, ramp_over_s=10.0)
    assert abs(len(due) - 5000) < 5 * math.sqrt(5000)
    assert abs(sum(offset < 5 * NS for offset in due) - 1250) < 5 * math.sqrt(1250)


@pytest.mark.parametrize("kind", ["constant", "poisson"])
def test_what_never_becomes_due_is_far_off_and_a_number(kind: str) -> None:
    """A rate of next to nothing overflows no clock."""
    first, second = islice(arrival_offsets(kind, 1e-300, "s"), 2)
    assert 0 <= first <= second == 10**18
