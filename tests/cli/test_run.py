"""`aether-load run`: which Locust is started for which words, and that it runs from anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from aether_load.cli import run as command
from aether_load.cli.parser import Parser
from aether_load.cli.run import locust_command
from aether_load.errors import UsageError
from aether_load.scenario.load import shipped_file
from processes import LIMIT_S, call_command

START = [sys.executable, "-P", "-m", "aether_load.load.process"]
SHIPPED = ["-f", str(shipped_file("locustfiles", "eval.py"))]
LOCUSTS_OPTIONS = """
import json
from locust.argument_parser import get_parser

print(json.dumps({name: action.nargs == 0 for action in get_parser()._actions for name in action.option_strings}))
"""
QUIET = ["--headless", "--loglevel", "WARNING"]


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ([], [*SHIPPED, *QUIET]),
        (["smoke", "-u", "4"], [*SHIPPED, *QUIET, "--scenario", "smoke", "-u", "4"]),
        (["-u", "4", "-t30s", "smoke"], [*SHIPPED, *QUIET, "--scenario", "smoke", "-u", "4", "-t30s"]),
        (["--csv", "smoke", "eval"], [*SHIPPED, *QUIET, "--scenario", "eval", "--csv", "smoke"]),
        (["--json", "smoke"], [*SHIPPED, *QUIET, "--scenario", "smoke", "--json"]),
        (["--sequential", "smoke"], [*SHIPPED, *QUIET, "--scenario", "smoke", "--sequential"]),
        (["--processes", "-1", "smoke"], [*SHIPPED, "--headless", "--scenario", "smoke", "--processes", "-1"]),
        (["--of-my-own", "smoke"], [*SHIPPED, *QUIET, "--of-my-own", "smoke"]),
        (["--web", "smoke"], [*SHIPPED, "--scenario", "smoke"]),
        (["--worker"], [*SHIPPED, "--worker"]),
        (["-L", "DEBUG"], [*SHIPPED, "--headless", "-L", "DEBUG"]),
        (["-f", "mine.py"], [*QUIET, "-f", "mine.py"]),
        (["--locustfile=mine.py"], [*QUIET, "--locustfile=mine.py"]),
    ],
)
def test_words_become_a_locust_command(monkeypatch: pytest.MonkeyPatch, words: list[str], options: list[str]) -> None:
    """The scenario may stand anywhere, and every other word is Locust's as it is."""
    monkeypatch.delenv("LOCUST_LOGLEVEL", raising=False)
    assert locust_command(words) == [*START, *options]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["smok"], "run: no scenario 'smok' ships; there are ablation, "),
        (["eval", "smoke"], "run: eval and smoke are two scenarios"),
        (["eval", "--scenario=smoke"], "run: eval and --scenario are two scenarios"),
        (["nowhere.toml"], "run: there is no scenario nowhere.toml; `aether-load init` writes one"),
        (["mine.py"], "run: mine.py is a locustfile: give it with -f mine.py."),
    ],
)
def test_no_one_scenario_is_a_sentence(words: list[str], sentence: str) -> None:
    """Words that name no scenario, or two, start nothing."""
    with pytest.raises(UsageError) as refused:
        locust_command(words)
    assert str(refused.value).startswith(sentence)


def test_every_option_of_locust_is_known_to_take_a_value_or_none() -> None:
    """An option's value is never taken for the scenario, whichever of Locust's options it is."""
    parser = Parser(add_help=False)
    command.add_arguments(parser)
    shown = subprocess.run([sys.executable, "-c", LOCUSTS_OPTIONS], capture_output=True, text=True, check=True)
    takes_no_value = json.loads(shown.stdout)
    assert len(takes_no_value) > 50
    for option, alone in takes_no_value.items():
        words = [option] if alone else [option, "value"]
        assert command.split_scenario([*words, "smoke"], parser) == ("smoke", words), option


def test_help_has_a_line_an_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`aether-load run --help` shows every option in its group, on one line."""
    monkeypatch.setenv("COLUMNS", "110")
    with pytest.raises(SystemExit) as ended:
        call_command("run", "--help", cwd=tmp_path)
    assert ended.value.code == 0
    parser = Parser(add_help=False)
    command.add_arguments(parser)
    text = parser.format_help()
    lines = text[text.index("\nLocust:") :].splitlines()
    options = [action for action in parser._actions if action.option_strings and action.help != "==SUPPRESS=="]
    assert len([line for line in lines if line.startswith("  ")]) == len(options)
    assert [line for line in lines if line and not line.startswith(" ")] == [
        "Locust:", "Scenario and prompts:", "Target:", "Load:", "Verdict:", "Results:",
    ]  # fmt: skip


def test_a_run_starts_from_an_empty_folder(tmp_path: Path) -> None:
    """The command needs no checkout: locustfile and scenario are the installed ones, and so is the verdict's code."""
    words = ["smoke", "--no-page", "--no-self-check", "--label", "build=7", "--output", "out/ci.json", "-t", "1s"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LOCUST_")}
    finished = subprocess.run(
        [sys.executable, "-m", "aether_load", "run", *words, "--threshold", "p(95)<1"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert finished.returncode == 4, finished.stderr
    report = json.loads((tmp_path / "out" / "ci.json").read_bytes())
    assert report["run"]["labels"] == {"build": "7"}
    assert report["run"]["command"][:2] == ["locust", "-f"]
    assert (report["phases"][0]["ended_by"], report["verdict"]["status"]) == ("duration", "threshold_failed")
    # No log and no tables of Locust beside our summary.
    assert finished.stderr == ""


@pytest.mark.parametrize("word", ["--vus", "--duration", "--rate", "--iterations", "--stage", "--out"])
def test_another_tools_option_is_answered_by_ours(word: str) -> None:
    """Whoever comes from k6 is told what it is called here."""
    with pytest.raises(UsageError, match=rf"^run: there is no {word}; .+\.$"):
        locust_command([word, "10"])
