"""Write a run's figures for github-action-benchmark: one file where lower is better, one where higher is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from aether_load.analysis.statistics.distribution import Share
from aether_load.rundata.folder import write_whole
from aether_load.scenario.metrics import METRICS, Better, Metric
from aether_load.text import json_document

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report
    from aether_load.analysis.statistics.distribution import Distribution

FILES: dict[Better, str] = {
    "lower": "results_smaller_is_better.json",
    "higher": "results_bigger_is_better.json",
}


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One figure as github-action-benchmark reads it; `range` is its 95 % interval in words."""

    name: str
    unit: str
    value: float
    range: str | None = None
    extra: str | None = None


def benchmark_entries(report: Report, better: Better) -> list[Entry]:
    """Return the figures of a run that are better when they are lower, or higher; only what was measured.

    The action takes a null for 0, which is perfect where smaller is better, and so it gets none. A percentile that
    is only bounded from below is no measured number either.
    """
    kind = "simulated, " if report.target.kind == "simulated" else ""
    extra = f"run {report.run.id}\nverdict {report.verdict.status}\ntarget {report.target.kind} {report.target.url}"
    found = []
    for phase in report.phases:
        for row in (phase.all, *phase.datasets):
            for what, metric, value, range_ in _figures(phase, row):
                if metric.better == better and value is not None:
                    name = f"{report.run.scenario}/{phase.name}/{row.dataset} ({kind}{report.target.generation.value})"
                    found.append(Entry(f"{name}: {what}", metric.unit, value, range_, extra))
    return found


def write_benchmark_files(report: Report, results: Path) -> list[Path]:
    """Replace both files in the results folder by those of this run and return where they are."""
    paths = []
    for better, name in FILES.items():
        path = results / name
        write_whole(path, json_document(benchmark_entries(report, better)).encode())
        paths.append(path)
    return paths


_NAMES = {
    "error_rate": "error rate", "tokens_per_correct_answer": "tokens per correct answer",
    "cost_per_correct_answer_usd": "cost per correct answer", "ok_throughput_rps": "throughput of good answers",
    "goodput_rps": "goodput", "tokens_per_s": "tokens a second", "goodput_share": "within the SLO",
    "accuracy": "accuracy",
}  # fmt: skip
_Figure = tuple[str, Metric, float | None, str | None]

_CACHE_HIT_SHARE = Metric(name="cache_hit_share", of="row", form="number", better="higher")
"""The share of two counts in a report, which has it under no name of its own."""


def _figures(phase: PhaseReport, row: Row) -> Iterator[_Figure]:
    yield from _latencies("response latency", METRICS["response_latency_ms"], row.response_latency_ms)
    if row.service_latency_ms != row.response_latency_ms:
        yield from _latencies("service latency", METRICS["service_latency_ms"], row.service_latency_ms)
    for name, figure in _NAMES.items():
        value = getattr(row, name)
        if isinstance(value, Share):
            yield figure, METRICS[name], value.value, f"[{value.low:g}, {value.high:g}]"
        else:
            yield figure, METRICS[name], value, None
    overhead = phase.correlation.overhead_ms
    if row is phase.all and overhead is not None:
        yield "client overhead mean", METRICS["correlation.overhead_ms"], overhead.mean, None
    if row.cached_nodes_total is not None and row.uncached_nodes_total is not None:
        nodes = row.cached_nodes_total + row.uncached_nodes_total
        yield "cache hit rate", _CACHE_HIT_SHARE, round(row.cached_nodes_total / nodes, 6), None


def _latencies(name: str, metric: Metric, latency: Distribution | None) -> Iterator[_Figure]:
    if latency is None:
        return
    for key in ("p50", "p95", "p99"):
        point = getattr(latency, key)
        if point.reliability != "unreliable" and point.value is not None:
            yield f"{name} {key}", metric, point.value, f"[{point.low:g}, {point.high:g}]"
