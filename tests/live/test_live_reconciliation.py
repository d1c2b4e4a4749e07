"""The reconciliation while the load goes on: what is in flight is room, what lies beyond it is a difference."""

from collections.abc import Sequence

import numpy as np
import pytest

from aether_load.analysis.server.scrape import parse_scrape
from aether_load.observer.live.counts import NODES, UNCACHED_NODES, WIDTH
from aether_load.observer.live.reconciliation import LiveReconciliation, ReconciliationState
from folders import TOKENS, counted

BEGAN, ENDED = 1000, 1010


def reconciliation(answered_at: Sequence[int] = (), *, unread_at: Sequence[int] = ()) -> LiveReconciliation:
    """A reconciliation of requests of two nodes of 40 ms, begun with a reading at rest, answered at these times."""
    begun = LiveReconciliation(2)
    begun.begin(parse_scrape(counted([])), None)
    for instants, unread in ((answered_at, 0), (unread_at, 1)):
        if len(instants):
            rows = np.zeros((len(instants), WIDTH), np.int64)
            if not unread:
                rows[:, [NODES, UNCACHED_NODES, 9]] = 2
                rows[:, 1:3] = 80, 2 * TOKENS
            begun.take(np.array(instants), rows, np.full(len(instants), unread))
    return begun


def judged(
    begun: LiveReconciliation, nodes: int, *, in_flight: int = 0, text: str | None = None
) -> ReconciliationState:
    begun.judge(parse_scrape(text or counted([40] * nodes)), BEGAN, ENDED, in_flight)
    return begun.state


def test_at_rest_both_sides_are_equal() -> None:
    """Nothing in flight, as many counted as answered."""
    state = judged(reconciliation([10, 20]), 4)
    assert (state.state, state.difference_nodes, state.at_rest) == ("agrees", 0, True)
    assert {line.name: (line.ours, line.theirs) for line in state.lines}["nodes"] == (4, 4)


@pytest.mark.parametrize("counted_nodes", range(4, 11))
def test_what_is_in_flight_may_be_counted_or_not(counted_nodes: int) -> None:
    """Two answered, one more while the server was read, two in flight: 4 to 10 nodes are as they should be."""
    assert judged(reconciliation([10, 20, 1005]), counted_nodes, in_flight=2).state == "agrees"


def test_more_than_can_have_run_is_somebody_elses() -> None:
    """One node beyond is a difference of one."""
    state = judged(reconciliation([10, 20, 1005]), 11, in_flight=2)
    assert (state.state, state.difference_nodes) == ("contaminated", 1)
    assert state.reason == "the server counted at least 1 nodes more than this load can have run: other clients use it"


def test_fewer_than_were_answered_is_another_replica() -> None:
    """What was answered before the reading must be in it."""
    state = judged(reconciliation([10, 20]), 3, in_flight=5)
    assert (state.state, state.difference_nodes) == ("contaminated", -1)
    assert state.reason is not None
    assert "another replica, or readings that lag behind" in state.reason


def test_requests_without_a_readable_answer_may_have_run() -> None:
    """A time-out leaves room for its nodes, as many as a request has."""
    begun = reconciliation([10, 20], unread_at=[30])
    assert judged(begun, 6).state == "agrees"
    assert judged(begun, 7).difference_nodes == 1


def test_a_restart_stays_until_the_next_phase() -> None:
    """Counters that fall void the phase; a new reading at rest begins anew."""
    begun = reconciliation([10, 20])
    judged(begun, 4)
    assert judged(begun, 1).state == "restarted"
    assert judged(begun, 9).state == "restarted"
    assert begun.state.difference_nodes is None
    begun.begin(parse_scrape(counted([40])), None)
    assert judged(begun, 1).state == "agrees"


def test_without_a_first_reading_nothing_can_be_told() -> None:
    """Absent is not zero: there is no difference, and a reason why."""
    begun = LiveReconciliation(1)
    begun.begin(None, "no answer")
    begun.judge(parse_scrape(counted([])), BEGAN, ENDED, 0)
    begun.fail("no answer either")
    assert (begun.state.state, begun.state.difference_nodes) == ("no_server_data", None)


def test_a_reading_that_fails_later_leaves_what_was_known() -> None:
    """One gap is no verdict."""
    begun = reconciliation([10, 20])
    judged(begun, 4)
    begun.fail("no answer")
    assert begun.state.state == "agrees"
