"""The user pool: which users are activated and when, and counts that stay right whatever happens."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gevent
import pytest
from gevent import get_hub
from gevent.event import Event
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aether_load.load.sending.user_pool import UserPool
from property_tests import examples

if TYPE_CHECKING:
    from hypothesis.strategies._internal.core import DataObject


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Fail a test that hangs."""
    with gevent.Timeout(300):
        yield


class Users:
    """Users before a user_pool, each of which notes its work and holds it until told to go on."""

    def __init__(self, count: int = 0) -> None:
        self.user_pool: Any = UserPool()
        self.done: list[Any] = []
        self.holding: dict[Any, Any] = {}
        self.greenlets: dict[Any, Any] = {}
        for name in range(count):
            self.add(name)

    def add(self, name: int | str) -> None:
        self.greenlets[name] = gevent.spawn(self._live, name)
        settle()

    def _live(self, name: int | str) -> None:
        while True:
            work = self.user_pool.enter()
            try:
                if work is None:
                    work = self.user_pool.next_work()
                while work is not None:
                    self.done.append((name, work))
                    self.holding[name] = Event()
                    try:
                        self.holding[name].wait()
                    finally:
                        del self.holding[name]
                    work = self.user_pool.next_work()
            finally:
                self.user_pool.leave()

    def go_on(self, *names: int) -> None:
        for name in names or list(self.holding):
            self.holding[name].set()
        settle()

    def kill(self, name: int) -> None:
        self.greenlets.pop(name).kill()
        settle()


def settle() -> None:
    """Let every greenlet run until all of them wait."""
    for _ in range(6):
        gevent.sleep(0)


def endless() -> Iterator[Any]:
    return zip(itertools.count(), itertools.count(), strict=True)


def hand_over(user_pool: Any, *works: str) -> None:
    """Give work that is due to the user_pool as the pacer does, from the event loop."""
    for work in works:
        get_hub().loop.run_callback(user_pool.hand_over, work)
    settle()


def numbered(count: int) -> Iterator[Any]:
    return iter([(n, n) for n in range(count)])


def test_nobody_is_activate_before_there_is_work_and_leave() -> None:
    """Users wait until there is both work and a number of users allowed."""
    users = Users(3)
    user_pool = users.user_pool
    assert (user_pool.waiting, user_pool.active, user_pool.drained.is_set()) == (3, 0, True)
    user_pool.allow(2)
    assert (user_pool.waiting, user_pool.active) == (3, 0)
    user_pool.open(endless())
    assert (user_pool.waiting, user_pool.active, user_pool.drained.is_set()) == (1, 2, False)
    settle()
    assert sorted(users.holding) == [1, 2]
    user_pool.shut()
    user_pool.open(endless())
    assert (user_pool.waiting, user_pool.active) == (1, 2)


def test_who_waited_last_is_activate_first() -> None:
    """A small load stays with few users, whose connections are warm."""
    users = Users(4)
    users.user_pool.open(endless())
    for allowed in (1, 2, 3, 4):
        users.user_pool.allow(allowed)
        settle()
    assert [name for name, _ in users.done] == [3, 2, 1, 0]


def test_work_is_given_out_in_order_and_once() -> None:
    """Every piece of work goes to one user, in order."""
    users = Users(5)
    users.user_pool.open(numbered(100))
    users.user_pool.allow(5)
    settle()
    while users.holding:
        users.go_on()
    assert [work for _, work in users.done] == list(numbered(100))


def test_a_user_who_comes_late_goes_straight_through() -> None:
    """A user that enters while there is room does not wait."""
    users = Users()
    users.user_pool.open(endless())
    users.user_pool.allow(1)
    users.add("late")
    assert (list(users.holding), users.user_pool.waiting, users.user_pool.active) == (["late"], 0, 1)
    users.add("later")
    assert (users.user_pool.waiting, users.user_pool.active) == (1, 1)


