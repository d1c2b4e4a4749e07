"""The judgement on a probe of a capacity search: what held, what was measured, and what the limit was."""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aether_load.analysis.phase.queue_growth import queue_growth
from aether_load.analysis.verdict.probe import QUEUE
from aether_load.observer.judge import judge_phase
from aether_load.protocol import Outcome
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.schedule.probe import Judgement, ProbeMeasurement, SloReading
from folders import BEGAN_NS, MS, answered, dropped, failed, make_run

SLO = ("p(95)<100",)


def queue(
    rate: float, *, slots: int = 10, service_ms: int = 50, for_s: float = 5.0, seed: int = 0
) -> list[dict[str, Any]]:
    """The requests of an open load on a server of so many slots: in one second it serves slots / service time."""
    chance, free, at, requests = random.Random(seed), [0.0] * slots, 0.0, []
    while (at := at + chance.expovariate(rate)) < for_s:
        ended = max(at, heapq.heappop(free)) + service_ms / 1000
        heapq.heappush(free, ended)
        requests.append(answered(at * 1000, (ended - at) * 1000, int((ended - at) * 1000)))
    return requests


def usage(kind: type[Any], share: float, for_s: int = 5, **more: Any) -> list[Any]:
    """Readings of a process that uses this share of a core, one a second."""
    return [
        kind(at_ns=BEGAN_NS + at * 1000 * MS, cpu_s=share * at, resident_bytes=1, **more) for at in range(for_s + 1)
    ]


def judged(
    tmp_path: Path,
    requests: list[dict[str, Any]],
    *,
    slo: Sequence[str] = SLO,
    users: int | None = None,
    rate: int | None = None,
    sender: float = 0.2,
    server: float = 0.7,
    for_s: int = 5,
    **search: Any,
) -> Judgement:
    kind = "max_users" if rate is None else "max_rate"
    scenario = {"name": "made", "phases": [{"name": "capacity", "find": kind, "slo": list(slo), **search}]}
    more = {"load": "closed"} if rate is None else {"load": "open", "rate_rps": float(rate)}
    folder = make_run(
        tmp_path, requests, scenario=scenario, users=users, window_ms=(0, for_s * 1000), phase_ms=(for_s + 1) * 1000,
        phase="capacity", search="capacity",
        sender=usage(SenderReading, sender, for_s, worker=0),
        server=usage(ServerReading, server, for_s, processes=1, names=("aether",)), **more,
    )  # fmt: skip
    return judge_phase(folder, "closed")


def closed(users: int, latency_ms: int, for_s: int = 5, server_ms: int | None = None) -> list[dict[str, Any]]:
    """Users that each send again as soon as the answer is there."""
    count = int(for_s * 1000 / latency_ms)
    return [
        answered(place * latency_ms, latency_ms, latency_ms if server_ms is None else server_ms)
        for place in range(count)
        for _ in range(users)
    ]


def test_a_probe_that_holds_is_measured(tmp_path: Path) -> None:
    """Load asked and achieved, the metric with its interval, the error rate, and both processes' CPU."""
    judgement = judged(tmp_path, closed(4, 80), users=4, slo=["p(95)<100", "error_rate<0.02"])
    assert judgement == Judgement(
        holds=True,
        limited_by="held",
        throughput_rps=49.6,
        measured=ProbeMeasurement(
            achieved_load=3.968,
            slo=(
                SloReading(condition="p(95)<100", state="holds", value=80.0, low=80.0, high=80.0),
                SloReading(condition="error_rate<0.02", state="holds", value=0.0, low=0.0, high=0.015253),
            ),
            error_rate=0.0,
            sender_cpu_share=0.2,
            server_cpu_share=0.7,
        ),
    )


