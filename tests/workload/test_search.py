"""The search for the largest load that holds, on simulated systems whose capacity is known."""

from __future__ import annotations

import collections
import itertools
import math
import random
from collections.abc import Callable, Collection
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.scenario.phase import Phase
from aether_load.scenario.stage import SearchPlan
from aether_load.scenario.threshold import parse_threshold
from aether_load.schedule.probe import Judgement, Probe
from aether_load.schedule.search import Found, Search, requests_needed

SLO = (parse_threshold("p(99)<500"),)
BROKEN = Judgement(holds=False, against=("p(99)<500 is broken",), limited_by="server")
SATURATED = Judgement(holds=False, against=("the client is the limit",), limited_by="client")
UNDECIDED = Judgement(holds=None, against=("p(99)<500 is not decided",))
HELD = Judgement(holds=True, limited_by="held")


def search_of(**phase: Any) -> Search:
    given = {"find": "max_rate", "slo": SLO, **phase}
    return Search(SearchPlan(name="cap", phase=0, plan=Phase(**given)))


def driven(judge: Callable[..., Any], limit: int = 200, **phase: Any) -> tuple[Found, list[Probe]]:
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


def up_to(capacity: float) -> Callable[..., Any]:
    return lambda load: HELD if load <= capacity else BROKEN


def in_turn(judgements: dict[int, list[Judgement]], otherwise: Callable[..., Any]) -> Callable[..., Any]:
    """Judge the n-th probe of a load by the n-th judgement given for it, and further ones by `otherwise`."""
    left = {load: list(given) for load, given in judgements.items()}
    return lambda load: left[load].pop(0) if left.get(load) else otherwise(load)


def noisy(
    capacity: float,
    chance: random.Random,
    *,
    spread: float = 0.0,
    interval: float = 0.0,
    flapping: Collection[int] = (),
) -> Callable[..., Any]:
    """A system whose capacity differs a little from probe to probe; probes near it are undecided.

    Probes whose numbers are `flapping` are judged the wrong way.
    """
    numbers = itertools.count()

    def judge(load: float) -> Judgement:
        now = capacity * math.exp(spread * chance.gauss(0, 1))
        wrong = next(numbers) in flapping
        if not wrong and now * (1 - interval) < load < now * (1 + interval):
            return UNDECIDED
        return HELD if (load <= now) is not wrong else BROKEN

    return judge


@pytest.mark.parametrize(
    ("spread", "interval", "flaps", "decided"),
    [(0, 0, 0, 1), (0, 0, 1, 1), (0.01, 0.01, 1, 0.99), (0.03, 0.03, 1, 0.3)],
)
@pytest.mark.parametrize("find", ["max_rate", "max_users"])
def test_what_is_found_is_within_the_tolerance_of_the_capacity(
    find: str, spread: float, interval: float, flaps: int, decided: float
) -> None:
    """In every one of many searches, with noise and a probe that flaps; too much noise leaves it undecided."""
    ends: collections.Counter[str] = collections.Counter()
    for seed in range(500):
        chance = random.Random(f"{find} {spread} {flaps} {seed}")
        capacity = chance.uniform(5, 5000) if find == "max_rate" else float(chance.randint(1, 900))
        start = {"rate": chance.uniform(1, 100)} if find == "max_rate" else {"users": chance.randint(1, 20)}
        flapping = {chance.randrange(25) for _ in range(flaps)}
        judge = noisy(capacity, chance, spread=spread, interval=interval, flapping=flapping)
        found, probes = driven(judge, find=find, max_load=20_000.0 if find == "max_rate" else 2000, **start)
        ends[found.end] += 1
        if found.end == "found":
            one = 1 if find == "max_users" else 0
            low, high = min(capacity / 1.1, capacity - one), max(capacity * 1.1, capacity + one)
            assert found.largest_held is not None
            assert low <= found.largest_held <= high, (seed, capacity, found, probes)
            assert found.smallest_not_held is not None
            assert found.smallest_not_held - found.largest_held <= max(0.1 * found.largest_held, 2 * one)
    assert set(ends) <= {"found", "undecided", "unsteady"}
    assert ends["found"] >= decided * 500


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.02, 0.05])
def test_many_flapping_probes_are_noticed(share: Any) -> None:
    """Of thousands of searches in which each probe may flap, some are unsteady, and hardly one is wrong."""
    wrong = 0
    for seed in range(3000):
        chance = random.Random(f"{share} {seed}")
        capacity = chance.uniform(5, 5000)
        flapping = {number for number in range(200) if chance.random() < share}
        found, _ = driven(noisy(capacity, chance, flapping=flapping), rate=20, max_load=20_000.0)
        wrong += found.end == "found" and not capacity / 1.1 <= (found.largest_held or 0) <= capacity * 1.1
    assert wrong <= 3000 * share / 10