def test_work_that_comes_to_its_end() -> None:
    """`exhausted` is set when a user finds no more work, `drained` when the last one is back."""
    users = Users(2)
    user_pool = users.user_pool
    user_pool.open(numbered(3))
    user_pool.allow(2)
    settle()
    users.go_on(1)
    assert not user_pool.exhausted.is_set()
    users.go_on(1)
    assert (user_pool.exhausted.is_set(), user_pool.drained.is_set(), user_pool.active, user_pool.waiting) == (
        True,
        False,
        1,
        1,
    )
    users.go_on(0)
    assert (user_pool.drained.is_set(), user_pool.active, user_pool.waiting) == (True, 0, 2)
    user_pool.open(numbered(1))
    assert not user_pool.exhausted.is_set()
    assert user_pool.active == 0


def test_work_that_is_none_at_all() -> None:
    """An empty iterator is exhausted by the first user."""
    users = Users(2)
    users.user_pool.open(numbered(0))
    users.user_pool.allow(2)
    settle()
    assert (users.done, users.user_pool.exhausted.is_set(), users.user_pool.drained.is_set()) == ([], True, True)
    assert (users.user_pool.active, users.user_pool.waiting) == (0, 2)


def test_shut_waits_for_what_is_under_way() -> None:
    """After `shut` nobody gets work, and the user_pool is drained when the last user is back."""
    users = Users(3)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(2)
    settle()
    user_pool.shut()
    assert (user_pool.drained.is_set(), user_pool.exhausted.is_set(), user_pool.active) == (False, False, 2)
    users.go_on(1)
    assert (user_pool.drained.is_set(), user_pool.active, user_pool.waiting) == (False, 1, 2)
    users.go_on(2)
    assert (user_pool.drained.is_set(), user_pool.active, user_pool.waiting) == (True, 0, 3)
    assert len(users.done) == 2


