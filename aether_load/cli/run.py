"""Run a load with Locust and the shipped locustfile, from any folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aether_load.cli.parser import Parser
from aether_load.errors import UsageError
from aether_load.scenario.command_line.run_options import add_run_options
from aether_load.scenario.load import SENDER, shipped_file, shipped_scenarios

DESCRIPTION = (
    "Run a load and judge it. Locust sends it: each of Locust's own options may be given too, and `locust --help` "
    "lists them. Without --host a simulated runtime is started for the run."
)
USAGE = "aether-load run [SCENARIO] [--host URL] [-u N] [-t TIME] [options]"

_LOCUST_FLAGS = {
    "-h", "--help", "-l", "--list", "--headless", "--autostart", "--headful", "--web-login", "--class-picker",
    "--legacy-ui", "--enable-rebalancing", "--expect-slaves", "--slave", "--csv-full-history", "--print-stats",
    "--only-summary", "--reset-stats", "--json", "--skip-log-setup", "--show-task-ratio", "--show-task-ratio-json",
    "-V", "--version", "--equal-weights", "--otel",
}  # fmt: skip
"""Options of Locust that take no value, beside those that the command's own help lists."""
_ELSEWHERE = {
    "--vus": "users are -u N, as in -u 16",
    "--duration": "the length of the window is -t TIME, as in -t 1m",
    "--rate": "a rate is a key of a scenario: aether-load run open --set phases.0.rate=50",
    "--iterations": "requests in all are a key of a scenario: --set phases.0.requests=1000",
    "--stage": "stages are keys of a scenario, such as steps or ramp: see the page on loads",
    "--out": "the report goes to a file with --output PATH",
    "--junit": "each run writes junit.xml into its own folder; aether-load report latest --format junit prints it",
    "--junit-file": "each run writes junit.xml into its own folder; aether-load report latest --format junit prints it",
}
"""What other tools call an option, and how it is given here."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser: Locust's most used ones and all of ours."""
    parser.usage = USAGE
    parser.add_argument(
        "scenario_name",
        metavar="SCENARIO",
        nargs="?",
        help="a shipped scenario (see `aether-load scenarios`) or a TOML file (default: eval)",
    )
    group = parser.add_argument_group("Locust")
    group.add_argument("-H", "--host", metavar="URL", help="the runtime, e.g. http://localhost:3000")
    group.add_argument("-u", "--users", metavar="N", help="users of a closed load")
    group.add_argument("-r", "--spawn-rate", metavar="N", help="users started a second (default: all at once)")
    group.add_argument("-t", "--run-time", metavar="TIME", help="length of the measured window, e.g. 30s, 5m")
    group.add_argument("--web", action="store_true", help="open Locust's page on http://127.0.0.1:8089 and wait there")
    group.add_argument("-f", "--locustfile", metavar="FILE", help="your own locustfile in place of the shipped one")
    group.add_argument("--processes", metavar="N", help="send from N processes of this machine; -1: one a core")
    group.add_argument("--master", action="store_true", help="lead workers that run on other machines")
    group.add_argument("--worker", action="store_true", help="send for a master")
    group.add_argument("--master-host", metavar="HOST", help="where a worker finds its master")
    group.add_argument("--expect-workers", metavar="N", help="workers that a master waits for")
    group.add_argument("--web-host", metavar="IP", help="address of Locust's page (default: 127.0.0.1)")
    group.add_argument("-P", "--web-port", metavar="PORT", help="port of Locust's page (default: 8089)")
    group.add_argument("-s", "--stop-timeout", metavar="S", help="seconds for answers in flight after Ctrl-C")
    group.add_argument("-L", "--loglevel", metavar="LEVEL", help="of Locust's log (default: WARNING)")
    group.add_argument("--csv", metavar="PREFIX", help="write Locust's own statistics as CSV too")
    group.add_argument("--html", metavar="FILE", help="write Locust's own report too")
    add_run_options(parser, "eval")


def run(words: Sequence[str]) -> int:
    """Replace this process by the Locust that runs the load, which unblocks the signals that the caller blocked."""
    command = locust_command(words)
    sys.stdout.flush()
    sys.stderr.flush()
    os.execv(command[0], command)  # noqa: S606 -- one process: its signals and exit code are the run's


def locust_command(words: Sequence[str]) -> list[str]:
    """Return the command that runs the load; raises UsageError for words that name no one scenario."""
    parser = Parser(prog="aether-load run", add_help=False)
    add_arguments(parser)
    scenario, options = split_scenario(words, parser)
    given = {_name(word) for word in options if word.startswith("-")}
    for name, words_here in _ELSEWHERE.items():
        if name in given:
            raise UsageError(f"run: there is no {name}; {words_here}.")
    # Without -P the folder that the command was started in would come before the installed packages.
    command = [sys.executable, "-P", "-m", SENDER]
    if not given & {"-f", "--locustfile"}:
        command += ["-f", str(shipped_file("locustfiles", "eval.py"))]
    if "--web" not in given and not given & {"--worker", "--autostart", "--headful", "--headless"}:
        command.append("--headless")
        alone = not given & {"--master", "--processes"}
        if alone and not given & {"-L", "--loglevel"} and "LOCUST_LOGLEVEL" not in os.environ:
            command += ["--loglevel", "WARNING"]
    if scenario is not None:
        command += ["--scenario", scenario]
    return [*command, *(word for word in options if word != "--web")]


def split_scenario(words: Sequence[str], parser: argparse.ArgumentParser) -> tuple[str | None, list[str]]:
    """Return the scenario among the words, if there is one, and all other words, which are Locust's."""
    known = parser._option_string_actions  # noqa: SLF001 -- argparse has no public list of its options
    scenario, options, is_value = None, [], False
    for word in words:
        if is_value or word.startswith("-"):
            options.append(word)
            action = None if is_value else known.get(word)
            is_flag = action.nargs == 0 if action is not None else word in _LOCUST_FLAGS
            is_value = not is_value and not is_flag and _name(word) == word
            continue
        if scenario is not None:
            raise UsageError(f"run: {scenario} and {word} are two scenarios; a run has one.")
        if word.endswith(".py"):
            raise UsageError(f"run: {word} is a locustfile: give it with -f {word}.")
        scenario = word
    if scenario is not None and "--scenario" in map(_name, options):
        raise UsageError(f"run: {scenario} and --scenario are two scenarios; a run has one.")
    if scenario is not None and not scenario.endswith(".toml") and scenario not in shipped_scenarios():
        raise UsageError(
            f"run: no scenario {scenario!r} ships; there are {', '.join(shipped_scenarios())}. A file of your own is "
            "given by its path, ending in .toml."
        )
    if scenario is not None and scenario.endswith(".toml") and not Path(scenario).is_file():
        raise UsageError(f"run: there is no scenario {scenario}; `aether-load init` writes one to start from.")
    return scenario, options


def _name(word: str) -> str:
    """Return an option without a value that is written into the same word: --limit=2, -u8."""
    if word.startswith("--"):
        return word.partition("=")[0]
    return word[:2]
