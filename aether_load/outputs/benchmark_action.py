"""A run's figures for github-action-benchmark: one file for what should fall, one for what should rise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from aether_load.rundata.folder import write_whole
from aether_load.text import json_text

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report
    from aether_load.analysis.statistics.distribution import Distribution

Direction = Literal["smaller", "bigger"]

FILES: dict[Direction, str] = {
    "smaller": "results_smaller_is_better.json",
    "bigger": "results_bigger_is_better.json",
}


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One figure as github-action-benchmark reads it; `range` is its 95 % interval in words."""

    name: str
    unit: str
    value: float
    range: str | None = None
    extra: str | None = None


def benchmark_entries(report: Report, direction: Direction) -> list[Entry]:
    """Return the figures of a run that should fall, or rise; only what was measured.

    The action takes a null for 0, which is perfect where smaller is better, and so it gets none. A percentile that
    is only bounded from below is no measured number either.
    """
    kind = "simulated, " if report.target.kind == "simulated" else ""
    extra = f"run {report.run.id}\nverdict {report.verdict.status}\ntarget {report.target.kind} {report.target.url}"
    found = []
    for phase in report.phases:
        for row in (phase.all, *phase.datasets):
            figures = _smaller(phase, row) if direction == "smaller" else _bigger(row)
            for what, unit, value, range_ in figures:
                if value is not None:
                    name = f"{report.run.scenario}/{phase.name}/{row.dataset} ({kind}{report.target.generation.value})"
                    found.append(Entry(f"{name}: {what}", unit, value, range_, extra))
    return found


def write_benchmark_files(report: Report, results: Path) -> list[Path]:
    """Replace both files in the results folder by those of this run and return where they are."""
    paths = []
    for direction, name in FILES.items():
        path = results / name
        content = msgspec.json.format(msgspec.json.encode(benchmark_entries(report, direction)), indent=2).decode()
        write_whole(path, json_text(content).encode() + b"\n")
        paths.append(path)
    return paths


_Figure = tuple[str, str, float | None, str | None]


def _smaller(phase: PhaseReport, row: Row) -> Iterator[_Figure]:
    yield from _latencies("response latency", row.response_latency_ms)
    if row.service_latency_ms != row.response_latency_ms:
        yield from _latencies("service latency", row.service_latency_ms)
    yield "error rate", "share", row.error_rate, None
    yield "tokens per correct answer", "tokens", row.tokens_per_correct_answer, None
    yield "cost per correct answer", "USD", row.cost_per_correct_answer_usd, None
    overhead = phase.correlation.overhead_ms
    if row is phase.all and overhead is not None:
        yield "client overhead mean", "ms", overhead.mean, None


def _latencies(name: str, latency: Distribution | None) -> Iterator[_Figure]:
    if latency is None:
        return
    for key in ("p50", "p95", "p99"):
        point = getattr(latency, key)
        if point.reliability != "unreliable" and point.value is not None:
            yield f"{name} {key}", "ms", point.value, f"[{point.low:g}, {point.high:g}]"


def _bigger(row: Row) -> Iterator[_Figure]:
    yield "throughput of good answers", "requests/s", row.ok_throughput_rps, None
    yield "goodput", "requests/s", row.goodput_rps, None
    yield "tokens a second", "tokens/s", row.tokens_per_s, None
    for name, share in (("within the SLO", row.goodput_share), ("accuracy", row.accuracy)):
        if share is not None:
            yield name, "share", share.value, f"[{share.low:g}, {share.high:g}]"
    if row.cached_nodes_total is not None and row.uncached_nodes_total is not None:
        told = row.cached_nodes_total + row.uncached_nodes_total
        yield "cache hit rate", "share", round(row.cached_nodes_total / told, 6), None
