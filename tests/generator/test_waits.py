"""Waits of a load end with their event, at their instant, or because the run is to end."""

from __future__ import annotations

from time import monotonic_ns

import gevent
import pytest
from gevent.event import Event

import unpatched_locust  # noqa: F401
from aether_load.load.sending.waits import Waits

FAR_NS = 3_600_000_000_000


@pytest.fixture(params=["the event", "the end of the run"])
def case(request: pytest.FixtureRequest) -> tuple[Waits, Event, Event, bool]:
    """Return waits, their event, what comes first, and whether the run goes on then."""
    stopping, event = Event(), Event()
    goes_on = request.param == "the event"
    return Waits(stopping), event, event if goes_on else stopping, goes_on


def test_a_wait_ends_with_what_comes_first(case: tuple[Waits, Event, Event, bool]) -> None:
    waits, event, first, goes_on = case
    waiting = [
        gevent.spawn(waits.wait_for, event),
        gevent.spawn(waits.wait_until, None, event),
        gevent.spawn(waits.wait_until, monotonic_ns() + FAR_NS, event),
    ]
    gevent.idle()
    assert [each.ready() for each in waiting] == [False, False, False]
    first.set()
    gevent.joinall(waiting, timeout=10)
    assert [each.value for each in waiting] == [goes_on] * 3
    assert waits.is_over is not goes_on


def test_no_wait_ends_before_its_instant() -> None:
    """The event loop's own timers may ring earlier."""
    waits = Waits(Event())
    for after_ns in (100_000, 1_500_000, 3_000_000):
        deadline_ns = monotonic_ns() + after_ns
        assert waits.wait_until(deadline_ns, Event()) is True
        assert monotonic_ns() >= deadline_ns


def test_an_instant_that_is_over_is_not_waited_for() -> None:
    """Nothing else has its turn meanwhile."""
    turns: list[int] = []
    gevent.spawn(turns.append, 1)
    assert Waits(Event()).wait_until(monotonic_ns() - 1, Event()) is True
    assert turns == []
