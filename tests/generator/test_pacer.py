"""Open load on real clocks: what is due is handed over in order, never early, none lost and none twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic_ns
from typing import Any

import gevent
import pytest
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.load.sending.pacer import Pacer
from aether_load.load.sending.timer import LoopAlarm, TimerDescriptorAlarm, new_alarm
from aether_load.load.sending.user_pool import UserPool
from property_tests import examples

MS = 1_000_000


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Fail a test that hangs."""
    with gevent.Timeout(25):
        yield


class Ringing:
    """An alarm that notes when it rang."""

    def __init__(self, kind: Callable[..., Any] | type[Any]) -> None:
        self.at: list[Any] = []
        self.rang = Event()
        self.alarm = kind(self._ring)

    def _ring(self) -> None:
        self.at.append(monotonic_ns())
        self.rang.set()

    def wait(self) -> None:
        self.rang.wait()
        self.rang.clear()


@pytest.fixture(params=[TimerDescriptorAlarm, LoopAlarm])
def ringing(request: pytest.FixtureRequest) -> Iterator[Ringing]:
    made = Ringing(request.param)
    yield made
    made.alarm.close()


@pytest.mark.parametrize("wait_ms", [-1000, 0, 1, 7])
def test_an_alarm_rings_once(ringing: Ringing, wait_ms: int) -> None:
    """At its instant or, where that is over, at once; and not again by itself."""
    ringing.alarm.set(monotonic_ns() + wait_ms * MS)
    ringing.wait()
    ringing.alarm.set(monotonic_ns() + 5 * MS)
    ringing.wait()
    assert len(ringing.at) == 2


def test_the_alarm_of_this_system_is_never_early() -> None:
    """Where there are timers of the kernel, an alarm rings at its instant or after it."""
    made = Ringing(new_alarm)
    assert isinstance(made.alarm, TimerDescriptorAlarm)
    for wait_ms in (0.1, 1, 3.3):
        at = monotonic_ns() + int(wait_ms * MS)
        made.alarm.set(at)
        made.wait()
        assert made.at[-1] >= at
    made.alarm.close()


def test_an_alarm_that_is_set_anew_forgets_the_old(ringing: Ringing) -> None:
    """One instant at a time, the last one that was said."""
    ringing.alarm.set(monotonic_ns() + 3600_000 * MS)
    ringing.alarm.set(monotonic_ns() + 2 * MS)
    ringing.wait()
    ringing.alarm.set(monotonic_ns() + MS)
    ringing.alarm.set(monotonic_ns() + 3600_000 * MS)
    later = Ringing(LoopAlarm)
    later.alarm.set(monotonic_ns() + 20 * MS)
    later.wait()
    later.alarm.close()
    assert len(ringing.at) == 1


def test_an_alarm_that_is_closed_never_rings(ringing: Ringing) -> None:
    """Also when it was set before."""
    ringing.alarm.set(monotonic_ns() + MS)
    ringing.alarm.close()
    ringing.alarm.close = lambda: None
    later = Ringing(LoopAlarm)
    later.alarm.set(monotonic_ns() + 20 * MS)
    later.wait()
    later.alarm.close()
    assert ringing.at == []


class Paced:
    """A pacer over a user_pool with users that note what they were given, and when."""

    def __init__(self, users: int) -> None:
        self.user_pool = UserPool()
        self.pacer = Pacer(self.user_pool)
        self.sent: list[Any] = []
        self.users = [gevent.spawn(self._live) for _ in range(users)]
        gevent.sleep(0)

    def _live(self) -> None:
        while True:
            work = self.user_pool.enter() or self.user_pool.next_work()
            while work is not None:
                self.sent.append((work, monotonic_ns()))
                gevent.sleep(0)
                work = self.user_pool.next_work()
            self.user_pool.leave()

    def start(self, offsets_ms: list[float], end_ms: float | None = None) -> None:
        self.user_pool.open_for_due()
        self.user_pool.allow(len(self.users))
        began = monotonic_ns()
        self.works = [(number, 0, began + int(offset * MS), 0) for number, offset in enumerate(offsets_ms)]
        self.pacer.start(iter(self.works), None if end_ms is None else began + int(end_ms * MS))

    def drain(self) -> None:
        """Let what was handed over be sent."""
        self.user_pool.all_is_due()
        self.user_pool.exhausted.wait()
        self.user_pool.drained.wait()

    def close(self) -> None:
        self.pacer.close()
        gevent.killall(self.users)

    @property
    def numbers(self) -> list[int]:
        return [work[0] for work, _ in self.sent]


