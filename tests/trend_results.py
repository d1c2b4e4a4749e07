"""Results folders with a summary of many nights, for tests of the trend."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from aether_load.outputs.summary import SUMMARY_COLUMNS

FIRST = datetime(2026, 3, 4, 2, 0, tzinfo=UTC)
MACHINE = "AMD EPYC 7R13, 8 cores, 32 GiB"


def commit(night: int) -> str:
    return f"{night:04d}{'a' * 36}"


def night(number: int, p95_ms: float, **more: Any) -> dict[str, Any]:
    """A row of the summary: a phase's p95, with an interval of 2 % on both sides."""
    row = {
        "time": (FIRST + timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "commit": commit(number), "branch": "nightly/closed/all/runtime-v2", "run_id": f"run-{number:04d}",
        "scenario": "nightly", "phase": "closed", "dataset": "all", "target_kind": "runtime", "generation": "v2",
        "machine": MACHINE, "response_latency_p95_ms": p95_ms, "response_latency_p95_low_ms": 0.98 * p95_ms,
        "response_latency_p95_high_ms": 1.02 * p95_ms, "response_latency_p95_reliability": "ok", "run_exit_code": 0,
    }  # fmt: skip
    return row | more


def write_nights(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write the rows as the summary of a results folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "summary.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, SUMMARY_COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder
