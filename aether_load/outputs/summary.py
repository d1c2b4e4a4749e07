"""The summary table: a row a phase and dataset, as CSV, for a run and for all runs."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from filelock import FileLock, Timeout

from aether_load.errors import ResultsError, UsageError
from aether_load.rundata.folder import write_whole

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report
    from aether_load.analysis.statistics.distribution import Distribution

LOCK_LIMIT_S = 30
_LATENCIES = ("service_latency_ms", "response_latency_ms")
_PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9")
_POINTS = ("mean", *_PERCENTILES, "max")
_PERCENTILE_COLUMNS = ("_ms", "_low_ms", "_high_ms", "_reliability")


def summary_rows(report: Report) -> list[dict[str, object]]:
    """Return the summary's rows: one a phase for all its requests, and one a dataset."""
    return [_summary_row(report, phase, row) for phase in report.phases for row in (phase.all, *phase.datasets)]


def series_name(report: Report, phase: PhaseReport, row: Row) -> str:
    """Return what a row is one point in the history of: scenario, phase, dataset and kind of target.

    It stands in the column `branch`, the only one by which Apache Otava tells apart series in one file.
    """
    kind = f"{report.target.kind}-{report.target.generation.value}"
    return f"{report.run.scenario}/{phase.name}/{row.dataset}/{kind}"


def _summary_row(report: Report, phase: PhaseReport, row: Row) -> dict[str, object]:
    server = phase.server
    values: dict[str, object] = {
        "time": report.run.began_utc,
        "commit": report.environment["git"].get("commit"),
        "branch": series_name(report, phase, row),
        "run_id": report.run.id,
        "labels": ";".join(f"{key}={value}" for key, value in report.run.labels.items()),
        "scenario": report.run.scenario,
        "phase": phase.name,
        "dataset": row.dataset,
        "target_kind": report.target.kind,
        "generation": report.target.generation.value,
        "program": report.program.flow_name if report.program else None,
        "program_hash": report.program.hash if report.program else None,
        "compiler_version": report.program.compiler_version if report.program else None,
        "users": phase.users,
        "load_unit": phase.achieved_load.unit,
        "target_load": phase.achieved_load.asked,
        "achieved_load": phase.achieved_load.reached,
        "window_s": phase.window_s,
        "requests_total": row.requests_total,
        **{f"{name}_total": count for name, count in row.outcomes.items()},
        "error_rate": row.error_rate,
        "request_throughput_rps": row.request_throughput_rps,
        "ok_throughput_rps": row.ok_throughput_rps,
        "goodput_rps": row.goodput_rps,
        "goodput_share": row.goodput_share.value if row.goodput_share else None,
        "server_time_share": row.server_time_share,
        "tokens_total": row.tokens_total,
        "tokens_per_s": row.tokens_per_s,
        "tokens_per_correct_answer": row.tokens_per_correct_answer,
        "cost_per_correct_answer_usd": row.cost_per_correct_answer_usd,
        "cached_nodes_total": row.cached_nodes_total,
        "uncached_nodes_total": row.uncached_nodes_total,
        "accuracy": row.accuracy.value if row.accuracy else None,
        "accuracy_low": row.accuracy.low if row.accuracy else None,
        "accuracy_high": row.accuracy.high if row.accuracy else None,
        "unanswered_total": row.unanswered_total,
        "phase_server_node_mean_low_ms": server.node_time_mean_ms.low if server else None,
        "phase_server_node_mean_high_ms": server.node_time_mean_ms.high if server else None,
        "phase_unexplained_nodes_total": phase.reconciliation.unexplained_nodes_total,
        "phase_littles_law_ratio": phase.correlation.littles_law_ratio,
        "phase_trust": phase.reconciliation.trust,
        "run_exit_code": report.verdict.exit_code,
    }
    for name in _LATENCIES:
        values.update(_latency_columns(name, getattr(row, name)))
    return values


