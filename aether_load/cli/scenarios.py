"""List the scenarios that ship, or show one as resolved."""

from __future__ import annotations

import argparse

from aether_load.errors import ExitCode, UsageError
from aether_load.scenario.command_line.scenario_options import add_scenario_options, scenario_from
from aether_load.scenario.load import load_scenario, shipped_scenarios, to_plain
from aether_load.scenario.toml_text import toml_text
from aether_load.text import json_document, terminal_text

DESCRIPTION = "List the scenarios that ship, or show one with every default filled in."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("words", nargs="*", metavar="show NAME|PATH", help="show this one as JSON")
    parser.add_argument("--toml", action="store_true", help="show it as TOML, as a file for --scenario")
    add_scenario_options(parser, "eval")


def run(parsed: argparse.Namespace) -> int:
    """Print the list or the one scenario."""
    words = parsed.words[1:] if parsed.words[:1] == ["show"] else parsed.words
    if len(words) > 1 or (parsed.words and not words):
        raise UsageError(f"scenarios {' '.join(parsed.words)}: say which one, as in: aether-load scenarios show eval")
    if parsed.toml and not words:
        raise UsageError("--toml: say which scenario, as in: aether-load scenarios show eval --toml")
    if not words:
        for name, path in shipped_scenarios().items():
            print(f"{name:22} {terminal_text(load_scenario(path).purpose)}")
    else:
        parsed.scenario = words[0]
        scenario = scenario_from(parsed)
        if parsed.toml:
            print(toml_text(scenario), end="")
            return int(ExitCode.PASSED)
        print(json_document(to_plain(scenario)), end="")
    return int(ExitCode.PASSED)