def test_what_was_not_measured_has_its_reason(tmp_path: Path) -> None:
    """A server elsewhere has no CPU here, and a window without requests no error rate."""
    scenario = {"name": "made", "phases": [{"name": "capacity", "find": "max_users", "slo": list(SLO)}]}
    folder = make_run(
        tmp_path, [], scenario=scenario, phase="capacity", search="capacity",
        server=[ServerReading(at_ns=BEGAN_NS, reason="the target runs on another machine")],
    )  # fmt: skip
    judgement = judge_phase(folder, "closed")
    assert (judgement.holds, judgement.limited_by, judgement.more_decides) == (None, None, False)
    assert judgement.measured == ProbeMeasurement(
        achieved_load=None,
        slo=(
            SloReading(
                condition="p(95)<100", state="undecided", value=None, low=None, high=None,
                reason="no request was sent in the window",
            ),
        ),
        error_rate=None,
        sender_cpu_share=None,
        server_cpu_share=None,
        reasons={
            "achieved_load": "the window holds 0.00 requests, and 1 user sent: there is no rate of less than one wave",
            "error_rate": "no request was sent in the window and had its time",
            "sender_cpu_share": "the sender was not read twice inside the window",
            "server_cpu_share": "the target runs on another machine",
        },
    )  # fmt: skip


BROKEN = "p(95)<100 is broken: 120 [120, 120]"
BUSY = "the client is the limit: it used 97% of a core in its busiest second"
IDLE = "the client is the limit: requests account for 73.8% of its users' time"


@pytest.mark.parametrize(
    ("requests", "more", "limited_by", "against"),
    [
        (closed(4, 120), {"users": 4}, "server", [BROKEN]),
        (
            [*closed(4, 80), *[failed(place, 50, Outcome.HTTP_ERROR) for place in range(20)]], {"users": 4}, "server",
            ["error_rate<=0.01 (max_error_rate) is broken: 0.074627"],
        ),
        (
            closed(4, 90), {"users": 4, "slo": ["p(95)<80", "p(50)<85"]}, "server",
            ["p(95)<80 is broken: 90 [90, 90]", "p(50)<85 is broken: 90 [90, 90]"],
        ),
        # The server does not account for the latency of a busy client.
        (closed(4, 120, server_ms=50), {"users": 4, "sender": 0.97}, "client", [BROKEN, BUSY]),
        # Here it does, however busy the client is.
        (closed(4, 120), {"users": 4, "sender": 0.97}, "server", [BROKEN]),
        # A quarter of the users' time belongs to no request.
        (closed(3, 120, server_ms=60), {"users": 4}, "client", [BROKEN, IDLE]),
    ],
)  # fmt: skip
def test_what_broke_is_named_with_the_limit(
    tmp_path: Path, requests: list[dict[str, Any]], more: dict[str, Any], limited_by: str, against: list[str]
) -> None:
    """Each condition that broke, and whether the server or the client is the limit."""
    judgement = judged(tmp_path, requests, **more)
    assert judgement.holds is False
    assert judgement.limited_by == limited_by
    assert list(judgement.against) == against


