"""What docs/thresholds.md says of thresholds is so."""

import re
from pathlib import Path

import pytest

from aether_load.analysis.statistics.distribution import wilson
from aether_load.analysis.verdict.conditions import metric_in
from aether_load.observer.threshold_watch import CONFIDENCE
from aether_load.scenario.load import load_scenario, shipped_scenarios
from aether_load.scenario.metrics import AGGREGATIONS, METRICS, find_metric
from aether_load.scenario.threshold import parse_threshold
from aether_load.schedule.plan_text import plan_text
from processes import REPOSITORY

DOCS = (REPOSITORY / "docs" / "thresholds.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", DOCS, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_a_scenario_that_a_run_can_answer(tmp_path: Path, block: str) -> None:
    """As it stands; --dry-run shows each of its thresholds."""
    (tmp_path / "mine.toml").write_text(block)
    scenario = load_scenario(tmp_path / "mine.toml")
    assert scenario.thresholds
    assert [line for line in plan_text(scenario).splitlines() if line.startswith("  threshold ")] == [
        f"  threshold {plan.condition}"
        + (
            f"; ends the run when it is broken, from {plan.delay_abort_eval:g} s of a window on"
            if plan.abort_on_fail
            else ""
        )
        for plan in scenario.thresholds
    ]


def test_every_name_that_is_named_is_a_number() -> None:
    """In the table, with its aggregation where it has one; in the text, the shares that have an interval."""
    table = DOCS[DOCS.index("| what | names |") : DOCS.index("Lists (series")]
    named = re.findall(r"`([a-z][\w.]*(?::p\(\d+\))?)`", table)
    assert len(named) > 15
    for name in named:
        plain = name.split(":")[0]
        assert find_metric(plain) is not None
        if ":" in name:
            metric_in(parse_threshold(f"{name}<1"))
    match = re.search(r"\| shares \((.*?)\) \|", DOCS)
    assert match is not None
    with_interval = match[1]
    assert set(re.findall(r"`(\w+)`", with_interval)) == {
        metric.name for metric in METRICS.values() if metric.form == "share"
    }


def test_every_aggregation_is_named() -> None:
    """And an operator each."""
    grammar = DOCS[DOCS.index("## Grammar") : DOCS.index("| what | names |")]
    assert set(AGGREGATIONS) <= set(re.findall(r"`(\w+)`", grammar))
    assert all(f"`{sign}`" in grammar for sign in ("<", "<=", ">", ">=", "==", "!="))


def test_the_figures_of_the_text_are_those_of_the_code() -> None:
    """What 400 samples without a failure show, and what a look costs."""
    of_400, of_100 = wilson(0, 400), wilson(0, 100)
    assert of_400 is not None
    assert of_100 is not None
    assert f"ends at {of_400.high:.4f}" in DOCS
    assert of_400.high < 0.01 < of_100.high
    assert f"{CONFIDENCE:.1%} interval".replace("%", " %") in DOCS


def test_no_scenario_ships_with_a_threshold() -> None:
    """What a machine can do is not known beforehand."""
    assert [name for name, path in shipped_scenarios().items() if load_scenario(path).thresholds] == []