def test_a_pool_shut_before_activated_users_ran() -> None:
    """A user that was activated a moment before the shut sends nothing."""
    users = Users(2)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(2)
    user_pool.shut()
    assert (user_pool.active, user_pool.drained.is_set()) == (2, False)
    settle()
    assert (users.done, user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == ([], 0, 2, True)


def test_new_work_replaces_the_old_without_a_gap() -> None:
    """From a warm-up to its window the users stay active: they only get other work."""
    users = Users(2)
    users.user_pool.open(endless())
    users.user_pool.allow(2)
    settle()
    users.user_pool.open(iter([("new", 0), ("new", 1)]))
    users.go_on()
    assert users.user_pool.active == 2
    assert [work for _, work in users.done[2:]] == [("new", 0), ("new", 1)]


def test_fewer_are_allowed_while_all_are_active() -> None:
    """Those beyond the number come back from their next request on, and only they."""
    users = Users(4)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(4)
    settle()
    user_pool.allow(2)
    assert user_pool.active == 4
    users.go_on()
    assert (user_pool.active, user_pool.waiting, len(users.holding)) == (2, 2, 2)
    for _ in range(3):
        users.go_on()
    assert (user_pool.active, user_pool.waiting) == (2, 2)
    user_pool.allow(0)
    users.go_on()
    assert (user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == (0, 4, True)


def test_more_are_allowed_while_some_are_active() -> None:
    """Raising the number activates the difference; raising it again before a user came back changes nothing else."""
    users = Users(4)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(1)
    settle()
    user_pool.allow(3)
    assert (user_pool.active, user_pool.waiting) == (3, 1)
    settle()
    user_pool.allow(1)
    user_pool.allow(3)
    users.go_on()
    assert (user_pool.active, user_pool.waiting, len(users.holding)) == (3, 1, 3)
    user_pool.allow(100)
    assert (user_pool.active, user_pool.waiting) == (4, 0)


def test_a_user_killed_while_it_waits() -> None:
    """It is no longer among those who wait, and is never activated."""
    users = Users(3)
    user_pool = users.user_pool
    users.kill(2)
    assert (user_pool.waiting, user_pool.active) == (2, 0)
    user_pool.open(endless())
    user_pool.allow(3)
    settle()
    assert (sorted(users.holding), user_pool.active) == ([0, 1], 2)


def test_a_user_killed_after_it_was_activate_and_before_it_ran() -> None:
    """Its place goes to the next one; with nobody left the user_pool is drained."""
    for present, left in ((2, [0]), (1, [])):
        users = Users(present)
        user_pool = users.user_pool
        user_pool.open(endless())
        # The kill is under way and comes to the user before the news that it is active.
        users.greenlets.pop(present - 1).kill(block=False)
        user_pool.allow(1)
        assert (user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == (1, present - 1, False)
        settle()
        assert ([name for name, _ in users.done], list(users.holding)) == (left, left)
        assert (user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == (len(left), 0, not left)


def test_a_user_killed_at_work() -> None:
    """A user that dies at work gives its place to the next."""
    users = Users(2)
    users.user_pool.open(endless())
    users.user_pool.allow(1)
    settle()
    users.kill(1)
    assert (list(users.holding), users.user_pool.active) == ([0], 1)


def test_all_users_killed_at_once() -> None:
    """Whoever waits, works, or has just been activated: afterwards nobody is counted."""
    users = Users(6)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(2)
    settle()
    user_pool.allow(4)
    gevent.killall(list(users.greenlets.values()))
    assert (user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == (0, 0, True)


def test_drained_is_not_set_between_two_users() -> None:
    """With one user at a time, its place taken at once, nobody who waits for `drained` wakes up."""
    users = Users(2)
    user_pool = users.user_pool
    user_pool.open(endless())
    user_pool.allow(1)
    settle()
    waiter = gevent.spawn(user_pool.drained.wait)
    settle()
    users.kill(1)
    assert (list(users.holding), waiter.dead) == ([0], False)
    user_pool.shut()
    users.go_on()
    assert waiter.dead


def test_what_is_due_goes_to_whoever_waited_least() -> None:
    """In open load a user comes with the work in its hands, the last one that came back first."""
    users = Users(3)
    users.user_pool.open_for_due()
    users.user_pool.allow(3)
    settle()
    assert (users.done, users.user_pool.active, users.user_pool.waiting) == ([], 0, 3)
    hand_over(users.user_pool, "a", "b")
    assert users.done == [(2, "a"), (1, "b")]
    users.go_on(2)
    hand_over(users.user_pool, "c")
    assert users.done[2:] == [(2, "c")]


def test_what_is_due_while_nobody_is_free_waits_its_turn() -> None:
    """The oldest is sent first, by whoever is free first, and nothing that is due later goes before it."""
    users = Users(2)
    user_pool = users.user_pool
    user_pool.open_for_due()
    user_pool.allow(1)
    hand_over(user_pool, "a", "b", "c")
    assert (users.done, list(user_pool.backlog)) == ([(1, "a")], ["b", "c"])
    users.go_on(1)
    hand_over(user_pool, "d")
    assert (users.done, list(user_pool.backlog)) == ([(1, "a"), (1, "b")], ["c", "d"])
    user_pool.allow(2)
    settle()
    assert (users.done[2:], list(user_pool.backlog)) == ([(0, "c")], ["d"])


def test_what_waits_in_one_open_load_is_sent_in_the_next() -> None:
    """Steps follow each other without a rest: what is late in one is sent in the other, before what is due there."""
    users = Users(1)
    user_pool = users.user_pool
    user_pool.open_for_due()
    user_pool.allow(1)
    hand_over(user_pool, "a", "late")
    user_pool.open_for_due()
    hand_over(user_pool, "new")
    users.go_on()
    users.go_on()
    assert [work for _, work in users.done] == ["a", "late", "new"]


def test_the_end_of_an_open_load() -> None:
    """`exhausted` is set when nothing more becomes due and all of it is taken; the answers may still be out."""
    users = Users(1)
    user_pool = users.user_pool
    user_pool.open_for_due()
    user_pool.allow(1)
    hand_over(user_pool, "a", "b")
    user_pool.all_is_due()
    assert (user_pool.exhausted.is_set(), user_pool.drained.is_set()) == (False, False)
    users.go_on()
    assert (user_pool.exhausted.is_set(), user_pool.drained.is_set(), list(user_pool.backlog)) == (True, False, [])
    users.go_on()
    assert (user_pool.drained.is_set(), [work for _, work in users.done]) == (True, ["a", "b"])
    user_pool.open_for_due()
    assert not user_pool.exhausted.is_set()
    user_pool.all_is_due()
    assert user_pool.exhausted.is_set()


def test_shut_gives_back_what_was_never_sent() -> None:
    """In the order in which it was due, and once."""
    users = Users(1)
    user_pool = users.user_pool
    user_pool.open_for_due()
    user_pool.allow(1)
    hand_over(user_pool, "a", "b", "c")
    assert user_pool.shut() == ["b", "c"]
    assert user_pool.shut() == []
    users.go_on()
    assert ([work for _, work in users.done], user_pool.drained.is_set()) == (["a"], True)


def test_a_user_killed_as_it_comes_for_what_waits() -> None:
    """What waits is left to the next one."""
    users = Users(2)
    user_pool = users.user_pool
    user_pool.open_for_due()
    get_hub().loop.run_callback(user_pool.hand_over, "a")
    settle()
    assert list(user_pool.backlog) == ["a"]
    users.greenlets.pop(1).kill(block=False)
    user_pool.allow(1)
    settle()
    assert ([work for _, work in users.done], list(users.holding)) == (["a"], [0])


def test_a_thought_that_outlasts_the_load_is_broken_off() -> None:
    """Users that think longer than the window are back when it shuts, without another request."""
    users = Users(3)
    user_pool = users.user_pool
    user_pool.open(endless(), lambda: 3600.0)
    user_pool.allow(3)
    settle()
    assert (users.done, user_pool.active) == ([], 3)
    user_pool.shut()
    settle()
    assert (users.done, user_pool.active, user_pool.waiting, user_pool.drained.is_set()) == ([], 0, 3, True)


class UserPoolMachine(RuleBasedStateMachine):
    """Random operations in any order, with and without a turn for the users between them."""

    def __init__(self) -> None:
        super().__init__()
        self.users = Users()
        self.user_pool = self.users.user_pool
        self.names = itertools.count()
        self.allowed = 0
        self.given = itertools.count()

    def _work(self, limit: int | None) -> Iterator[Any]:
        for number in itertools.islice(itertools.count(), limit):
            yield next(self.given), number

    @rule(count=st.integers(1, 3))
    def add(self, count: int) -> None:
        for _ in range(count):
            self.users.add(next(self.names))

    @rule(limit=st.none() | st.integers(0, 4))
    def open(self, limit: Any) -> None:
        self.user_pool.open(self._work(limit))

    @rule(users=st.integers(0, 5))
    def allow(self, users: int) -> None:
        self.user_pool.allow(users)

    @rule()
    def shut(self) -> None:
        self.user_pool.shut()

    @rule()
    def run(self) -> None:
        settle()

    @precondition(lambda self: self.users.holding)
    @rule(data=st.data(), at_once=st.booleans())
    def answer(self, data: DataObject, at_once: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.users.holding)))
        self.users.holding[name].set()
        if at_once:
            settle()

    @precondition(lambda self: self.users.greenlets)
    @rule(data=st.data(), at_once=st.booleans())
    def kill(self, data: DataObject, at_once: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.users.greenlets)))
        self.users.greenlets.pop(name).kill(block=at_once)

    @invariant()
    def counts_are_right(self) -> None:
        user_pool = self.user_pool
        # Nobody waits in vain, and the counts have their bounds at every moment, also between two turns.
        assert user_pool.active >= len(self.users.holding) >= 0
        assert user_pool.drained.is_set() == (user_pool.active == 0)
        if user_pool._work is not None:
            assert user_pool.waiting == 0 or user_pool.active >= user_pool._allowed
        requests = [request for _, (request, _) in self.users.done]
        assert requests == list(range(len(requests)))

    def teardown(self) -> None:
        settle()
        alive = [greenlet for greenlet in self.users.greenlets.values() if not greenlet.dead]
        assert len(alive) == len(self.users.greenlets)
        assert self.user_pool.active == len(self.users.holding)
        assert self.user_pool.waiting + self.user_pool.active == len(alive)
        gevent.killall(alive)
        assert (self.user_pool.active, self.user_pool.waiting, self.user_pool.drained.is_set()) == (0, 0, True)


UserPoolMachine.TestCase.settings = settings(max_examples=examples(80), stateful_step_count=30, deadline=None)
TestAnySequence = UserPoolMachine.TestCase


class OpenLoadMachine(RuleBasedStateMachine):
    """Open load: requests become due, users come, answer and are killed, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.users = Users()
        self.user_pool = self.users.user_pool
        self.names = itertools.count()
        self.numbers = itertools.count()
        self.handed: list[Any] = []
        self.given_back: list[Any] = []

    def _hand_over(self) -> None:
        number = next(self.numbers)
        self.handed.append(number)
        self.user_pool.hand_over(number)

    @rule(count=st.integers(1, 3))
    def add(self, count: int) -> None:
        for _ in range(count):
            self.users.add(next(self.names))

    @rule()
    def open(self) -> None:
        self.user_pool.open_for_due()

    @rule(users=st.integers(0, 5))
    def allow(self, users: int) -> None:
        self.user_pool.allow(users)

    @rule(count=st.integers(1, 4), at_once=st.booleans())
    def become_due(self, count: int, at_once: bool) -> None:
        for _ in range(count):
            get_hub().loop.run_callback(self._hand_over)
        if at_once:
            settle()

    @rule()
    def all_is_due(self) -> None:
        self.user_pool.all_is_due()

    @rule()
    def shut(self) -> None:
        self.given_back += self.user_pool.shut()

    @rule()
    def run(self) -> None:
        settle()
        user_pool = self.user_pool
        # Nothing waits while somebody who may send does.
        if user_pool._work is not None and user_pool.backlog:
            assert user_pool.waiting == 0 or user_pool.active >= user_pool._allowed

    @precondition(lambda self: self.users.holding)
    @rule(data=st.data(), at_once=st.booleans())
    def answer(self, data: DataObject, at_once: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.users.holding)))
        self.users.holding[name].set()
        if at_once:
            settle()

    @precondition(lambda self: self.users.greenlets)
    @rule(data=st.data(), at_once=st.booleans())
    def kill(self, data: DataObject, at_once: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.users.greenlets)))
        self.users.greenlets.pop(name).kill(block=at_once)

    @invariant()
    def nothing_is_lost_or_sent_twice(self) -> None:
        user_pool = self.user_pool
        sent = [work for _, work in self.users.done]
        assert sent == sorted(sent)
        assert sorted([*sent, *self.given_back, *user_pool.backlog]) == self.handed
        assert list(user_pool.backlog) == sorted(user_pool.backlog)
        assert user_pool.active >= len(self.users.holding) >= 0
        assert user_pool.drained.is_set() == (user_pool.active == 0)

    def teardown(self) -> None:
        settle()
        alive = list(self.users.greenlets.values())
        assert not any(greenlet.dead for greenlet in alive)
        assert self.user_pool.active == len(self.users.holding)
        gevent.killall(alive)
        assert (self.user_pool.active, self.user_pool.waiting, self.user_pool.drained.is_set()) == (0, 0, True)


OpenLoadMachine.TestCase.settings = settings(max_examples=examples(80), stateful_step_count=30, deadline=None)
TestAnySequenceOfOpenLoad = OpenLoadMachine.TestCase


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(1, 8), st.integers(0, 10), st.integers(0, 40))
def test_a_whole_phase(present: int, allowed: int, amount: int) -> None:
    """However many users, leave and work there are: all the work is done, by no more users than allowed."""
    users = Users(present)
    users.user_pool.open(numbered(amount))
    users.user_pool.allow(allowed)
    settle()
    most = 0
    while users.holding:
        most = max(most, len(users.holding))
        users.go_on()
    assert len(users.done) == (amount if allowed else 0)
    assert most == min(present, allowed, amount)
    assert users.user_pool.drained.is_set()
    gevent.killall(list(users.greenlets.values()))
