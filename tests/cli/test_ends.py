"""Which end a phase has: whatever the command line says of it wins over the scenario, and the plan says so."""

import argparse
from pathlib import Path

import pytest

from aether_load.errors import UsageError
from aether_load.load.options import add_options, ends_by_itself, plan_of, planned_scenario
from aether_load.scenario.duration import Seconds

SCENARIO = "name = 'mine'\n[[phases]]\nusers = 2\nduration = '5m'\npasses = 3\n"


def options_of(tmp_path: Path, *words: str) -> argparse.Namespace:
    (tmp_path / "mine.toml").write_text(SCENARIO)
    parser = argparse.ArgumentParser()
    parser.add_argument("-u", dest="num_users", type=int)
    parser.add_argument("-r", dest="spawn_rate", type=float)
    parser.add_argument("-t", dest="run_time", type=float)
    add_options(parser, "eval")
    return parser.parse_args(["--scenario", str(tmp_path / "mine.toml"), *words])


@pytest.mark.parametrize(
    ("words", "ends", "note"),
    [
        ((), (300, None, 3), None),
        (("-u", "4"), (300, None, 3), None),
        (("-t", "30"), (30, None, None), "duration = 30 s from the command line instead of the scenario's passes = 3"),
        (
            ("--set", "phases.0.passes=1"),
            (None, None, 1),
            "passes = 1 from the command line instead of the scenario's duration = 300 s",
        ),
        (
            ("--set", "phases.0.requests=9"),
            (None, 9, None),
            "requests = 9 from the command line instead of the scenario's duration = 300 s and passes = 3",
        ),
        (
            ("-t", "30", "--set", "phases.0.requests=9"),
            (30, 9, None),
            "duration = 30 s and requests = 9 from the command line instead of the scenario's passes = 3",
        ),
        (("--set", "phases.0.passes=2", "--set", "phases.0.duration='9s'"), (9, None, 2), None),
    ],
)
def test_the_command_line_wins(
    tmp_path: Path, words: tuple[str, ...], ends: tuple[int | None, int | None, int | None], note: str | None
) -> None:
    """An end that is given takes the place of those that are not; several that are given are all kept."""
    options = options_of(tmp_path, *words)
    scenario = planned_scenario(options)
    (phase,) = scenario.phases
    assert (phase.duration, phase.requests, phase.passes) == ends
    said = [line.strip() for line in plan_of(scenario, options).splitlines() if "from the command line" in line]
    assert said == ([] if note is None else [f"phase closed: {note}"])
    assert ends_by_itself(options) == any(word != "-u" and word.startswith("-") for word in words)


def test_labels_are_the_scenarios_and_the_command_lines(tmp_path: Path) -> None:
    """A label of the command line replaces one of the same key."""
    options = options_of(tmp_path, "--set", "labels.build='1'", "--set", "labels.host='a'", "--label", "build=2=3")
    assert planned_scenario(options).labels == {"build": "2=3", "host": "a"}


def purpose(tmp_path: Path, *words: str) -> str:
    return planned_scenario(options_of(tmp_path, "--scenario", "eval", *words)).purpose


@pytest.mark.parametrize("words", [[], ["--seed", "7"], ["--label", "build=2"], ["--threshold", "p(95)<500"]])
def test_a_purpose_stands_while_it_is_true(tmp_path: Path, words: list[str]) -> None:
    """What changes neither the load nor the requests leaves it."""
    assert purpose(tmp_path, *words).startswith("Each bundled prompt once, by 8 users")


@pytest.mark.parametrize("words", ["-u 32", "-t 120", "--dataset piqa", "--limit 5", "--sequential"])
def test_a_purpose_that_is_true_no_more_is_left_out(tmp_path: Path, words: str) -> None:
    """It speaks of a load, or of requests, that are not sent."""
    assert purpose(tmp_path, *words.split()) == ""


def test_a_purpose_of_ones_own_stands(tmp_path: Path) -> None:
    """Whoever gives one knows what is sent."""
    assert purpose(tmp_path, "-u", "32", "--set", "purpose=Mine.") == "Mine."


def test_a_run_time_is_the_window_of_an_open_load_too(tmp_path: Path) -> None:
    """`run open -t 6s` asks for nothing that is unclear; a number of users there is."""
    (phase,) = planned_scenario(options_of(tmp_path, "--scenario", "open", "-t", "6")).phases
    assert (phase.rate, phase.duration) == (100, Seconds(6))
    with pytest.raises(UsageError, match=r"^-u, -t: scenario open is more than a number of users for a time;"):
        planned_scenario(options_of(tmp_path, "--scenario", "open", "-t", "6", "-u", "8"))