def waiting_users(users: int, answer_ms: int, for_ms: int = 5000, every_ms: int = 10) -> list[dict[str, Any]]:
    """Requests that are due in turns, each sent as soon as one of the users is free, until the window is over."""
    free, requests = [0.0] * users, []
    for place in range(for_ms // every_ms):
        due = place * every_ms
        at = max(due, heapq.heappop(free))
        heapq.heappush(free, at + answer_ms)
        sent = at < for_ms
        requests.append(answered(at, answer_ms, answer_ms // 2, due_ms=due) if sent else dropped(due))
    return requests


@pytest.mark.parametrize(("users", "share"), [(80, 0.8), (10, 0.1), (400, 0.84)])
def test_an_overloaded_server_has_requests_queue_before_it(tmp_path: Path, users: int, share: float) -> None:
    """Users that all wait for answers send less than is due, however late they do; the client is not to blame."""
    answer_ms = 1000 if users < 400 else 4800
    requests = waiting_users(users, answer_ms)
    judgement = judged(tmp_path, requests, rate=100, users=users, slo=["p(95)<20000", "error_rate<0.99"])
    assert (judgement.holds, judgement.limited_by) == (False, "server")
    assert judgement.measured is not None
    sent = f"all {users} users waited for answers, so {judgement.measured.achieved_load:.1f}% of what was due was sent"
    assert judgement.against == (f"{QUEUE}: {sent}",)
    assert judgement.measured.achieved_load == pytest.approx(100 * share, rel=0.05)


def test_a_client_that_does_not_send_what_is_due_is_the_limit(tmp_path: Path) -> None:
    """Users that are free while requests are due are the client's fault."""
    prompt = [answered(place * 10, 20, 10) for place in range(400)]
    unsent = [dropped(4000 + place * 10) for place in range(100)]
    judgement = judged(tmp_path, [*prompt, *unsent], rate=100, users=90)
    assert (judgement.holds, judgement.limited_by) == (False, "client")
    assert judgement.against[1:] == ("the client is the limit: it sent 80.0% of what was due, with users to spare",)


def test_a_server_that_refuses_connections_is_the_limit(tmp_path: Path) -> None:
    """Users that pause after a lost connection send less than is due, and the client is not to blame."""
    lost = [failed(place * 10, 1, Outcome.CONNECTION_ERROR) for place in range(400)]
    unsent = [dropped(4000 + place * 10) for place in range(100)]
    judgement = judged(tmp_path, [*lost, *unsent], rate=100, users=90)
    assert (judgement.holds, judgement.limited_by) == (False, "server")
    assert judgement.against[0] == "error_rate<=0.01 (max_error_rate) is broken: 1"


def test_a_load_that_piles_up_does_not_hold_however_small_its_latency_is_yet(tmp_path: Path) -> None:
    """At 30 % above what is served, each second adds 300 ms: a limit of two seconds is only broken later."""
    judgement = judged(tmp_path, queue(260), rate=260, users=1000, slo=["p(95)<2000"])
    assert (judgement.holds, judgement.limited_by) == (False, "server")
    (reason,) = judgement.against
    assert reason.startswith(f"{QUEUE}: each second of the load added ")
    assert judgement.measured is not None
    assert judgement.measured.slo[0].state == "holds"
    held = judged(tmp_path / "b", queue(160), rate=160, users=1000, slo=["p(95)<2000"])
    assert (held.holds, held.limited_by) == (True, "held")


def test_an_interval_that_holds_the_limit_decides_nothing(tmp_path: Path) -> None:
    """More requests may decide it."""
    requests = [answered(place * 50, 99 if place % 20 else 101) for place in range(90)]
    judgement = judged(tmp_path, requests, users=1)
    assert (judgement.holds, judgement.limited_by, judgement.more_decides) == (None, None, True)
    assert judgement.against == ("p(95)<100 is not decided: the interval reaches over it: 101 [99, 101]",)


def growths(load: float, **more: Any) -> int:
    """Of a hundred probes at a share of the capacity of 200/s, those in which the queue is said to grow."""
    found = 0
    for seed in range(100):
        growth = queue_growth(samples_of(queue(200 * load, seed=seed, **more)))
        found += growth is not None and growth.low > 0 and growth.per_second > 0.05
    return found


def samples_of(requests: list[dict[str, Any]]) -> Any:
    """The samples of an open load of five seconds, without the detour over a file."""
    due = np.array([int(request["at"] * MS) for request in requests], np.int64)
    everything = np.ones(len(due), np.bool_)
    return SimpleNamespace(
        due_ns=due, ended_ns=due + np.array([int(request["latency"] * MS) for request in requests], np.int64),
        in_window=everything, was_sent=everything, window_s=5.0, window_began_ns=0,
    )  # fmt: skip


@pytest.mark.parametrize(("load", "least", "most"), [(0.5, 0, 0), (0.9, 0, 1), (1.15, 99, 100), (1.5, 100, 100)])
def test_a_queue_grows_above_the_capacity_and_not_below(load: float, least: int, most: int) -> None:
    """With random arrivals, at 90 % of the capacity it hardly ever does, and at 115 % always."""
    assert least <= growths(load) <= most


def test_the_growth_is_the_share_by_which_the_load_is_too_large() -> None:
    """At 130 % of the capacity each second of the load brings 0.3 s more than can be served."""
    growth = queue_growth(samples_of(queue(260, seed=3)))
    assert growth is not None
    assert 0.25 < growth.low < growth.per_second < 0.35
    assert queue_growth(samples_of(queue(4))) is None
