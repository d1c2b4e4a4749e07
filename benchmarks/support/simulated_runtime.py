"""Run a simulated runtime that keeps a record of what it did."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
from support.setting import BenchmarkFailed, pinned, python_environment


@dataclass(frozen=True)
class Runtime:
    """A running simulated runtime, and the file of its record."""

    url: str
    process: psutil.Process
    record: Path

    def summary(self) -> dict[str, Any]:
        """Return the record's totals so far."""
        with urllib.request.urlopen(f"{self.url}/_sim/record?summary=true", timeout=10) as answer:
            totals: dict[str, Any] = json.load(answer)
        return totals

    def order(self, fault: dict[str, object]) -> None:
        """Order a fault that it is to make."""
        request = urllib.request.Request(f"{self.url}/_sim/faults", json.dumps(fault).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            answer.read()

    def cpu_s(self) -> float:
        """Return the CPU time that it has used so far."""
        times = self.process.cpu_times()
        return times.user + times.system


@contextmanager
def simulated_runtime(folder: Path, core: int, *options: str) -> Iterator[Runtime]:
    """Run a simulated runtime pinned to `core` that records into the new `folder`, and end it."""
    folder.mkdir()
    record = folder / "record.jsonl"
    flags = ["--port", "0", "--control", "--record", str(record), *options]
    command = [sys.executable, "-m", "aether_load", "simulate", *flags]
    with pinned(core):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=python_environment())
    try:
        assert process.stdout is not None
        words = process.stdout.readline().decode().split()
        if not words:
            raise BenchmarkFailed(f"the simulated runtime did not start: {' '.join(command)}")
        yield Runtime(words[-1], psutil.Process(process.pid), record)
    finally:
        process.kill()
        process.wait()
