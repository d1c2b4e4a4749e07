"""A load's parts are together exactly the load, in any number of them."""

from itertools import islice, takewhile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aether_load.dag.workload import PromptRange
from aether_load.scenario.stage import Stage
from aether_load.schedule.arrivals import arrival_offsets
from aether_load.schedule.order import prompt_order
from aether_load.schedule.ramp import user_steps
from aether_load.schedule.shard import WHOLE, Share, shares, users_alike
from aether_load.schedule.work_limit import work_limit

PARTS = st.integers(1, 12)


@given(PARTS, st.integers(0, 1000))
def test_users_and_requests_add_up(parts: int, total: int) -> None:
    assert sum(share.users(total) for share in shares(parts)) == total
    assert sum(share.count(total) or 0 for share in shares(parts)) == total
    assert max(share.users(total) for share in shares(parts)) - min(share.users(total) for share in shares(parts)) <= 1


@given(PARTS, st.integers(1, 50), st.integers(0, 200))
def test_each_prompt_is_sent_exactly_once_a_pass(parts: int, prompts: int, limit: int) -> None:
    whole = list(prompt_order([PromptRange(0, prompts)], 0, limit))
    parted = [list(prompt_order([PromptRange(0, prompts)], 0, limit, share)) for share in shares(parts)]
    assert sorted(prompt for part in parted for prompt in part) == sorted(whole)
    for index, part in enumerate(parted):
        assert part == whole[index::parts]


@pytest.mark.parametrize("kind", ["constant", "poisson"])
@pytest.mark.parametrize("ramp", [{}, {"ramp_from_rps": 10.0, "ramp_over_s": 2.0}])
@pytest.mark.parametrize("parts", [2, 3, 7])
def test_arrivals_of_all_parts_are_those_of_one_process(kind: str, ramp: dict[str, Any], parts: int) -> None:
    whole = list(islice(arrival_offsets(kind, 500.0, "x", **ramp), 10_000))
    end = whole[-1]
    parted = [
        list(takewhile(lambda at: at <= end, arrival_offsets(kind, 500.0, "x", **ramp, share=share)))
        for share in shares(parts)
    ]
    assert [part[:1000] for part in parted] == [whole[index::parts][:1000] for index in range(parts)]
    assert sorted(at for part in parted for at in part) == whole


def test_a_ramp_is_the_whole_ones_at_every_instant() -> None:
    stage = Stage(name="up", phase=0, load="closed", users=10, ramp_from=0, ramp_over_s=5.0)
    parted = [list(share.steps(user_steps(stage))) for share in shares(3)]
    for users, at_s in user_steps(stage):
        active = [[there for there, since in part if since <= at_s][-1] for part in parted]
        assert sum(active) == users


def test_an_endless_number_stays_endless_and_a_seed_is_each_ones_own() -> None:
    assert Share(1, 3).count(None) is None
    assert WHOLE.seed("42") == "42"
    assert len({share.seed("42") for share in shares(5)}) == 5


@pytest.mark.parametrize(
    ("keys", "limit"),
    [
        ({"requests": 7, "passes": 2}, (7, "requests")),
        ({"requests": 900, "passes": 2}, (20, "passes")),
        ({"requests": 20, "passes": 2}, (20, "requests")),
        ({"duration_s": 3.0}, (None, "")),
    ],
)
def test_the_smallest_limit_holds(keys: dict[str, Any], limit: tuple[int | None, str]) -> None:
    assert work_limit(Stage(name="s", phase=0, load="closed", users=1, **keys), [PromptRange(0, 10)], {}) == limit


@pytest.mark.parametrize(("users", "workers", "needed"), [(2, 4, 4), (8, 3, 9), (8, 2, 8), (0, 3, 0), (5, 0, 5)])
def test_as_many_users_on_each_worker_as_its_share_is_at_most(users: int, workers: int, needed: int) -> None:
    assert users_alike(users, workers) == needed
    assert all(share.users(users) <= needed // workers for share in shares(workers))
