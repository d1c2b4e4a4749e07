from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from aether_load.simulator.cli import add_arguments
from aether_load.simulator.engine.latency import parse_latency
from aether_load.simulator.fault_kinds import AnyFault, parse_fault, read_faults
from aether_load.simulator.record import Entry

PAGE_PATH = Path(__file__).parents[2] / "docs" / "simulator.md"
PAGE = PAGE_PATH.read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def test_every_option_is_documented_and_every_documented_option_exists() -> None:
    """The table of options holds exactly the command's."""
    parser = argparse.ArgumentParser(add_help=False)
    add_arguments(parser)
    options = {name for action in parser._actions for name in action.option_strings}
    assert set(re.findall(r"(?<=`)--[a-z-]+", section("Options"))) == options


def test_the_faults_of_the_page_are_faults() -> None:
    """Every JSON example is an order that is taken, and every kind and setting is on the page."""
    examples = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert [len(read_faults(example.encode())) for example in examples] == [2, 1, 1]
    for kind in get_args(AnyFault):
        config = kind.__struct_config__
        (row,) = re.findall(rf"^\| `{config.tag}` \|.*$", section("Faults"), re.MULTILINE)
        settings = set(kind.__struct_encode_fields__) - {"after", "share", "count", "path"}
        for setting in settings - ({"for"} if config.tag != "stall" else set()):
            assert f"`{setting}`" in row
        assert parse_fault(config.tag) == kind()


def test_the_latencies_of_the_page_are_latencies() -> None:
    """Every latency of the table is read."""
    texts = re.findall(r"^\| `(\w+:[^`]+)` \|", section("Time"), re.MULTILINE)
    assert [parse_latency(text).kind for text in texts if text != "trace:FILE"] == [
        "constant",
        "uniform",
        "normal",
        "lognormal",
    ]


def test_the_fields_of_the_record_are_on_the_page() -> None:
    """Every field of an entry has its row."""
    rows = re.findall(r"^\| (`.*?) \|", section("The record"), re.MULTILINE)
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == [
        "sequence",
        "arrival_ns",
        "start_ns",
        "end_ns",
        "start_utc_ns",
        *Entry.__struct_fields__[5:],
    ]


@pytest.mark.slow
def test_the_benchmark_finds_the_simulator_fast_enough(tmp_path: Path) -> None:
    """The benchmark ends with 0 above the bar, and writes what it prints."""
    program = PAGE_PATH.parents[1] / "benchmarks" / "simulator.py"
    path = tmp_path / "figures.json"
    command = [sys.executable, str(program), "--seconds", "1", "--json", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    figures = json.loads(path.read_text())["figures"]
    assert [(row["generation"], row["cached"]) for row in figures] == [("v2", False), ("v2", True), ("v1", False)]
    assert min(row["requests_per_core_second"] for row in figures) >= 5000
