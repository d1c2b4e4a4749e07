"""Measure how long the main job takes before its first request and after its last answer.

The main job sends its 400 prompts to the embedded simulated runtime, without the page. Taken from outside are the time
from the command to the first request, from the last answer to the verdict on the screen, and to the process's end; the
first and last instants are those of the run's records. Printed are the median and the least of the rounds, and the cost
of the start-up file at each start of Python. Whether a bar is met decides nothing. About half a minute.

    python benchmarks/startup.py [--rounds 5] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from support.runs import only_run, read_records
from support.setting import (
    MAIN_JOB,
    BenchmarkFailed,
    end_children_on_sigterm,
    environment,
    python_environment,
    write_json,
)

STARTS = 30
BARS = {"first_request_s": 2.0, "results_s": 1.0, "start_up_file_ms": 1.0}
_LIMIT_S = 120.0
_VERDICT = re.compile(rb"\(exit code (\d+)\)")


def main() -> None:
    """Measure and print; with --json write each round too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds must be above zero")
    end_children_on_sigterm()
    about = environment("the embedded simulated runtime")
    rounds = [_round() for _ in range(arguments.rounds)]
    result = about | {"rounds": rounds, "start_up_file_ms": _start_up_file_ms()}
    print(f"main job of {rounds[0]['requests_total']} requests; load average {about['load_average']}")
    for name, text in (
        ("first_request_s", "from the command to the first request"),
        ("results_s", "from the last answer to the verdict on the screen"),
        ("end_s", "from the last answer to the end of the process"),
    ):
        values = [found[name] for found in rounds]
        print(f"  {text}: median {median(values):.2f} s, least {min(values):.2f} s{_bar(name, median(values))}")
    least = result["start_up_file_ms"]
    print(f"  start-up file, at each start of Python: {least:.2f} ms{_bar('start_up_file_ms', least)}")
    write_json(arguments.json, result)


def _bar(name: str, value: float) -> str:
    if (bar := BARS.get(name)) is None:
        return ""
    return f" ({'met' if value <= bar else 'NOT met'}: at most {bar:g})"


def _round() -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="aether-load-") as name:
        results = Path(name) / "results"
        command = [sys.executable, "-m", "locust", "-f", str(MAIN_JOB), "--headless", "--no-page"]
        began_ns = time.monotonic_ns()
        with subprocess.Popen(
            [*command, "--results-dir", str(results)],
            env=python_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            assert process.stdout is not None
            said, verdict_ns = _read_verdict(process.stdout.fileno())
            code = process.wait(timeout=_LIMIT_S)
        ended_ns = time.monotonic_ns()
        if verdict_ns is None:
            raise BenchmarkFailed(f"exit code {code}, and no verdict: {said[-500:].decode(errors='replace')}")
        sent = read_records(only_run(results)).sent
        first_ns, last_ns = int(sent["sent_ns"].min()), int(sent["ended_ns"].max())
        return {
            "requests_total": len(sent),
            "first_request_s": (first_ns - began_ns) / 1e9,
            "results_s": (verdict_ns - last_ns) / 1e9,
            "end_s": (ended_ns - last_ns) / 1e9,
            "exit_code": code,
        }


def _read_verdict(output: int) -> tuple[bytes, int | None]:
    """Return all that is written to a pipe, and when its verdict had come."""
    said, verdict_ns = b"", None
    while part := os.read(output, 1 << 16):
        said += part
        if verdict_ns is None and _VERDICT.search(said):
            verdict_ns = time.monotonic_ns()
    return said, verdict_ns


def _start_up_file_ms() -> float:
    """Return what the start-up file costs a start of Python: the least of many."""
    costs = []
    for _ in range(STARTS):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", "-c", "pass"], capture_output=True, text=True, check=True
        )
        found = re.search(r"\|\s+(\d+) \|\s+_aether_load_startup", done.stderr)
        if found is None:
            raise BenchmarkFailed("aether-load's start-up file is not installed in this environment")
        costs.append(int(found[1]) / 1000)
    return min(costs)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkFailed as error:
        sys.exit(f"{Path(__file__).name}: {error}")
