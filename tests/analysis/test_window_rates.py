"""Rates of made-up windows, whose truth is known."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from heapq import heapify, heappop, heappush
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aether_load.analysis.latency.correlate import littles_law_ratio
from aether_load.analysis.statistics.window_rates import clock_error_s, window_rates
from aether_load.protocol import Outcome
from aether_load.rundata.clock import ClockReading
from aether_load.rundata.manifest import ClockPair, PhaseRecord, WorkerRecord
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples
from made_samples import made_samples
from property_tests import examples

MS = 1_000_000


def samples_of(requests: list[Any], window: Any) -> PhaseSamples:
    """Samples of requests, each from sent to ended in ns, with an outcome if it is not ok."""
    rows = [(*request, Outcome.OK)[:3] for request in requests]
    sent, ended, outcome = zip(*rows, strict=True) if rows else ((), (), ())
    return made_samples(sent, ended, window, outcome=outcome)


def record_of(users: Any = 1, load: Any = "closed", ended_ns: int = 1, **more: Any) -> PhaseRecord:
    return PhaseRecord(
        name="p", users=users, load=load, began=ClockPair(0, ""), window_began_ns=0, window_ended_ns=ended_ns, **more
    )


def rps(requests: list[Any], window: Any, **record: Any) -> tuple[float | None, str | None]:
    rates = window_rates(samples_of(requests, window), record_of(**record))
    return rates.per_second(np.ones(len(requests))), rates.reason


REQUESTS = st.lists(
    st.tuples(
        st.integers(0, 2000 * MS), st.integers(0, 500 * MS), st.sampled_from([Outcome.OK, Outcome.OK, Outcome.TIMEOUT])
    ).map(lambda request: (request[0], request[0] + request[1], request[2])),
    max_size=30,
)
EDGES = st.lists(st.integers(0, 2500 * MS), min_size=3, max_size=3, unique=True).map(sorted)


@settings(max_examples=examples(200))
@given(REQUESTS, EDGES)
def test_a_request_counts_by_the_exact_part_of_its_time(
    requests: list[tuple[int, int, Outcome]], edges: list[int]
) -> None:
    """As fractions of whole numbers of ns have it, and windows side by side hold what the whole one holds."""
    began, between, ended = edges
    shares = window_rates(samples_of(requests, (began, ended))).shares

    def part(sent: int, answered: int) -> Fraction:
        if sent == answered:
            return Fraction(began <= sent < ended)
        return Fraction(max(0, min(answered, ended) - max(sent, began)), answered - sent)

    if ended - began < 10 * MS:
        assert not shares.any()
        return
    assert shares.tolist() == pytest.approx([float(part(sent, answered)) for sent, answered, _ in requests], abs=1e-6)
    if min(between - began, ended - between) >= 10 * MS:
        halves = [window_rates(samples_of(requests, edges_)).shares for edges_ in ((began, between), (between, ended))]
        assert (halves[0] + halves[1]).tolist() == pytest.approx(shares.tolist(), abs=1e-6)


def test_what_was_never_sent_or_given_up_counts_nothing() -> None:
    """Failures count as any other request; those that ended by our own hand do not."""
    requests = [(0, 50 * MS), (0, 50 * MS, Outcome.HTTP_ERROR), (0, 50 * MS, Outcome.CANCELLED),
                (ABSENT, ABSENT, Outcome.DROPPED)]  # fmt: skip
    assert rps(requests, (0, 100 * MS)) == (20.0, None)


def closed_load(
    users: int, requests: int, latency_ns: int, seed: int = 0, spread: float = 0.0
) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """The requests of users who each send again when their answer is in, until there are no more, and the window.

    The window shuts when the first user has nothing to send.
    """
    chance = np.random.default_rng(seed)
    free = [(int(chance.integers(0, 2 * MS)), user) for user in range(users)]
    heapify(free)
    sent: list[tuple[int, int]] = []
    while True:
        at, user = heappop(free)
        if len(sent) == requests:
            return sent, (0, at)
        took = int(latency_ns * chance.uniform(1 - spread, 1 + spread))
        sent.append((at, at + took))
        heappush(free, (at + took, user))


@settings(max_examples=examples(100))
@given(st.integers(1, 20), st.integers(1, 64), st.integers(100, 900), st.integers(0, 9))
def test_waves_have_their_rate(waves: int, users: int, latency_ms: int, seed: int) -> None:
    """From one wave to twenty, by one user to 64, the rate is that of Little's law within three percent."""
    requests, window = closed_load(users, users * waves, latency_ms * MS, seed, spread=0.01)
    rate, reason = rps(requests, window, users=users)
    assert reason is None
    assert rate == pytest.approx(users / latency_ms * 1000, rel=0.03)
    ratio, _ = littles_law_ratio(samples_of(requests, window), record_of(users))
    assert ratio == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("spread", [0.3, 0.6])