@given(
    st.floats(0.5, 5000),
    st.floats(1, 100),
    st.sampled_from([0.01, 0.05, 0.1, 0.5, 1.0]),
)
def test_any_rate_is_found_within_the_tolerance(capacity: float, start: float, tolerance: float) -> None:
    """The largest that held is at most the capacity, the smallest that did not is above it, and they are close."""
    found, probes = driven(up_to(capacity), rate=start, tolerance=tolerance, max_load=20_000)
    if capacity < start / 64:
        assert (found.end, found.largest_held, found.smallest_not_held) == ("nothing_held", None, start / 64)
        return
    assert found.end == "found"
    assert found.largest_held is not None
    assert found.smallest_not_held is not None
    assert found.largest_held <= capacity < found.smallest_not_held
    assert found.smallest_not_held / found.largest_held <= 1 + tolerance
    assert [probe.load for probe in probes[-4:]].count(found.largest_held) == 2
    assert len(probes) < 45


@given(st.integers(1, 1024), st.integers(1, 200))
def test_any_number_of_users_is_found(capacity: int, start: int) -> None:
    """Up to 10 users exactly, above that within a tenth; every load is a whole number."""
    found, probes = driven(up_to(capacity), find="max_users", users=start)
    assert all(probe.load == int(probe.load) >= 1 for probe in probes)
    if capacity == 1024:
        assert found == Found(end="max_load_held", largest_held=1024.0, smallest_not_held=None, against=())
        return
    assert found.end == "found"
    assert found.against == BROKEN.against
    assert found.largest_held is not None
    assert found.smallest_not_held is not None
    assert found.largest_held <= capacity < found.smallest_not_held
    assert found.smallest_not_held - found.largest_held <= max(1, 0.1 * found.largest_held)


@given(st.floats(0.5, 5000), st.integers(0, 2**32))
def test_random_judgements_are_searched_to_an_end(capacity: float, seed: int) -> None:
    """Whatever is judged, and in whichever order, the search ends, and claims no more than most probes said."""
    chance = random.Random(seed)
    seen = collections.defaultdict(list)

    def judge(load: float) -> Judgement:
        judgement: Judgement = chance.choice([HELD, BROKEN, UNDECIDED, up_to(capacity)(load)])
        seen[load].append(judgement.holds)
        return judgement

    found, _ = driven(judge, rate=20)
    if found.end == "found":
        assert found.largest_held is not None
        assert found.smallest_not_held is not None
        assert found.largest_held < found.smallest_not_held <= 1.1 * found.largest_held
        for load, expected in ((found.largest_held, True), (found.smallest_not_held, False)):
            assert seen[load].count(expected) - seen[load].count(not expected) >= 3
    if found.end == "nothing_held":
        assert seen[min(seen)].count(False) - seen[min(seen)].count(True) >= 3


def probed(probes: list[Probe]) -> list[tuple[float, str]]:
    return [(probe.load, probe.purpose) for probe in probes]


def test_the_order_of_probes() -> None:
    """Doubling until one is broken, bisection by the geometric mean to half of the tolerance, and both ends again."""
    found, probes = driven(up_to(100), rate=20, tolerance=0.4)
    assert probed(probes) == [
        (20, "double"), (40, "double"), (80, "double"), (160, "double"), (113, "bisect"), (95.1, "bisect"),
        (95.1, "confirm"), (95.1, "confirm"), (113, "confirm"), (113, "confirm"),
    ]  # fmt: skip
    assert found == Found(end="found", largest_held=95.1, smallest_not_held=113.0, against=BROKEN.against)


def test_where_nothing_breaks_the_largest_load_is_confirmed() -> None:
    """The last doubling is cut to max_load."""
    found, probes = driven(up_to(math.inf), rate=20, max_load=100)
    assert probed(probes) == [
        (20, "double"), (40, "double"), (80, "double"), (100, "double"), (100, "confirm"), (100, "confirm"),
    ]  # fmt: skip
    assert found == Found(end="max_load_held", largest_held=100.0, smallest_not_held=None, against=())


