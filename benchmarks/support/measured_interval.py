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
    """From its making to `figures`; counts are read by the caller at both ends."""

    def __init__(self, requests: int, failures: int) -> None:
        self._requests, self._failures = requests, failures
        self._cpu, self._began = time.process_time(), time.monotonic()

    def figures(self, requests: int, failures: int) -> dict[str, Any]:
        """Return what happened since; CPU time is the whole process's, user and system."""
        return {
            "cpu_s": time.process_time() - self._cpu,
            "elapsed_s": time.monotonic() - self._began,
            "requests": requests - self._requests,
            "failures": failures - self._failures,
        }


def write(figures: dict[str, Any]) -> None:
    """Leave the figures where the benchmark looks for them."""
    Path(os.environ["COST_FILE"]).write_text(json.dumps(figures), encoding="utf-8")
