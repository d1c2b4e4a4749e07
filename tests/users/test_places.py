"""Users with tasks of their own in the pool: when they hold a place, and when it is taken from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from aether_load.load.sending.user_pool import UserPool


class User:
    """A user that runs tasks of two requests, each of which lasts until the test lets it go on."""

    def __init__(self, pool: UserPool, kind: Any = "user", weight: float = 1.0) -> None:
        self.pool, self.kind, self.weight = pool, kind, weight
        self.go_on = Event()
        self.state = "new"
        self.tasks = 0
        self.greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        try:
            while True:
                self._task()
        finally:
            self.pool.places.forget(self.greenlet)

    def _task(self) -> None:
        while not self.pool.places.begin_task():
            self.state = "waits"
            self.pool.enter(self.kind, self.weight)
            if self.pool.places.take():
                break
        for _ in range(2):
            self._pause("thinks")
            if not self.pool.places.begin_request():
                self.state = "interrupted"
                self.pool.places.end_task()
                return
            self._pause("sends")
            self.pool.places.end_request()
        self.tasks += 1
        self.pool.places.end_task()
        self._pause("rests")

    def _pause(self, state: str) -> None:
        self.state = state
        self.go_on.wait()
        self.go_on.clear()

    def step(self) -> None:
        self.go_on.set()
        gevent.sleep(0)
        gevent.sleep(0)


@pytest.fixture
def pool() -> UserPool:
    pool = UserPool()
    pool.has_tasks = True
    return pool


@pytest.fixture
def users(pool: UserPool) -> Iterator[Callable[..., Any]]:
    made: list[User] = []

    def make(count: int, **more: Any) -> list[User]:
        made.extend(User(pool, **more) for _ in range(count))
        gevent.sleep(0)
        return made[-count:]

    yield make
    for user in made:
        user.greenlet.kill()


def begin(pool: UserPool, users: int) -> None:
    pool.open(iter(()))
    pool.allow(users)
    gevent.sleep(0)
    gevent.sleep(0)


def states(users: list[User]) -> list[str]:
    return sorted(user.state for user in users)


def test_a_place_is_kept_from_one_request_and_task_to_the_next(pool: UserPool, users: Callable[..., Any]) -> None:
    """Where two are wanted of three, two run their tasks and the third waits all the time."""
    three = users(3)
    begin(pool, 2)
    assert (states(three), pool.active, pool.thinking) == (["thinks", "thinks", "waits"], 2, 2)
    active = next(user for user in three if user.state == "thinks")
    seen = []
    for _ in range(6):
        active.step()
        seen.append((active.state, pool.active, pool.thinking))
    assert [state for state, _, _ in seen] == ["sends", "thinks", "sends", "rests", "thinks", "sends"]
    assert {loose for _, loose, _ in seen} == {2}
    assert [thinking for _, _, thinking in seen] == [1, 2, 1, 2, 2, 1]


def test_the_end_of_a_phase_waits_for_requests_only(pool: UserPool, users: Callable[..., Any]) -> None:
    """Who thinks or rests loses its place at once, and finds out when it wants to send; an answer is waited for."""
    thinks, sends, rests = users(3)
    begin(pool, 3)
    sends.step()
    for _ in range(4):
        rests.step()
    assert states([thinks, sends, rests]) == ["rests", "sends", "thinks"]
    pool.shut()
    assert (pool.active, pool.drained.is_set()) == (1, False)
    sends.step()
    assert (pool.active, pool.thinking, pool.drained.is_set()) == (0, 0, True)
    for user in (thinks, sends, rests):
        user.step()
    assert states([thinks, sends, rests]) == ["waits", "waits", "waits"]
    assert pool.waiting == 3


def test_those_that_rest_are_ready_for_the_next_phase(pool: UserPool, users: Callable[..., Any]) -> None:
    """A pause of minutes between two tasks does not hold up a phase."""
    (rests,) = users(1)
    begin(pool, 1)
    for _ in range(4):
        rests.step()
    pool.shut()
    assert (rests.state, pool.waiting) == ("rests", 1)
    begin(pool, 1)
    rests.step()
    assert (rests.state, pool.active) == ("thinks", 1)


def test_fewer_users_take_places_between_tasks_only(pool: UserPool, users: Callable[..., Any]) -> None:
    """A task that is under way comes to its end."""
    inside, between = users(2)
    begin(pool, 2)
    for _ in range(4):
        between.step()
    pool.allow(1)
    assert (pool.active, inside.state) == (1, "thinks")
    between.step()
    assert between.state == "waits"
    for _ in range(4):
        inside.step()
    assert (inside.tasks, inside.state, pool.active) == (1, "rests", 1)


def test_work_that_runs_out_lets_tasks_come_to_their_end(pool: UserPool, users: Callable[..., Any]) -> None:
    """No task begins any more; the stage is over with the last one."""
    first, second = users(2)
    begin(pool, 2)
    pool.run_out()
    assert (pool.exhausted.is_set(), pool.active) == (False, 2)
    for user in (first, second):
        for _ in range(4):
            user.step()
    assert (first.tasks, second.tasks, pool.exhausted.is_set(), pool.drained.is_set()) == (1, 1, True, True)


def test_a_user_that_ends_gives_its_place_back(pool: UserPool, users: Callable[..., Any]) -> None:
    """Wherever it is; the next one takes it."""
    for steps in (0, 1, 4):
        killed, waits = users(2)
        begin(pool, 1)
        active = killed if killed.state != "waits" else waits
        for _ in range(steps):
            active.step()
        if steps == 1:
            # As the user class does when a request is cut off.
            active.pool.leave()
        active.greenlet.kill()
        gevent.sleep(0)
        gevent.sleep(0)
        assert (pool.active, states([killed, waits])[0] in {"rests", "sends", "thinks"}) == (1, True)
        for user in (killed, waits):
            user.greenlet.kill()
        pool.shut()
        assert (pool.active, pool.waiting, pool.drained.is_set()) == (0, 0, True)


@pytest.mark.parametrize(("wanted", "kinds"), [(4, {"often": 3, "seldom": 1}), (8, {"often": 6, "seldom": 2})])
def test_a_phase_takes_its_users_by_the_weights(
    pool: UserPool, users: Callable[..., Any], wanted: int, kinds: dict[str, int]
) -> None:
    """Of twelve that wait, by three to one; a class of a fixed count comes first."""
    made = [*users(9, kind="often", weight=3.0), *users(3, kind="seldom", weight=1.0)]
    begin(pool, wanted)
    active = [user.kind for user in made if user.state != "waits"]
    assert {kind: active.count(kind) for kind in kinds} == kinds


def test_a_retired_user_comes_back_in_the_next_stage(pool: UserPool) -> None:
    """The stage is over when all have retired, and not before."""
    done = []

    def one_task_a_stage() -> None:
        while True:
            while not pool.places.begin_task():
                pool.enter()
                if pool.places.take():
                    break
            gevent.sleep(0)
            done.append(pool.exhausted.is_set())
            pool.retire()

    greenlets = [gevent.spawn(one_task_a_stage) for _ in range(2)]
    gevent.sleep(0)
    for stage in (1, 2):
        begin(pool, 1)
        with gevent.Timeout(5):
            pool.exhausted.wait()
        assert (done, pool.waiting) == ([False] * 2 * stage, 2)
    gevent.killall(greenlets)