def test_where_the_first_load_does_not_hold_smaller_ones_are_tried() -> None:
    """Halving, down to one user, or to a 64th of the rate; that the smallest does not hold is confirmed, too."""
    found, probes = driven(up_to(3), find="max_users", users=16)
    assert probed(probes)[:5] == [(16, "double"), (8, "halve"), (4, "halve"), (2, "halve"), (3, "bisect")]
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 3.0, 4.0)
    found, probes = driven(up_to(0), rate=64)
    assert [probe.load for probe in probes] == [64, 32, 16, 8, 4, 2, 1, 1, 1]
    assert found == Found(end="nothing_held", largest_held=None, smallest_not_held=1.0, against=BROKEN.against)


def test_a_load_that_does_not_hold_again_is_bisected_below() -> None:
    """What held once and then did not becomes the upper end, and the search closes the gap to the next that held."""
    found, probes = driven(in_turn({113: [HELD]}, up_to(85)), rate=20, tolerance=0.2)
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 80.0, 87.2)
    assert probed(probes)[4:] == [
        (113, "bisect"), (134, "bisect"), (123, "bisect"), (113, "confirm"), (113, "confirm"), (95.1, "bisect"),
        (87.2, "bisect"), (80, "confirm"), (80, "confirm"), (87.2, "confirm"), (87.2, "confirm"),
    ]  # fmt: skip


def test_a_load_that_broke_once_by_mistake_does_not_end_the_search() -> None:
    """When the smaller of the broken loads holds in further probes, the search doubles on from there."""
    found, probes = driven(in_turn({40: [BROKEN]}, up_to(300)), rate=20)
    assert probed(probes)[:3] == [(20, "double"), (40, "double"), (28.3, "bisect")]
    assert [probe.purpose for probe in probes if probe.load == 40] == ["double", "confirm", "confirm"]
    assert found.end == "found"
    assert found.largest_held is not None
    assert found.smallest_not_held is not None
    assert found.largest_held <= 300 < found.smallest_not_held <= 1.1 * found.largest_held


def test_a_runtime_whose_loads_hold_now_and_then_is_not_steady() -> None:
    """Loads far from the result that held in one probe and broke in another: no capacity is claimed."""
    judge = in_turn({20: [BROKEN], 10: [BROKEN], 40: [BROKEN]}, up_to(300))
    found, _ = driven(judge, rate=20)
    assert found.end == "unsteady"
    assert found.largest_held is not None
    assert found.smallest_not_held is not None
    assert found.largest_held <= 300 < found.smallest_not_held


def test_an_undecided_load_is_tried_again_and_longer() -> None:
    """Twice as long; one that stays undecided is neither end, and the gap is closed around it."""
    judge = lambda load: HELD if load < 60 else UNDECIDED if load < 62 else BROKEN  # noqa: E731
    found, probes = driven(judge, rate=61, tolerance=1.0, max_load=10_000)
    assert [(probe.load, probe.purpose, probe.duration_s) for probe in probes[:3]] == [
        (61, "double", 1000 / 61), (61, "repeat", 2000 / 61), (122, "double", 1000 / 122),
    ]  # fmt: skip
    assert found.end == "found"
    assert found.largest_held is not None
    assert found.largest_held < 60
    assert found.smallest_not_held is not None
    assert 62 <= found.smallest_not_held <= 2 * found.largest_held


def test_loads_that_stay_undecided_over_a_wide_gap_decide_nothing() -> None:
    """The largest that held and the smallest that did not are known, and what lies between is not."""
    judge = lambda load: HELD if load < 50 else UNDECIDED if load < 100 else BROKEN  # noqa: E731
    found, _ = driven(judge, rate=20)
    assert found.end == "undecided"
    assert found.largest_held is not None
    assert 47 < found.largest_held < 50
    assert found.smallest_not_held is not None
    assert 100 <= found.smallest_not_held < 105


def test_one_undecided_number_of_users_between_two_is_as_close_as_can_be() -> None:
    """10 held and 12 did not: 11, which is on the limit, cannot be told from either."""
    found, _ = driven(lambda load: UNDECIDED if load == 11 else up_to(10)(load), find="max_users", users=4)
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 10.0, 12.0)


def test_a_first_load_with_too_few_requests_to_decide_is_passed() -> None:
    """One user may be too slow for a percentile to be decided; more users bring more requests."""
    found, probes = driven(
        lambda load: UNDECIDED if load < 8 else up_to(20)(load), find="max_users", longest_probe=10.0
    )
    assert probed(probes)[:8] == [
        (1, "double"), (1, "repeat"), (2, "double"), (2, "repeat"), (4, "double"), (4, "repeat"), (8, "double"),
        (16, "double"),
    ]  # fmt: skip
    assert (found.end, found.largest_held, found.smallest_not_held) == ("found", 20.0, 21.0)


