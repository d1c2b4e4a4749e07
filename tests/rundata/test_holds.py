"""By how much an answer may have been read late, from the times in which the sender's event loop was held."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import HOLD_TYPE
from aether_load.rundata.samples.holds import Holds


def late(holds: list[tuple[int, int, int]], requests: list[tuple[int, int]], worker: int = 0) -> list[int]:
    """The lateness of requests that were (sent, read), under holds of that worker."""
    found = Holds()
    for hold in holds:
        found.add(np.array([(worker, *hold)], HOLD_TYPE))
    sent, read = (np.array([request[place] for request in requests], np.int64) for place in (0, 1))
    answer: list[int] = found.late_ns(np.zeros(len(requests), np.int16), sent, read).tolist()
    return answer


def test_without_holds_nothing_is_late() -> None:
    assert late([], [(0, 10), (ABSENT, ABSENT)]) == [0, 0]


def test_what_is_read_after_a_hold_may_have_been_there_since_it_began() -> None:
    """Until the loop has caught up; what was read before or later is exact."""
    requests = [(0, 90), (0, 100), (0, 120), (0, 151), (0, 160), (0, 161), (120, 155), (158, 159), (ABSENT, ABSENT)]
    assert late([(100, 150, 160)], requests) == [0, 0, 20, 51, 60, 0, 35, 1, 0]


def test_another_workers_holds_are_its_own() -> None:
    assert late([(100, 150, 160)], [(0, 155)], worker=1) == [0]


def test_holds_that_follow_each_other_before_the_loop_caught_up_are_one() -> None:
    """An answer that came in during the first may be read after the second; the third begins anew."""
    holds = [(100, 150, 300), (200, 250, 300), (300, 300, 300), (400, 450, 460)]
    assert late(holds, [(0, 160), (0, 260), (0, 300), (0, 310), (0, 455)]) == [60, 160, 200, 0, 55]
    assert late(holds[::-1], [(0, 260)]) == [160]


TURNS = st.lists(
    st.tuples(st.integers(0, 400), st.lists(st.integers(1, 3000), max_size=5), st.integers(1, 30), st.booleans()),
    min_size=1, max_size=40,
)  # fmt: skip


@given(TURNS)
def test_the_truth_lies_between_the_ends(turns: list[tuple[int, list[int], int, bool]]) -> None:
    """A loop that polls, reads what is ready one by one, and does other work before or after that.

    A turn is how long the other work takes, when the answers to the requests that it sends come after its end, how long
    each reading takes, and whether the reading is first. Each turn is a hold, from the poll's end to the next poll's
    beginning; all of them are caught up with when a poll finds nothing ready.
    """
    now = 0
    waiting: list[tuple[int, int]] = []
    holds: list[Any] = []
    open_holds: list[Any] = []
    requests: list[Any] = []
    for work, arrivals, reading, reads_first in [*turns, *[(0, [], 1, True)] * 300]:
        woke = now
        ready = sorted(answer for answer in waiting if answer[0] <= woke)
        now += 0 if reads_first else work
        for answer in ready:
            now += reading
            waiting.remove(answer)
            requests.append((answer[1], now, answer[0]))
        now += work if reads_first else 0
        waiting += [(now + delay, now) for delay in arrivals]
        open_holds.append((woke, now))
        if not any(answered <= now for answered, _ in waiting):
            holds += [(*hold, now) for hold in open_holds]
            open_holds = []
            now = min((answered for answered, _ in waiting), default=now)
    assert not waiting
    lateness = late(holds, [(sent, read) for sent, read, _ in requests])
    for (sent, read, answered), most in zip(requests, lateness, strict=True):
        assert read - most <= answered <= read
        assert 0 <= most <= read - sent