def _latency_columns(name: str, latency: Distribution | None) -> dict[str, object]:
    """Return a latency's columns; beside each percentile the bounds of its 95 % interval and its reliability."""
    stem = name.removesuffix("_ms")
    columns: dict[str, object] = {}
    for point in _POINTS:
        value = None if latency is None else getattr(latency, point)
        if point not in _PERCENTILES:
            columns[f"{stem}_{point}_ms"] = value
            continue
        for suffix, part in zip(_PERCENTILE_COLUMNS, ("value", "low", "high", "reliability"), strict=True):
            columns[f"{stem}_{point}{suffix}"] = getattr(value, part, None)
    return columns


def _latency_names(name: str) -> list[str]:
    return [*_latency_columns(name, None)]


SUMMARY_COLUMNS = (
    "time", "commit", "branch", "run_id", "labels", "scenario", "phase", "dataset", "target_kind", "generation",
    "program", "program_hash", "compiler_version", "users", "load_unit", "target_load", "achieved_load", "window_s",
    "requests_total", "ok_total", "rejected_total", "node_error_total", "aborted_total", "http_error_total",
    "invalid_response_total", "timeout_total", "connection_error_total", "dropped_total", "cancelled_total",
    "error_rate",
    "request_throughput_rps", "ok_throughput_rps", "goodput_rps", "goodput_share",
    *(column for name in _LATENCIES for column in _latency_names(name)),
    "server_time_share", "tokens_total", "tokens_per_s", "tokens_per_correct_answer",
    "cost_per_correct_answer_usd", "cached_nodes_total", "uncached_nodes_total", "accuracy", "accuracy_low",
    "accuracy_high", "unanswered_total",
    "phase_server_node_mean_low_ms", "phase_server_node_mean_high_ms", "phase_unexplained_nodes_total",
    "phase_littles_law_ratio", "phase_trust", "run_exit_code",
)  # fmt: skip


def write_summary_csv(report: Report, out: TextIO) -> None:
    """Write a run's summary with a header; what was not measured is an empty field."""
    writer = csv.DictWriter(out, SUMMARY_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(summary_rows(report))


def append_summary(path: Path, report: Report) -> None:
    """Put the run's rows into the summary of all runs, in place of earlier ones of the same run.

    A lock beside the file keeps two runs that end at once from losing a row. Raises ResultsError for a file with
    another header, which is left as it is.
    """
    text = io.StringIO()
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_LIMIT_S):
            if (mistake := header_mistake(path)) is not None:
                raise ResultsError(mistake)
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(SUMMARY_COLUMNS)
            writer.writerows(_rows_of_others(path, report.run.id))
            csv.DictWriter(text, SUMMARY_COLUMNS, lineterminator="\n").writerows(summary_rows(report))
            write_whole(path, text.getvalue().encode())
    except Timeout:
        raise ResultsError(
            f"{path} was locked by another run for {LOCK_LIMIT_S} s; the run's own summary.csv is written."
        ) from None


def _rows_of_others(path: Path, run_id: str) -> list[list[str]]:
    """Return the rows that are there of other runs, in their order."""
    if not path.exists():
        return []
    place = SUMMARY_COLUMNS.index("run_id")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [row for row in rows if row[place : place + 1] != [run_id]]


def header_mistake(path: Path) -> str | None:
    """Return what is wrong with a summary that is there but has other columns than ours, in a sentence, or None."""
    if not path.exists():
        return None
    if not path.is_file():
        return f"{path} is no file, so that no row can be added to it; move it away."
    if path.stat().st_size == 0:
        return None
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        header = next(csv.reader(file), [])
    if tuple(header) == SUMMARY_COLUMNS:
        return None
    return f"{path} has other columns than this version of aether-load writes; move it away, and a new one is begun."


def check_summary(path: Path) -> None:
    """Raise UsageError, before any load, for a summary that this run's rows could not be added to."""
    if (mistake := header_mistake(path)) is not None:
        raise UsageError(mistake)
