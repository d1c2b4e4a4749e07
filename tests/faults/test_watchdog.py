"""When a run in which nothing happens is ended, and when it is not: by literal tallies, without a clock."""

from typing import Any

import pytest

from aether_load.load.process.watchdog import BETWEEN_S, SLACK_S, Waiting, Watchdog, waiting_for
from aether_load.load.sending.sender_context import Tally
from aether_load.scenario.duration import Seconds
from aether_load.scenario.scenario import Target
from aether_load.scenario.stage import Stage

TARGET = Target()
SLOW = Target(request_timeout=Seconds(3600))
CLOSED = Stage(name="a", phase=0, load="closed", users=4)
RAMPED = Stage(name="a", phase=0, load="closed", users=400, spawn_rate=0.1, ramp_over_s=50.0)
OPEN = Stage(name="a", phase=0, load="open", users=4, rate_rps=0.0001)
IN_FLIGHT = Waiting("3 answers in flight", 35 + SLACK_S)


@pytest.mark.parametrize(
    ("tally", "stage", "target", "any_time", "waiting"),
    [
        (Tally(active=3), CLOSED, TARGET, False, IN_FLIGHT),
        (Tally(active=3), OPEN, TARGET, False, IN_FLIGHT),
        (Tally(active=3), None, TARGET, False, IN_FLIGHT),
        (Tally(active=5, thinking=2), CLOSED, TARGET, False, IN_FLIGHT),
        (Tally(active=3), CLOSED, SLOW, False, Waiting("3 answers in flight", 3605 + SLACK_S)),
        (Tally(active=3), CLOSED, TARGET, True, None),
        (Tally(active=2, thinking=2), CLOSED, TARGET, False, None),
        (Tally(ready=4), OPEN, TARGET, False, None),
        (Tally(ready=0, waiting=7), OPEN, TARGET, False, Waiting("users to send something", BETWEEN_S + 35 + 4 + 1)),
        (Tally(ready=4), CLOSED, TARGET, False, Waiting("users to send something", BETWEEN_S + 35 + 4 + 1)),
        (Tally(), None, TARGET, False, Waiting("users to send something", BETWEEN_S + 39)),
        (Tally(ready=4), RAMPED, TARGET, False, Waiting("users to send something", BETWEEN_S + 39 + 4050)),
        (Tally(ready=4), CLOSED, TARGET, True, None),
    ],
)  # fmt: skip
def test_what_is_waited_for(tally: Any, stage: Any, target: Any, any_time: Any, waiting: Any) -> None:
    """A slow server, thinking users, a rare arrival and a page are healthy."""
    assert waiting_for(tally, stage, target, any_time=any_time) == waiting


@pytest.fixture
def watched() -> Any:
    """A watchdog over a state that the test sets, and what it says."""
    now: dict[str, Any] = {"state": 0, "waiting": Waiting("answers", 90.0)}
    said: list[Any] = []
    return Watchdog(lambda: (now["state"], now["waiting"]), said.append), now, said


def test_a_run_that_stands_still_is_ended_once(watched: Any) -> None:
    watchdog, _, said = watched
    for _ in range(300):
        watchdog.pass_time(1.0)
    assert said == ["nothing has happened for 91 s; the run waited for answers."]


def test_a_run_that_goes_on_is_left_alone(watched: Any) -> None:
    """One answer a minute is enough."""
    watchdog, now, said = watched
    for second in range(3000):
        now["state"] = second // 60
        watchdog.pass_time(1.0)
    assert said == []


def test_a_wait_for_time_alone_does_not_count(watched: Any) -> None:
    watchdog, now, said = watched
    for second in range(3000):
        now["waiting"] = None if second % 100 > 80 else Waiting("answers", 90.0)
        watchdog.pass_time(1.0)
    assert said == []
