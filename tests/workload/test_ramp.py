"""The ramp to a load, and the pauses of users that think."""

from __future__ import annotations

import math
import statistics
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.scenario.stage import Stage
from aether_load.schedule.ramp import user_steps
from aether_load.schedule.think_time import pauses


def closed(**keys: Any) -> Stage:
    given = {"name": "closed", "phase": 0, "load": "closed", "users": 4, **keys}
    return Stage(**given)


@pytest.mark.parametrize(
    ("keys", "steps"),
    [
        ({}, []),
        ({"spawn_rate": 2.0}, [(1, 0.0), (2, 0.5), (3, 1.0), (4, 1.5)]),
        ({"ramp_from": 1, "ramp_over_s": 3.0}, [(1, 0.0), (2, 1.0), (3, 2.0), (4, 3.0)]),
        ({"ramp_from": 0, "ramp_over_s": 2.0}, [(0, 0.0), (1, 0.5), (2, 1.0), (3, 1.5), (4, 2.0)]),
        ({"ramp_from": 6, "ramp_over_s": 1.0}, [(6, 0.0), (5, 0.5), (4, 1.0)]),
        ({"ramp_from": 4, "ramp_over_s": 1.0}, [(4, 0.0)]),
    ],
)
def test_how_many_are_active_when(keys: dict[str, float], steps: list[tuple[int, float]]) -> None:
    """One user after the other, evenly; a ramp may lead down."""
    assert list(user_steps(closed(**keys))) == steps


@given(st.integers(0, 300), st.integers(1, 300), st.floats(0.01, 100))
def test_a_ramp_begins_and_ends_where_it_says(start: int, users: int, over: float) -> None:
    """It changes by one user at a time, evenly over its time, and comes to the phase's load at its end."""
    steps = list(user_steps(closed(users=users, ramp_from=start, ramp_over_s=over)))
    assert steps[0] == (start, 0.0)
    assert steps[-1][0] == users
    assert steps[-1][1] == pytest.approx(over if start != users else 0.0)
    assert [abs(b[0] - a[0]) for a, b in pairwise(steps)] == [1] * (len(steps) - 1)


def test_who_thinks_constantly_begins_somewhere_in_a_thought() -> None:
    """The first pause of each user is a part of one, so that users activated together do not stay in step."""
    pause_s = pauses(closed(think_time_s=2.0), 42)
    assert pause_s is not None
    first = [pause_s() for _ in range(4)]
    assert all(0 <= pause <= 2 for pause in first)
    assert len(set(first)) == 4
    assert [pause_s() for _ in range(5)] == [2.0] * 5
    again = pauses(closed(think_time_s=2.0), 42)
    assert again is not None
    assert [again() for _ in range(4)] == first


def test_exponential_thoughts_have_their_mean() -> None:
    """Mean and standard deviation within five standard errors, for a fixed seed."""
    pause_s = pauses(closed(think_time_s=0.5, think_time_distribution="exponential"), 42)
    assert pause_s is not None
    drawn = [pause_s() for _ in range(20_000)]
    assert abs(statistics.mean(drawn) / 0.5 - 1) < 5 / math.sqrt(20_000)
    assert abs(statistics.stdev(drawn) / 0.5 - 1) < 5 * math.sqrt(2 / 20_000)


def test_who_does_not_think_does_not_wait() -> None:
    """No function at all, so that the way to the next request has one step less."""
    assert pauses(closed(), 42) is None
