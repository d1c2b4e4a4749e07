"""The search for the largest load that holds, on runtimes that are made up."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.scenario.phase import Phase
from aether_load.scenario.stage import SearchPlan
from aether_load.schedule.search import Found, Judgement, Probe, Search, requests_needed

SLO = ("p(99)<500",)
BROKEN = Judgement(holds=False, against=("p(99)<500 is broken",))
UNDECIDED = Judgement(holds=None, against=("p(99)<500 is not decided",))
HELD = Judgement(holds=True)


def search_of(**phase):
    return Search(SearchPlan(name="cap", phase=0, plan=Phase(**{"find": "max_rate", "slo": SLO, **phase})))


def driven(judge, limit=200, **phase):
    """Return what a search found whose probes `judge` judges by their load, and the probes."""
    search = search_of(**phase)
    probes, generator = [], search.probes()
    try:
        probe = next(generator)
        for _ in range(limit):
            probes.append(probe)
            probe = generator.send(judge(probe.load))
    except StopIteration as end:
        return end.value, probes
    raise AssertionError(f"not at its end after {limit} probes: {probes}")


def up_to(capacity):
    return lambda load: HELD if load <= capacity else BROKEN


@given(
    st.floats(0.5, 5000),
    st.floats(1, 100),
    st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]),
)
def test_any_rate_is_found_within_the_resolution(capacity, start, resolution):
    """The largest that held is at most the capacity, the smallest that did not is above it, and they are close."""
    found, probes = driven(up_to(capacity), rate=start, tolerance=resolution, max_load=20_000)
    if capacity < start / 64:
        assert (found.end, found.largest_held, found.smallest_not_held) == ("nothing_held", None, start / 64)
        return
    assert found.end == "found"
    assert found.largest_held <= capacity < found.smallest_not_held
    # Loads have three digits, so that a resolution of 1 % is met within one of them.
    assert found.smallest_not_held / found.largest_held <= 1 + resolution + 0.01
    assert probes[-1].purpose == "confirm"
    assert probes[-1].load == found.largest_held
    assert len(probes) < 40


@given(st.integers(1, 1024), st.integers(1, 200))
def test_any_number_of_users_is_found(capacity, start):
    """Up to 10 users exactly, above that within a tenth; every load is a whole number."""
    found, probes = driven(up_to(capacity), find="max_users", users=start)
    assert all(probe.load == int(probe.load) >= 1 for probe in probes)
    if capacity == 1024:
        assert found == Found(end="most_held", largest_held=1024.0, smallest_not_held=None, against=())
        return
    assert found.end == "found"
    assert found.against == BROKEN.against
    assert found.largest_held <= capacity < found.smallest_not_held
    assert found.smallest_not_held - found.largest_held <= max(1, 0.1 * found.largest_held)


@given(st.floats(0.5, 5000), st.integers(0, 2**32))
def test_a_runtime_of_moods_is_searched_to_an_end(capacity, seed):
    """Whatever is answered, and in whichever order, the search ends, and says no more than was seen."""
    chance = random.Random(seed)
    seen = {}

    def judge(load):
        judgement = chance.choice([HELD, BROKEN, UNDECIDED, up_to(capacity)(load)])
        seen.setdefault(load, []).append(judgement.holds)
        return judgement

    found, _ = driven(judge, rate=20)
    if found.largest_held is not None:
        assert True in seen[found.largest_held]
    if found.end == "found":
        assert found.largest_held < found.smallest_not_held
        assert seen[found.largest_held][-1] is True
        assert True not in seen[found.smallest_not_held][-1:]
    if found.end == "nothing_held":
        assert all(None not in judgements[-1:] for judgements in seen.values())


def test_the_order_of_probes():
    """Doubling until one is broken, bisection by the geometric mean, and the largest that held once more."""
    found, probes = driven(up_to(100), rate=20, tolerance=0.2)
    assert [(probe.load, probe.purpose) for probe in probes] == [
        (20, "up"), (40, "up"), (80, "up"), (160, "up"), (113, "between"), (95.1, "between"), (95.1, "confirm"),
    ]  # fmt: skip
    assert found == Found(end="found", largest_held=95.1, smallest_not_held=113.0, against=BROKEN.against)


def test_where_nothing_breaks_the_most_is_confirmed():
    """The last doubling is cut to the most that is to be tried."""
    found, probes = driven(up_to(math.inf), rate=20, max_load=100)
    assert [(probe.load, probe.purpose) for probe in probes] == [
        (20, "up"), (40, "up"), (80, "up"), (100, "up"), (100, "confirm"),
    ]  # fmt: skip
    assert found == Found(end="most_held", largest_held=100.0, smallest_not_held=None, against=())


def test_where_the_first_load_does_not_hold_smaller_ones_are_tried():
    """Halving, down to one user, or to a 64th of the rate."""
    found, probes = driven(up_to(3), find="max_users", users=16)
    assert [(probe.load, probe.purpose) for probe in probes] == [
        (16, "up"), (8, "down"), (4, "down"), (2, "down"), (3, "between"), (3, "confirm"),
    ]  # fmt: skip
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 3.0, 4.0)
    found, probes = driven(up_to(0), rate=64)
    assert [probe.load for probe in probes] == [64, 32, 16, 8, 4, 2, 1]
    assert found == Found(end="nothing_held", largest_held=None, smallest_not_held=1.0, against=BROKEN.against)


def test_a_load_that_does_not_hold_again_is_not_confirmed():
    """What held once and then did not is taken back, and the next smaller one is tried, three times at most."""
    held = {20, 40, 80}
    found, probes = driven(lambda load: HELD if load in held and not held.discard(load) else BROKEN, rate=20)
    assert [(probe.load, probe.purpose) for probe in probes[-3:]] == [
        (80, "confirm"), (40, "confirm"), (20, "confirm"),
    ]  # fmt: skip
    assert found == Found(end="not_confirmed", largest_held=None, smallest_not_held=20.0, against=BROKEN.against)


def test_an_undecided_load_is_tried_again_and_longer():
    """Twice as long; what stays undecided above one that held is the smallest that did not."""
    found, probes = driven(
        lambda load: HELD if load < 40 else UNDECIDED if load < 80 else BROKEN, rate=20, tolerance=1.0
    )
    assert [(probe.load, probe.purpose, probe.duration_s) for probe in probes] == [
        (20, "up", 50.0), (40, "up", 25.0), (40, "again", 50.0), (20, "confirm", 60.0),
    ]  # fmt: skip
    assert found == Found(end="found", largest_held=20.0, smallest_not_held=40.0, against=UNDECIDED.against)


def test_a_first_load_with_too_few_requests_to_decide_is_passed():
    """One user may be too slow for a percentile to be decided; more users bring more requests."""
    found, probes = driven(
        lambda load: UNDECIDED if load < 8 else up_to(20)(load), find="max_users", longest_probe=10.0
    )
    assert [(probe.load, probe.purpose) for probe in probes[:8]] == [
        (1, "up"), (1, "again"), (2, "up"), (2, "again"), (4, "up"), (4, "again"), (8, "up"), (16, "up"),
    ]  # fmt: skip
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 20.0, 21.0)


def test_where_nothing_was_ever_decided_nothing_is_claimed():
    """Undecided up to the most: not "nothing held", for no condition was seen broken."""
    found, _ = driven(lambda _: UNDECIDED, rate=20, max_load=50)
    assert found == Found(end="undecided", largest_held=None, smallest_not_held=None, against=UNDECIDED.against)
    # And where it is broken further up, nobody knows what lies below.
    found, _ = driven(lambda load: UNDECIDED if load < 50 else BROKEN, rate=20)
    assert found == Found(end="undecided", largest_held=None, smallest_not_held=80.0, against=BROKEN.against)


def test_what_no_load_can_decide_is_not_driven_up():
    """A condition without anything to judge it by is given up at once, not at twenty thousand a second."""
    nothing = Judgement(holds=None, more_decides=False, against=("accuracy>0.5: nothing to decide on",))
    found, probes = driven(lambda _: nothing, rate=20)
    assert [probe.load for probe in probes] == [20, 20]
    assert found == Found(end="undecided", largest_held=None, smallest_not_held=20.0, against=nothing.against)


@pytest.mark.parametrize(
    ("slo", "needed"),
    [
        (("p(50)<1",), 100),
        (("p(99)<500",), 1000),
        (("p(99.9)<500",), 10_000),
        (("error_rate<0.01",), 382),
        (("error_rate<0.001", "p(95)<1"), 3839),
        (("dropped_rate<1",), 100),
        (("request_throughput_rps>10",), 100),
    ],
)
def test_how_many_requests_decide(slo, needed):
    """Ten beyond the percentile, and as many as clear a share's upper bound without one failure."""
    assert requests_needed(slo) == needed


def test_a_probe_lasts_until_its_percentile_is_decidable_within_bounds():
    """By the rate that is asked for, or by the one that users have reached before."""
    rates = search_of(rate=20, shortest_probe=5.0, longest_probe=60.0)
    assert [rates.duration_s(load) for load in (1, 20, 100, 1000)] == [60.0, 50.0, 10.0, 5.0]
    assert search_of(rate=1, time_limit=30.0).duration_s(1) == 30.0
    users = search_of(find="max_users", shortest_probe=5.0)
    generator = users.probes()
    assert next(generator) == Probe(load=1.0, duration_s=5.0, purpose="up")
    # 25 requests a second by one user are 50 by two: 1,000 of them take 20 s.
    assert generator.send(Judgement(holds=True, throughput_rps=25.0)) == Probe(load=2.0, duration_s=20.0, purpose="up")
