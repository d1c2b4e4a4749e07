"""Print a script that completes the command in a shell."""

from __future__ import annotations

import argparse
import sys

from aether_load.cli.main import COMMANDS, build_parser
from aether_load.errors import ExitCode
from aether_load.scenario.load import shipped_scenarios

DESCRIPTION = (
    "Print a script that completes commands, options and scenarios: bash: source <(aether-load completion bash); zsh: "
    "aether-load completion zsh > a folder of $fpath, as _aether-load; fish: aether-load completion fish | source."
)
_FILES = (
    "output", "markdown", "junit", "dag_file", "program", "candidate_program", "record", "answer_key", "locustfile",
    "html", "claims", "latex",
)  # fmt: skip
_FOLDERS = ("results_dir", "dataset_dir", "folder", "folders", "runtime_checkout", "report")
_SCENARIOS = ("scenario", "scenario_name", "words")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that reads the script")


def run(parsed: argparse.Namespace) -> int:
    """Print the script of the shell."""
    import shtab  # noqa: PLC0415 -- only for this command

    parser = build_parser(list(COMMANDS))
    names = " ".join(shipped_scenarios())
    scenarios = {"bash": "_aether_load_scenarios", "zsh": f"(({names}))", "fish": f"({_FISH.format(names=names)})"}
    completers = (
        dict.fromkeys(_FILES, shtab.FILE) | dict.fromkeys(_FOLDERS, shtab.DIR) | dict.fromkeys(_SCENARIOS, scenarios)
    )
    for action in _actions(parser):
        if action.dest in completers:
            action.complete = completers[action.dest]  # type: ignore[attr-defined] # shtab reads it
    preamble = _BASH.format(names=names) if parsed.shell == "bash" else ""
    sys.stdout.write(shtab.complete(parser, parsed.shell, preamble=preamble) + "\n")
    return int(ExitCode.PASSED)


_BASH = """\
_aether_load_scenarios() {{
  compgen -W "{names}" -- "$1"
  compgen -f -X '!*.toml' -- "$1"
}}
"""
_FISH = "string split ' ' '{names}'; __fish_complete_suffix .toml"


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """Return every action of a parser and of the parsers of its commands."""
    found: list[argparse.Action] = []
    for action in parser._actions:  # noqa: SLF001 -- argparse has no public list of its options
        found.append(action)
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 -- and its commands neither
            for name, command in action.choices.items():
                command.description = COMMANDS[name]  # One line, for shells that show it.
                found += _actions(command)
    return found
