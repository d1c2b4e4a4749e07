"""Why a run ended: the first reason counts, and what the run and its last phase say of it."""

import itertools

import pytest

from aether_load.load.run_ending import EndReason, RunEnding


def test_a_run_that_nothing_ended_is_completed() -> None:
    """Nobody asked for its end, and its answers have their own limit."""
    ending = RunEnding()
    assert (ending.is_set(), ending.event.is_set(), ending.ended_as) == (False, False, "completed")
    assert (ending.reason, ending.stop_timeout_s, ending.by_hand) == (None, None, False)


@pytest.mark.parametrize(
    ("reason", "ended_by", "ended_as", "by_hand"),
    [
        (EndReason.STOPPED, "stopped", "completed", True),
        (EndReason.INTERRUPTED, "stopped", "interrupted", True),
        (EndReason.THRESHOLD, "threshold", "aborted", False),
        (EndReason.DISK_FULL, "refused by the disk", "interrupted", False),
        (EndReason.WORKERS_GONE, "no worker was left", "interrupted", False),
        (EndReason.OBSERVER_LOST, "the observer was lost", "interrupted", False),
        (EndReason.FAILED, "an error ended the run", "interrupted", False),
    ],
)
def test_each_reason_says_what_the_run_and_its_phase_are(
    reason: EndReason, ended_by: str, ended_as: str, by_hand: bool
) -> None:
    ending = RunEnding()
    ending.end(reason)
    assert (ending.is_set(), ending.event.is_set()) == (True, True)
    assert (ending.ended_by, ending.ended_as, ending.by_hand) == (ended_by, ended_as, by_hand)


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(EndReason, 2)))
def test_the_first_reason_counts_but_for_a_planned_stop(first: EndReason, second: EndReason) -> None:
    """A stop from the page is the load's planned end, which anything that comes later overrides."""
    ending = RunEnding()
    ending.end(first)
    ending.end(second)
    assert ending.reason is (second if first is EndReason.STOPPED else first)


def test_a_later_interruption_shortens_what_answers_have() -> None:
    """Ctrl-C gives them a time; a second one gives them none; an end without a limit leaves the limit as it is."""
    ending = RunEnding()
    ending.end(EndReason.INTERRUPTED, 10)
    ending.end(EndReason.DISK_FULL)
    assert ending.stop_timeout_s == 10
    ending.end(EndReason.INTERRUPTED, 0)
    assert ending.stop_timeout_s == 0
