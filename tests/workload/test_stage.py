"""A scenario's phases as they are driven: each load a stage of its own, in order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aether_load.scenario.load import from_plain, load_scenario, shipped_scenarios, to_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import SearchPlan, Stage, most_users, plan_items, plan_stages


def scenario_of(text: str, tmp_path: Path, top: str = "") -> Scenario:
    (tmp_path / "own.toml").write_text(f"{top}\n[[phases]]\n{text}\n")
    return load_scenario(tmp_path / "own.toml")


def stages(text: str, tmp_path: Path, top: str = "") -> list[Stage]:
    return plan_stages(scenario_of(text, tmp_path, top))


def test_a_phase_without_a_shape_is_one_stage(tmp_path: Path) -> None:
    """Every key of the phase is in its stage, every default filled in."""
    assert stages("passes = 1", tmp_path) == [Stage(name="closed", phase=0, load="closed", users=8, passes=1)]
    text = """
        name = "all"
        users = 3
        spawn_rate = 2
        think_time = "250ms"
        think_time_distribution = "exponential"
        warmup = "1s"
        duration = "2s"
        requests = 50
        cache = "cold"
        unique_prompts = true
        sequential = true
    """
    assert stages(text, tmp_path) == [
        Stage(
            name="all", phase=0, load="closed", users=3, spawn_rate=2.0, think_time_s=0.25,
            think_time_distribution="exponential", warmup_s=1.0, duration_s=2.0, requests=50, cache="cold",
            unique_prompts=True, sequential=True,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(("rate", "users"), [(1, 64), (6.4, 64), (20, 200), (100, 1000), (5000, 1000)])
def test_an_open_load_has_users_for_answers_of_ten_seconds(rate: float, users: int, tmp_path: Path) -> None:
    """Within bounds: never fewer than 64 in flight, never more than 1,000."""
    assert stages(f"rate = {rate}\nduration = 1", tmp_path) == [
        Stage(name="open", phase=0, load="open", users=users, rate_rps=rate, duration_s=1.0)
    ]


def test_max_concurrency_is_the_users_own_choice(tmp_path: Path) -> None:
    """Down to one at a time."""
    (stage,) = stages('rate = 100\nmax_concurrency = 1\narrivals = "constant"\nduration = 1', tmp_path)
    assert (stage.users, stage.arrivals) == (1, "constant")


def test_a_sweep_is_a_stage_of_each_load_at_rest_in_between(tmp_path: Path) -> None:
    """Nothing is joined, and each keeps the cache's state."""
    of_users = [
        Stage(name=f"sweep-{users}", phase=0, load="closed", users=users, passes=1, cache="warm", shape="sweep")
        for users in (1, 4, 16)
    ]
    assert stages('sweep = [1, 4, 16]\npasses = 1\ncache = "warm"', tmp_path) == of_users
    of_rates = [
        Stage(name=f"r-{rate:g}", phase=0, load="open", users=users, rate_rps=rate, duration_s=1.0, shape="r")
        for rate, users in ((0.5, 64), (50.0, 500))
    ]
    assert stages('name = "r"\nload_unit = "rate"\nsweep = [0.5, 50]\nduration = 1', tmp_path) == of_rates


def test_steps_follow_each_other_without_a_rest(tmp_path: Path) -> None:
    """All are served by the users of the largest; only the first one touches the cache."""
    first = Stage(
        name="steps-10", phase=0, load="open", users=800, rate_rps=10.0, duration_s=1.0, warmup_s=2.0, cache="cold",
        shape="steps",
    )  # fmt: skip
    second = Stage(
        name="steps-80", phase=0, load="open", users=800, rate_rps=80.0, duration_s=1.0, warmup_s=2.0, shape="steps",
        joined=True,
    )  # fmt: skip
    text = 'load_unit = "rate"\nsteps = [10, 80]\nwarmup = 2\nduration = 1\ncache = "cold"'
    assert stages(text, tmp_path) == [first, second]
    assert [stage.users for stage in stages("steps = [5, 2]\nduration = 1", tmp_path)] == [5, 2]