@pytest.fixture
def paced() -> Iterator[Callable[..., Any]]:
    made = []

    def start(users: int) -> Paced:
        made.append(Paced(users))
        return made[-1]

    yield start
    for one in made:
        one.close()


def test_all_is_handed_over_in_order_and_nothing_early(paced: Callable[..., Any]) -> None:
    """Several at one instant, gaps, and the first at once."""
    load = paced(8)
    load.start([0, 0, 0, 2, 2.1, 2.2, 15, 15, 30])
    load.pacer.ended.wait()
    load.drain()
    assert load.numbers == list(range(9))
    assert all(at >= work[2] for work, at in load.sent)
    assert load.pacer.take_back() is None


def test_a_burst_of_thousands_is_all_handed_over(paced: Callable[..., Any]) -> None:
    """What is due at one instant, or long since, comes in bursts, with turns for the answers between them."""
    load = paced(3)
    load.start([-1000.0] * 2000 + [0.0] * 3000)
    load.pacer.ended.wait()
    load.drain()
    assert load.numbers == list(range(5000))


def test_nothing_that_is_due_at_the_end_or_later_is_handed_over(paced: Callable[..., Any]) -> None:
    """It is given back, so that its index goes to the next request."""
    load = paced(4)
    load.start([0, 5, 20, 20, 40], end_ms=20)
    load.pacer.ended.wait()
    assert monotonic_ns() >= load.works[2][2]
    load.drain()
    assert load.numbers == [0, 1]
    assert load.pacer.take_back() == load.works[2]
    assert load.pacer.take_back() is None


def test_an_end_after_the_last_request_is_waited_for(paced: Callable[..., Any]) -> None:
    """A window of a duration lasts as long, whatever is due in it."""
    load = paced(1)
    load.start([0], end_ms=25)
    load.pacer.ended.wait()
    assert monotonic_ns() >= load.works[0][2] + 25 * MS


@pytest.mark.parametrize("offsets_ms", [[], [3600_000]])
def test_a_load_of_nothing_ends(paced: Callable[..., Any], offsets_ms: list[int]) -> None:
    """Nothing is due, or nothing before the end."""
    load = paced(1)
    load.start(offsets_ms, end_ms=5)
    load.pacer.ended.wait()
    assert load.sent == []


def test_a_pacer_that_is_stopped_gives_back_what_it_had_drawn(paced: Callable[..., Any]) -> None:
    """The first that is not due yet; it can be started again."""
    load = paced(2)
    load.start([0, 3600_000, 3600_001])
    gevent.sleep(0.01)
    load.pacer.stop()
    assert load.pacer.ended.is_set()
    assert load.pacer.take_back() == load.works[1]
    load.start([0, 1])
    load.pacer.ended.wait()
    load.drain()
    assert load.numbers == [0, 0, 1]


def test_who_is_not_free_finds_it_waiting(paced: Callable[..., Any]) -> None:
    """With one user everything is sent in order, late but not lost."""
    load = paced(1)
    load.start([0] * 200)
    load.pacer.ended.wait()
    load.drain()
    assert load.numbers == list(range(200))


@settings(max_examples=examples(40), deadline=None)
@given(st.lists(st.floats(0, 12), max_size=60).map(sorted), st.none() | st.floats(0, 12), st.integers(1, 5))
def test_any_schedule_is_kept(offsets_ms: list[float], end_ms: float | None, users: int) -> None:
    """Each is handed over once, in order, not early, if it is due before the end; the first that is not comes back."""
    load = Paced(users)
    try:
        load.start(offsets_ms, end_ms)
        load.pacer.ended.wait()
        load.drain()
        end = None
        if load.works and end_ms is not None:
            end = load.works[0][2] - int(offsets_ms[0] * MS) + int(end_ms * MS)
        due = [work for work in load.works if end is None or work[2] < end]
        assert [work for work, _ in load.sent] == due
        assert all(at >= work[2] for work, at in load.sent)
        rest = load.works[len(due) :]
        assert load.pacer.take_back() == (rest[0] if rest else None)
    finally:
        load.close()
