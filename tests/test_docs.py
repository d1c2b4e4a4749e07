"""What is written is so: the README's commands, options, scenario and exit codes."""

import argparse
import re
import subprocess
import sys

import msgspec
import pytest

from aether_load.errors import ExitCode
from aether_load.evaluation.options import StubOptions
from aether_load.load.options import add_options
from aether_load.rundata.samples_arrow import SCHEMA
from aether_load.scenario.load import load_scenario, shipped_scenarios
from processes import EVAL, REPOSITORY, run_command

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def code_blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def locust_help():
    command = [sys.executable, "-m", "locust", "-f", str(EVAL), "--help"]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def our_options():
    """The options that the harness adds; Locust's own --help does not load a locustfile to show them."""
    parser = argparse.ArgumentParser(add_help=False)
    add_options(parser, "eval")
    shown = (action for action in parser._actions if action.help != argparse.SUPPRESS)
    return {option for action in shown for option in action.option_strings}


def help_of(command):
    return run_command(command, "--help", cwd=REPOSITORY).stdout


def test_every_option_that_is_named_exists(locust_help, our_options):
    """Each long option in the README is one of Locust's, of ours, or of the tools named beside it."""
    known = our_options | set(
        re.findall(r"--[a-z][a-z-]+", locust_help + "".join(map(help_of, ("simulate", "report", "compare", "gate"))))
    )
    # The options of lm-eval are held against lm-eval, where that is installed.
    begin = README.index("## Evaluation with lm-eval")
    ours = README[:begin] + README[README.index("\n## ", begin) :]
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours))
    assert named - known == set()


def test_every_option_of_ours_is_in_the_table(our_options):
    """What the harness adds to Locust's command line is explained."""
    table = set(re.findall(r"^\| `(--[a-z-]+)", README, re.MULTILINE))
    assert len(our_options) > 5
    assert our_options - table == set()


def test_the_scenarios_in_the_readme_are_valid(tmp_path):
    """The scenario on one screen and the fragment for one's own data are read as they stand."""
    whole = next(block for block in code_blocks("toml") if "[[phases]]" in block)
    own = next(block for block in code_blocks("toml") if "workload.files" in block)
    (tmp_path / "whole.toml").write_text(whole)
    (tmp_path / "own.toml").write_text(own + "\n[[phases]]\npasses = 1\n")
    scenario = load_scenario(tmp_path / "whole.toml")
    assert (scenario.name, scenario.phases[0].duration, scenario.phases[0].users) == ("evening", 300.0, 16)
    assert load_scenario(tmp_path / "own.toml").workload.files["support"].answer_is == "text"


def test_the_exit_codes_are_those_of_the_code():
    """The table lists each exit code once."""
    table = README[README.index("## Exit codes") :]
    listed = [int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)]
    assert listed == [2, 3, 1, 4, 5, 130, 0]
    assert set(listed) == {int(code) for code in ExitCode}


def test_the_commands_of_the_first_screen_are_the_ones_ci_runs():
    """The two commands stand in the README on a line each, where .ci/run finds them."""
    ci = (REPOSITORY / ".ci" / "run").read_text()
    for ending in ("&& locust -f locustfiles/eval.py --headless", "&& pytest"):
        assert f"readme_command '{ending}'" in ci
        assert len([line for line in README.splitlines() if line.startswith("python3 -m venv") and ending in line]) == 1


def test_shipped_scenarios_are_named_in_the_readme():
    """Each scenario that ships is mentioned by name."""
    assert all(f"`{name}`" in README for name in shipped_scenarios())


def test_the_number_of_sample_columns_is_right():
    """The README says how many columns a sample has."""
    assert f"{len(SCHEMA)} columns" in README


@pytest.mark.parametrize("target", re.findall(r"\]\((?!http)([^)#]+)\)", README))
def test_every_link_leads_somewhere(target):
    """Relative links lead to files of the project."""
    assert (REPOSITORY / target).exists()


def test_every_argument_of_the_model_is_in_the_readme():
    """What --model_args takes stands in the section on evaluation, and nothing else does."""
    (line,) = [line for line in README.splitlines() if line.startswith("`--model_args` takes ")]
    listed = set(re.findall(r"`([a-z_]+)`", line))
    assert listed == {field.name for field in msgspec.structs.fields(StubOptions)}


def test_ci_runs_evaluations_in_an_environment_of_their_own():
    """The extra is installed apart, so that nothing here comes to need it."""
    ci = (REPOSITORY / ".ci" / "run").read_text()
    assert ".venv-lm-eval/bin/pip install --quiet --editable '.[test,lm-eval]'" in ci
    assert "tests/with_lm_eval" in ci
