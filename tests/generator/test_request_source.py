"""The requests of a stage: numbered without a gap, in the order of the prompts, each at its due time."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace
from typing import Any

import pytest

from aether_load.dag.workload import PromptRange
from aether_load.load.sending.request_source import RequestSource
from aether_load.scenario.stage import Stage
from aether_load.schedule.shard import WHOLE, Share
from aether_load.schedule.trace import Trace

S = 1_000_000_000
PLACE = 7


def source_of(trace: Trace | None = None, share: Share = WHOLE) -> tuple[RequestSource, Any, list[int]]:
    """Return a source of three prompts, its context, and the numbers that it announced."""
    announced: list[int] = []

    def announce(request: int) -> int:
        announced.append(request)
        return request + 2

    context: Any = SimpleNamespace(
        scenario=SimpleNamespace(seed=1),
        workload=SimpleNamespace(of_phase=lambda _phase: (PromptRange(first=0, count=3, weight=1.0),)),
        traces={} if trace is None else {0: trace},
        work=None,
    )
    source = RequestSource(context, announce)
    source.share = share
    return source, context, announced


def closed(**values: Any) -> Stage:
    stage: dict[str, Any] = {"name": "closed", "phase": 0, "load": "closed", "users": 2}
    return Stage(**stage | values)


def opened(**values: Any) -> Stage:
    stage: dict[str, Any] = {"name": "open", "phase": 0, "load": "open", "users": 2, "rate_rps": 2.0}
    return Stage(**stage | {"arrivals": "constant"} | values)


def test_closed_work_goes_round_the_prompts_until_its_limit() -> None:
    source, context, announced = source_of()
    stage = closed(requests=5)
    limit, limited_by = source.limit(stage)
    assert (limit, limited_by) == (5, "requests")
    assert list(source.closed_work(stage, PLACE, limit)) == [
        (0, 0, None, PLACE), (1, 1, None, PLACE), (2, 2, None, PLACE), (3, 0, None, PLACE), (4, 1, None, PLACE),
    ]  # fmt: skip
    assert (source.handed_out, announced, context.work.place) == (5, [0, 2, 4], PLACE)


@pytest.mark.parametrize(
    ("stage", "limit"),
    [(closed(passes=2), (6, "passes")), (closed(requests=4, passes=2), (4, "requests")), (closed(), (None, ""))],
    ids=["passes", "the smaller one", "none"],
)
def test_the_limit_says_what_set_it(stage: Stage, limit: tuple[int | None, str]) -> None:
    assert source_of()[0].limit(stage) == limit


def test_a_ramp_is_not_limited_and_numbers_go_on_in_the_window() -> None:
    source, _, _ = source_of()
    stage = closed(requests=2, warmup_s=1.0)
    assert [work[0] for work in islice(source.closed_work(stage, PLACE, None), 4)] == [0, 1, 2, 3]
    assert [work[:2] for work in source.closed_work(stage, PLACE, 2)] == [(4, 0), (5, 1)]


@pytest.mark.parametrize("of", [1, 2, 3])
def test_shares_send_together_what_one_process_would(of: int) -> None:
    stage = closed(requests=7)
    prompts = [
        [work[1] for work in source_of(share=Share(index, of))[0].closed_work(stage, PLACE, 7)] for index in range(of)
    ]
    assert sorted(prompt for part in prompts for prompt in part) == [0, 0, 0, 1, 1, 2, 2]
    assert [prompts[index % of][index // of] for index in range(7)] == [0, 1, 2, 0, 1, 2, 0]


def test_arrivals_are_due_at_the_rate_from_the_windows_start() -> None:
    source, context, _ = source_of()
    source.begin_arrivals(opened(), PLACE)
    assert context.work.place == PLACE
    assert list(islice(source.window_arrivals(opened(), PLACE, None, 10 * S), 3)) == [
        (0, 0, 10 * S, PLACE), (1, 1, 10 * S + S // 2, PLACE), (2, 2, 11 * S, PLACE),
    ]  # fmt: skip


def test_a_request_that_never_became_due_gives_its_number_back() -> None:
    source, _, _ = source_of()
    drawn = list(islice(source.ramp_arrivals(opened(warmup_s=1.0), PLACE, 0), 3))
    source.take_back(drawn[-1])
    source.take_back(None)
    assert (source.handed_out, next(source.window_arrivals(opened(), PLACE, None, S))[0]) == (2, 2)


def test_a_trace_has_its_own_prompts_and_times() -> None:
    source, _, _ = source_of(Trace(offsets_ns=(0, 5, 9), prompts=(2, 0, 2)))
    stage = opened(trace=True, rate_rps=None)
    limit, limited_by = source.limit(stage)
    assert (limit, limited_by) == (3, "trace")
    assert [work[:3] for work in source.window_arrivals(stage, PLACE, limit, S)] == [
        (0, 2, S), (1, 0, S + 5), (2, 2, S + 9),
    ]  # fmt: skip
    assert source.each_prompt_once(stage) == [2, 0]


def test_each_prompt_once_is_what_warms_a_cache() -> None:
    assert source_of(share=Share(1, 2))[0].each_prompt_once(closed()) == [1]
    assert source_of()[0].each_prompt_once(closed()) == [0, 1, 2]