def test_where_nothing_was_ever_decided_nothing_is_claimed() -> None:
    """Undecided up to the most: not "nothing held", for no condition was seen broken."""
    found, _ = driven(lambda _: UNDECIDED, rate=20, max_load=50)
    assert found == Found(end="undecided", largest_held=None, smallest_not_held=None, against=UNDECIDED.against)
    # And where it is broken further up, nobody knows what lies below.
    found, _ = driven(lambda load: UNDECIDED if load < 50 else BROKEN, rate=20)
    assert (found.end, found.largest_held, found.against) == ("undecided", None, BROKEN.against)
    assert found.smallest_not_held is not None
    assert 50 <= found.smallest_not_held < 53


def test_a_slo_that_needs_more_requests_than_the_longest_probe_sends_says_how_many() -> None:
    """The number that decides the strictest condition, and what the longest probe of the largest load sends."""
    slo = (*SLO, parse_threshold("error_rate<0.001"))
    found, _ = driven(lambda _: UNDECIDED, rate=20, max_load=50, slo=slo)
    said = "the SLO needs 3839 requests, and longest_probe = 60 s sends 3000"
    assert (found.end, found.against) == ("undecided", (*UNDECIDED.against, said))


def test_what_no_load_can_decide_is_not_driven_up() -> None:
    """A condition without anything to judge it by is given up at once, not at twenty thousand a second."""
    nothing = Judgement(holds=None, more_decides=False, against=("accuracy>0.5: nothing to decide on",))
    found, probes = driven(lambda _: nothing, rate=20)
    assert [probe.load for probe in probes] == [20, 20]
    assert found == Found(end="undecided", largest_held=None, smallest_not_held=None, against=nothing.against)


def test_a_client_that_is_the_limit_is_no_capacity() -> None:
    """Where the client breaks first, the server's capacity is at least what held, and no more is claimed."""
    found, _ = driven(lambda load: HELD if load <= 100 else SATURATED, rate=20)
    assert (found.end, found.against) == ("client_limited", SATURATED.against)
    assert found.largest_held is not None
    assert found.smallest_not_held is not None
    assert 95 < found.largest_held <= 100 < found.smallest_not_held


def test_a_search_that_runs_out_of_time_says_what_it_knows() -> None:
    """A gap wider than the tolerance, or ends that are not confirmed, decide nothing; confirmed ends are found."""
    _, probes = driven(up_to(100), rate=20)
    search = search_of(rate=20)
    generator, known = search.probes(), []
    probe = next(generator)
    for _ in probes[1:]:
        probe = generator.send(up_to(100)(probe.load))
        known.append(search.result("out_of_time"))
    assert known[3] == Found(end="out_of_time", largest_held=80.0, smallest_not_held=160.0, against=BROKEN.against)
    assert {found.end for found in known} == {"out_of_time"}
    with pytest.raises(StopIteration) as end:
        generator.send(up_to(100)(probe.load))
    assert search.result("out_of_time") == end.value.value
    assert end.value.value.end == "found"


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
def test_how_many_requests_decide(slo: tuple[str, ...], needed: int) -> None:
    """Ten beyond the percentile, and as many as clear a share's upper bound without one failure."""
    assert requests_needed(tuple(map(parse_threshold, slo))) == needed


def test_random_arrivals_need_more_requests_for_a_small_tolerance() -> None:
    """The rate that a thousand Poisson arrivals come to is off by 3 %; constant ones are exact."""
    assert [requests_needed(SLO[:0], tolerance=tolerance) for tolerance in (1.0, 0.1, 0.05)] == [100, 1000, 4000]
    assert search_of(rate=100, tolerance=0.05).requests_needed == 4000
    assert search_of(rate=100, tolerance=0.05, arrivals="constant").requests_needed == 1000
    assert search_of(find="max_users", tolerance=0.05).requests_needed == 1000


def test_a_probe_lasts_until_its_percentile_is_decidable_within_bounds() -> None:
    """By the rate that is asked for, or by the one that users have reached before."""
    rates = search_of(rate=20, shortest_probe=5.0, longest_probe=60.0)
    assert [rates.duration_s(load) for load in (1, 20, 100, 1000)] == [60.0, 50.0, 10.0, 5.0]
    assert search_of(rate=1, time_limit=30.0).duration_s(1) == 30.0
    users = search_of(find="max_users", shortest_probe=5.0)
    generator = users.probes()
    assert next(generator) == Probe(load=1.0, duration_s=5.0, purpose="double")
    # 25 requests a second by one user are 50 by two: 1,000 of them take 20 s.
    assert generator.send(Judgement(holds=True, throughput_rps=25.0)) == Probe(
        load=2.0, duration_s=20.0, purpose="double"
    )
