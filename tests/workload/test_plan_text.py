"""A scenario's plan in words, as --dry-run prints it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aether_load.scenario.load import load_scenario, shipped_scenarios
from aether_load.schedule.plan_text import plan_text

SCENARIO = """
name = "evening"
purpose = "All there is."
repeat = 2

[[phases]]
name = "ramp"
users = 4
ramp = {from = 0, over = "2s"}
warmup = "1s"
think_time = "500ms"
duration = "1m"
requests = 100

[[phases]]
name = "one"
users = 1
spawn_rate = 2
passes = 2
cache = "cold"
sequential = true

[[phases]]
name = "none"

[[phases]]
load_unit = "rate"
steps = [10, 2.5]
duration = "5s"
arrivals = "constant"
unique_prompts = true

[[phases]]
trace = {path = "t.csv"}
"""

STAGES = """\
  ramp#1: 4 users, thinking 0.5 s (constant); from 0 in 2 s; warm-up 1 s; window of 60 s, or of 100 requests
  one#1: 1 user; started at 2/s; window of each prompt 2 times; cold cache; sequential
  none#1: 8 users; window until stopped
  steps-10#1: 10 requests/s (constant), at most 100 in flight; window of 5 s; unique prompts
  steps-2.5#1: 2.5 requests/s (constant), at most 100 in flight; window of 5 s; unique prompts  (no rest before it)
  trace#1: a recorded trace, at most 256 in flight; window of the whole trace
"""


def test_a_line_a_stage_in_the_order_in_which_they_are_driven(tmp_path: Path) -> None:
    """What each stage's load is, what leads to it, what ends it, and in which state."""
    (tmp_path / "own.toml").write_text(SCENARIO)
    text = plan_text(load_scenario(tmp_path / "own.toml"))
    assert text == "evening: All there is.\n" + STAGES + STAGES.replace("#1", "#2")


def test_a_search_is_told_by_its_rules(tmp_path: Path) -> None:
    """Its loads follow from each other, so that only the ramp is known."""
    (tmp_path / "own.toml").write_text(
        '[[phases]]\nfind = "max_rate"\nrate = 20\nmax_load = 100\nslo = ["p(99)<500", "error_rate<0.01"]\n'
    )
    assert plan_text(load_scenario(tmp_path / "own.toml")) == (
        "own\n"
        "  find: search for the largest load under which p(99)<500 and error_rate<0.01\n"
        "    doubling: 20, 40, 80, 100 requests/s, until one does not hold\n"
        "    bisection until the two are within 10%, then both are probed again to confirm them\n"
        "    each probe has 1000 requests if it can, in 5 to 60 s (the first 50 s)\n"
        "    all of it within 900 s\n"
    )


@pytest.mark.parametrize("name", shipped_scenarios())
def test_the_plans_of_what_ships(name: str) -> None:
    """Each is a purpose and at least a line."""
    first, *lines = plan_text(load_scenario(shipped_scenarios()[name])).splitlines()
    assert first.startswith(f"{name}: ")
    assert len(lines) >= 1