def test_a_spike_is_three_steps_and_warms_up_once(tmp_path: Path) -> None:
    """A spike that were let warm up would be over before its window opens."""
    text = "rate = 20\nwarmup = 3\nspike = {to = 100, before = 1, duration = 2, after = 4}"
    common: dict[str, Any] = {"phase": 0, "load": "open", "users": 1000, "shape": "spike"}
    assert stages(text, tmp_path) == [
        Stage(name="spike-before", rate_rps=20.0, duration_s=1.0, warmup_s=3.0, **common),
        Stage(name="spike-spike", rate_rps=100.0, duration_s=2.0, joined=True, **common),
        Stage(name="spike-after", rate_rps=20.0, duration_s=4.0, joined=True, **common),
    ]


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("users = 2\nramp = {from = 6, over = 1}\nduration = 1", 6),
        ("ramp = {from = 1, to = 9, over = 1}\nduration = 1", 9),
        ("steps = [7, 3]\nduration = 1", 7),
        ("rate = 10\nramp = {from = 90, over = 1}\nduration = 1", 900),
        ('load_unit = "rate"\nramp = {from = 1, to = 20, over = 1}\nduration = 1', 200),
        ('find = "max_users"\nslo = ["p(99)<5"]', 1024),
        ('find = "max_users"\nslo = ["p(99)<5"]\nmax_load = 32', 32),
        ('find = "max_rate"\nslo = ["p(99)<5"]\nmax_load = 32', 320),
        ('trace = {path = "t.csv"}', 256),
    ],
)
def test_as_many_users_as_are_needed_at_one_time(text: str, needed: int, tmp_path: Path) -> None:
    """A way down begins with more than it ends with, and a search may come to its most."""
    assert most_users(scenario_of(text, tmp_path)) == needed


TWO = 'name = "a"\npasses = 1\n[[phases]]\nname = "b"\npasses = 1'


@pytest.mark.parametrize(
    ("order", "names"),
    [
        ("in_turn", ["a#1", "b#1", "a#2", "b#2", "a#3", "b#3", "a#4", "b#4"]),
        ("abba", ["a#1", "b#1", "b#2", "a#2", "a#3", "b#3", "b#4", "a#4"]),
    ],
)
def test_repetitions_in_order(order: str, names: list[str], tmp_path: Path) -> None:
    """In turn, or there and back."""
    found = stages(TWO, tmp_path, f'repeat = 4\norder = "{order}"')
    assert [stage.name for stage in found] == names
    assert [stage.repeat for stage in found] == [int(name[-1]) for name in names]


def test_a_shuffled_order_comes_from_the_seed(tmp_path: Path) -> None:
    """Each repetition has each phase once; the same seed gives the same order, another one another."""
    text = "\n[[phases]]\n".join(f'name = "{name}"\npasses = 1' for name in "abcdef")

    def order(seed: int) -> list[str]:
        return [stage.name for stage in stages(text, tmp_path, f'repeat = 5\norder = "shuffled"\nseed = {seed}')]

    names = order(1)
    for repeat in range(5):
        turn = names[repeat * 6 : repeat * 6 + 6]
        assert sorted(turn) == [f"{name}#{repeat + 1}" for name in "abcdef"]
    assert order(1) == names != order(2)


def test_a_repeated_shape_stays_together_and_has_readings_of_its_own(tmp_path: Path) -> None:
    """Steps are driven there and back as wholes, and each repetition of them is one shape."""
    text = "steps = [1, 2]\nduration = 1\n[[phases]]\npasses = 1"
    found = stages(text, tmp_path, 'repeat = 2\norder = "abba"')
    assert [(stage.name, stage.shape, stage.joined) for stage in found] == [
        ("steps-1#1", "steps#1", False),
        ("steps-2#1", "steps#1", True),
        ("closed#1", None, False),
        ("closed#2", None, False),
        ("steps-1#2", "steps#2", False),
        ("steps-2#2", "steps#2", True),
    ]


def test_many_repetitions_are_planned_at_once(tmp_path: Path) -> None:
    """A thousand repetitions of twenty phases are no reason to wait."""
    text = "\n[[phases]]\n".join(f'name = "p{number}"\npasses = 1' for number in range(20))
    assert len(stages(text, tmp_path, "repeat = 1000")) == 20_000


def test_a_search_begins_below_its_most(tmp_path: Path) -> None:
    """Where no load is given to begin at, and the most is below the usual one."""
    (item,) = plan_items(scenario_of('find = "max_rate"\nslo = ["p(99)<5"]\nmax_load = 4', tmp_path))
    assert isinstance(item, SearchPlan)
    assert (item.start, item.max_load) == (4.0, 4.0)
    probe = item.stage("find-1-4", 4.0, 7.5)
    assert probe == Stage(
        name="find-1-4", phase=0, load="open", users=64, rate_rps=4.0, duration_s=7.5, shape="find",
    )  # fmt: skip


@pytest.mark.parametrize("name", shipped_scenarios())
def test_what_ships_is_planned_the_same_from_its_manifest(name: str) -> None:
    """A scenario as run.json keeps it says the same load as its file."""
    scenario = load_scenario(shipped_scenarios()[name])
    assert plan_items(from_plain(to_plain(scenario))) == plan_items(scenario)
