"""What a gate drives of a scenario, and which scenarios and numbers it refuses."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aether_load.errors import UsageError
from aether_load.scenario.gate_plan import GatePlan, gate_plan_mistake, gate_scenario
from aether_load.scenario.load import find_scenario, load_scenario
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import plan_stages

TOO_FEW = "--pairs 20: from 21 to 1000 are possible: the first pair is dropped, and fewer than 20 decide nothing."
PLAN = GatePlan(base="http://127.0.0.1:1", candidate="http://127.0.0.1:2", pairs=21, window_s=2.0)


def scenario(tmp_path: Path, phases: str, head: str = "") -> Scenario:
    path = tmp_path / "mine.toml"
    path.write_text(head + "\n[workload]\ndatasets = ['piqa', 'hellaswag']\n" + phases)
    return load_scenario(path)


def test_windows_follow_each_other_in_the_order_abba() -> None:
    """Base and candidate in turn, the first of each pair changing."""
    driven = gate_scenario(load_scenario(find_scenario("gate")), PLAN)
    stages = plan_stages(driven)
    assert [stage.name for stage in stages[:6]] == [
        "base#1", "candidate#1", "candidate#2", "base#2", "base#3", "candidate#3",
    ]  # fmt: skip
    assert len(stages) == 42
    assert {(stage.users, stage.duration_s, stage.passes, stage.unique_prompts) for stage in stages} == {
        (8, 2.0, None, True)
    }
    assert {stage.name.split("#")[0]: stage.phase for stage in stages} == {"base": 0, "candidate": 1}


def test_an_end_and_a_ramp_of_the_phase_give_way_to_the_window(tmp_path: Path) -> None:
    """What is left of a phase is its load, its warm-up and its cache."""
    phase = '[[phases]]\nusers = 4\nspawn_rate = 1\npasses = 3\nwarmup = "1s"\ncache = "cold"\n'
    stage = plan_stages(gate_scenario(scenario(tmp_path, phase), PLAN))[0]
    assert (stage.users, stage.spawn_rate, stage.passes, stage.warmup_s, stage.cache) == (4, None, None, 1.0, "cold")


def test_a_ramps_goal_is_the_load(tmp_path: Path) -> None:
    """A phase that climbs to its load is gated at that load."""
    phase = '[[phases]]\nduration = "9s"\nramp = {from = 1, to = 6, over = "2s"}\n'
    stage = plan_stages(gate_scenario(scenario(tmp_path, phase), PLAN))[0]
    assert (stage.users, stage.ramp_over_s) == (6, 0.0)


def test_the_phase_is_named_where_there_are_several(tmp_path: Path) -> None:
    """Which load is meant is asked for, not guessed."""
    phases = '[[phases]]\nname = "a"\nduration = "1s"\n[[phases]]\nname = "b"\nduration = "1s"\nusers = 3\n'
    mine = scenario(tmp_path, phases)
    with pytest.raises(UsageError, match=r"has the phases a, b; say with --phase whose load the gate sends"):
        gate_scenario(mine, PLAN)
    with pytest.raises(UsageError, match=r"--phase c: scenario mine has no such phase; there are a, b"):
        gate_scenario(mine, msgspec.structs.replace(PLAN, phase="c"))
    assert gate_scenario(mine, msgspec.structs.replace(PLAN, phase="b")).phases[0].users == 3


@pytest.mark.parametrize(
    ("phase", "metrics", "sentence"),
    [
        ("users = 4", ["arc:accuracy"], "--metric arc:accuracy: the scenario sends no dataset 'arc'; there are piqa"),
        ("users = 4", ["goodput_rps"], "--metric goodput_rps: the scenario states no goodput_slo"),
        ("rate = 50", ["ok_throughput_rps"], "in open load ok_throughput_rps is the rate that was asked for"),
        ("sweep = [1, 2]", ["p(95)"], "a gate sends one steady load, and this phase is a sweep"),
    ],
)
def test_what_cannot_be_compared_is_refused(tmp_path: Path, phase: str, metrics: list[str], sentence: str) -> None:
    """Before anything is sent, with what to do."""
    mine = scenario(tmp_path, f'[[phases]]\nduration = "5s"\n{phase}\n')
    with pytest.raises(UsageError, match=r".") as refused:
        gate_scenario(mine, msgspec.structs.replace(PLAN, metrics=tuple(metrics)))
    assert sentence in str(refused.value)


def test_metrics_of_one_runtime_do_not_go_with_two(tmp_path: Path) -> None:
    """target.server_metrics_url cannot be both sides'."""
    mine = scenario(
        tmp_path, '[[phases]]\nduration = "5s"\n[target]\nserver_metrics_url = "http://127.0.0.1:9/metrics"\n'
    )
    with pytest.raises(UsageError, match=r"target\.server_metrics_url is of one runtime, and a gate has two"):
        gate_scenario(mine, PLAN)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pairs": 20}, TOO_FEW),
        ({"window_s": 0.01}, "--window 0.01s: from 0.02s to 600s are possible."),
        ({"margin": 0.5}, "--margin 0.5: a share between 0 and 0.5: half of the loss that must be caught."),
        ({"confidence": 1.0}, "--confidence 1: from 0.5 to below 1 is possible."),
        ({"metrics": ("p(95)", "p(95)")}, "--metric p(95): a metric is named twice."),
        ({"margin": float("nan")}, "--margin nan: a share between 0 and 0.5: half of the loss that must be caught."),
    ],
)  # fmt: skip
def test_numbers_that_decide_nothing_are_refused(change: dict[str, Any], sentence: str) -> None:
    """One sentence with option and value."""
    assert gate_plan_mistake(PLAN) is None
    assert gate_plan_mistake(msgspec.structs.replace(PLAN, **change)) == sentence