def test_latencies_that_differ_bias_a_rate_less_and_less(spread: float) -> None:
    """All users begin at once, which a window of many waves forgets: the bias is cv^2 / 2 by the number of waves."""
    for waves in (5, 20):
        found = []
        for seed in range(50):
            requests, window = closed_load(16, 16 * waves, 100 * MS, seed, spread)
            rate, _ = rps(requests, window, users=16)
            assert rate is not None
            found.append(rate / 160)
        assert 0.99 < np.mean(found) < 1.01 + spread**2 / 3 / 2 / waves


@pytest.mark.parametrize(
    ("requests", "window", "record", "reason"),
    [
        ([(0, 300 * MS)] * 8, (None, None), {"users": 8}, "there was no window"),
        ([(0, 300 * MS)] * 8, (0, None), {"users": 8}, "there was no window"),
        (
            [(0, 300 * MS)] * 4, (0, 0), {"users": 8},
            "the window of 0.0 ms is shorter than 10 times the error of its clock (1 ms)",
        ),
        (
            [(0, 9 * MS)] * 8, (0, int(9.9 * MS)), {"users": 8},
            "the window of 9.9 ms is shorter than 10 times the error of its clock (1 ms)",
        ),
        (
            [(0, 300 * MS)] * 8, (0, 100 * MS), {"users": 8},
            "the window holds 2.67 requests, and 8 users sent: there is no rate of less than one wave",
        ),
        (
            [(0, 300 * MS)], (0, 100 * MS), {"users": 1},
            "the window holds 0.33 requests, and 1 user sent: there is no rate of less than one wave",
        ),
        ([], (0, 100 * MS), {"users": None}, "the window holds 0.00 requests: there is no rate of less than one wave"),
        (
            [(0, 300 * MS)], (0, 100 * MS), {"users": 9, "load": "open"},
            "the window holds 0.33 requests: there is no rate of less than one wave",
        ),
    ],
)  # fmt: skip
def test_where_there_is_no_rate(
    requests: list[tuple[int, int]], window: tuple[int | None, int | None], record: dict[str, Any], reason: str
) -> None:
    """Null, with the reason, and so with Little's ratio where it has a meaning."""
    assert rps(requests, window, **record) == (None, reason)
    ratio, why = littles_law_ratio(samples_of(requests, window), record_of(**record))
    assert ratio is None
    assert why in {reason, "the number of users varied", "open load has no fixed number of active users"}


def test_a_window_that_is_still_open_is_known_up_to_its_longest_request() -> None:
    """What is in flight has no sample yet: the rate is of the time for which all of it is known."""
    found: list[list[Any]] = []
    for seed in range(20):
        requests, _ = closed_load(8, 200, 100 * MS, seed, spread=0.5)
        known = [request for request in requests if request[1] <= 555 * MS]
        window = (0, max(ended for _, ended in known))
        found.append([rps(known, window, users=8, ended_ns=end)[0] for end in (None, window[1])])
    open_, shut = np.mean(found, axis=0)
    assert open_ == pytest.approx(80, rel=0.05)
    assert shut < 74


def test_the_error_of_workers_clocks_is_the_largest() -> None:
    """Instants of another machine are known less well than this one's."""

    class OfWorkers:
        def __init__(self, *uncertainties: int) -> None:
            clock = tuple(ClockReading(0, 5, uncertainty) for uncertainty in uncertainties)
            self.workers = [WorkerRecord(worker=0, pid=1, began=ClockPair(0, ""), clock=clock)]

    made: Callable[..., Any] = OfWorkers
    assert clock_error_s(made()) == clock_error_s(made(300_000)) == 0.001
    assert clock_error_s(made(2 * MS, 7 * MS, MS)) == 0.007
    requests = [(0, 60 * MS)]
    assert window_rates(samples_of(requests, (0, 69 * MS)), record_of(), 0.007).reason == (
        "the window of 69.0 ms is shorter than 10 times the error of its clock (7 ms)"
    )
    assert window_rates(samples_of(requests, (0, 70 * MS)), record_of(), 0.007).reason is None
