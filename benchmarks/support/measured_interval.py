"""Measure an interval of a sending process: its CPU time, its requests, its duration."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

SETTLE_S = 0.3
"""How long a sender runs before it is measured: its connections are open and its code is warm by then."""


class MeasuredInterval:
    """Begins when it is made; the caller counts requests at both ends."""

    def __init__(self, requests: int, failures: int) -> None:
        self._requests, self._failures = requests, failures
        self._cpu, self._began_ns = time.process_time(), time.monotonic_ns()

    def figures(self, requests: int, failures: int) -> dict[str, Any]:
        """Return what has happened since; CPU time is that of the whole process, user and system."""
        ended_ns = time.monotonic_ns()
        return {
            "cpu_s": time.process_time() - self._cpu,
            "elapsed_s": (ended_ns - self._began_ns) / 1e9,
            "began_ns": self._began_ns,
            "ended_ns": ended_ns,
            "requests": requests - self._requests,
            "failures": failures - self._failures,
        }


def write(figures: dict[str, Any]) -> None:
    """Write the figures to the file that the benchmark reads."""
    Path(os.environ["COST_FILE"]).write_text(json.dumps(figures), encoding="utf-8")
