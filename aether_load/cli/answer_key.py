"""Write the right answers of a scenario's prompts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aether_load.errors import ExitCode, explained
from aether_load.scenario.command_line.scenario_options import add_scenario_options, scenario_from

DESCRIPTION = (
    "Write the right answers of a scenario's prompts as JSON lines, for aether-load simulate --answer-key FILE "
    "--accuracy P."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    add_scenario_options(parser, "eval")
    parser.add_argument("--output", "-o", type=Path, metavar="FILE", help="where to (default: -, standard output)")


def run(parsed: argparse.Namespace) -> int:
    """Load the prompts and write their answers."""
    from aether_load.datasets.answer_key import write_answer_key  # noqa: PLC0415 -- the datasets' libraries
    from aether_load.outputs.output_path import is_standard_output  # noqa: PLC0415
    from aether_load.schedule.scenario_prompts import load_scenario_prompts  # noqa: PLC0415

    scenario = scenario_from(parsed)
    loaded = load_scenario_prompts(scenario)
    prompts = list({prompt.id: prompt for prompt in loaded.of_datasets}.values())
    if parsed.output is None or is_standard_output(parsed.output):
        write_answer_key(prompts, sys.stdout.buffer)
        return int(ExitCode.PASSED)
    with explained(f"--output {parsed.output}: cannot be written: "), parsed.output.open("wb") as out:
        written = write_answer_key(prompts, out)
    print(f"{written} answers written to {parsed.output}")
    return int(ExitCode.PASSED)
