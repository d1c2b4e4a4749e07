"""A report written to files; one function a format, over a file object."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import TextIO

import msgspec
import pandas as pd
from filelock import FileLock, Timeout

from aether_load import AetherLoadError, ExitCode
from aether_load.analysis.report import PhaseReport, Report, Row
from aether_load.analysis.run import RunFolder, write_whole
from aether_load.analysis.statistics import Distribution

LOCK_LIMIT_S = 30
_LATENCIES = ("service_latency_ms", "response_latency_ms")
_POINTS = ("mean", "p50", "p90", "p95", "p99", "p99_9", "max")


class ResultsError(AetherLoadError):
    """Results could not be written, though the run's own folder is safe."""

    exit_code = ExitCode.INVALID


def write_results(report: Report, folder: RunFolder) -> list[Path]:
    """Write everything that a run leaves behind and return where it lies; raises ResultsError.

    Running it again replaces this run's own files and touches no other run's.
    """
    try:
        content = report_json(report)
        write_whole(folder.report, content)
        text = io.StringIO()
        write_summary_csv(report, text)
        write_whole(folder.summary, text.getvalue().encode())
        nightly = _write_nightly(folder.results, report, content)
        everything = folder.results / "summary.csv"
        append_summary(everything, report)
    except OSError as error:
        raise ResultsError(
            f"The results could not be written ({error.strerror}: {error.filename}); the samples are safe. When that "
            f"is mended: aether-load report {folder.path}"
        ) from None
    return [folder.path, nightly, everything]


def report_json(report: Report) -> bytes:
    """Return the report as JSON, one key a line: the same report is always the same bytes."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def _write_nightly(results: Path, report: Report, content: bytes) -> Path:
    """Write `nightly_<date>.json`, or `_2`, `_3` … when other runs of that day hold those before it."""
    stem = f"nightly_{report.run.began_utc[:10]}"
    number = 1
    while True:
        path = results / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        if _run_id_in(path) == report.run.id:
            write_whole(path, content)
            return path
        if _create_whole(path, content):
            return path
        number += 1


def _run_id_in(path: Path) -> str | None:
    """Return the id of the run that a nightly file is of, or None when there is none or it is no such file."""
    try:
        plain = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError):
        return None
    run = plain.get("run") if isinstance(plain, dict) else None
    return run.get("id") if isinstance(run, dict) else None


def _create_whole(path: Path, content: bytes) -> bool:
    """Create a file with all its content in one step; False when it is there already."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True


def summary_frame(report: Report, *, datasets: bool = True) -> pd.DataFrame:
    """Return the summary's rows: one a phase for all its requests and, with `datasets`, one a dataset."""
    rows = []
    for phase in report.phases:
        rows.append(_summary_row(report, phase, phase.all))
        if datasets:
            rows += [_summary_row(report, phase, row) for row in phase.datasets]
    return pd.DataFrame(rows, columns=SUMMARY_COLUMNS)


def _summary_row(report: Report, phase: PhaseReport, row: Row) -> dict[str, object]:
    server = phase.server
    values: dict[str, object] = {
        "time": report.run.began_utc,
        "commit": report.environment["git"].get("commit"),
        "run_id": report.run.id,
        "scenario": report.run.scenario,
        "phase": phase.name,
        "dataset": row.dataset,
        "target_kind": report.target.kind,
        "generation": report.target.generation.value,
        "users": phase.users,
        "window_s": phase.window_s,
        "requests_total": row.requests_total,
        **{f"{name}_total": count for name, count in row.outcomes.items()},
        "error_rate": row.error_rate,
        "request_throughput_rps": row.request_throughput_rps,
        "ok_throughput_rps": row.ok_throughput_rps,
        "server_time_share": row.server_time_share,
        "token_cost_total": row.token_cost_total,
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
    stem = name.removesuffix("_ms")
    columns: dict[str, object] = {}
    for point in _POINTS:
        value = None if latency is None else getattr(latency, point)
        columns[f"{stem}_{point}_ms"] = getattr(value, "value", value)
    return columns


SUMMARY_COLUMNS = (
    "time", "commit", "run_id", "scenario", "phase", "dataset", "target_kind", "generation", "users", "window_s",
    "requests_total", "ok_total", "rejected_total", "node_error_total", "aborted_total", "http_error_total",
    "bad_answer_total", "timeout_total", "connection_error_total", "unsent_total", "cut_off_total", "error_rate",
    "request_throughput_rps", "ok_throughput_rps",
    *(f"{name.removesuffix('_ms')}_{point}_ms" for name in _LATENCIES for point in _POINTS),
    "server_time_share", "token_cost_total", "accuracy", "accuracy_low", "accuracy_high", "unanswered_total",
    "phase_server_node_mean_low_ms", "phase_server_node_mean_high_ms", "phase_unexplained_nodes_total",
    "phase_littles_law_ratio", "phase_trust", "run_exit_code",
)  # fmt: skip


def write_summary_csv(report: Report, out: TextIO) -> None:
    """Write a run's summary with a header; what was not measured is an empty field."""
    summary_frame(report).to_csv(out, index=False, lineterminator="\n")


def append_summary(path: Path, report: Report) -> None:
    """Put the run's rows, one a phase, into the summary of all runs, in place of earlier ones of the same run.

    A lock beside the file keeps two runs that end at once from losing a row. Raises ResultsError for a file with
    another header, which is left as it is.
    """
    lines = summary_frame(report, datasets=False).to_csv(index=False, lineterminator="\n").splitlines(keepends=True)
    try:
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=LOCK_LIMIT_S):
            check_summary_header(path)
            old = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else [lines[0]]
            kept = [line for line in old[1:] if report.run.id not in next(csv.reader([line]))]
            write_whole(path, "".join([lines[0], *kept, *lines[1:]]).encode())
    except Timeout:
        raise ResultsError(
            f"{path} was locked by another run for {LOCK_LIMIT_S} s; the run's own summary.csv is written."
        ) from None


def check_summary_header(path: Path) -> None:
    """Raise ResultsError when a summary is there but has other columns than ours."""
    if not path.exists() or path.stat().st_size == 0:
        return
    with path.open(encoding="utf-8", errors="replace", newline="") as file:
        header = next(csv.reader(file), [])
    if tuple(header) != SUMMARY_COLUMNS:
        raise ResultsError(
            f"{path} has other columns than this version of aether-load writes; move it away, and a new one is begun."
        )
