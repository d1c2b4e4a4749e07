"""Write the summary table, a row a phase and dataset, as CSV, for a run and for all runs.

Python's own csv writes it, not pandas: it stands between the last answer and the results on the screen, and importing
pandas takes a quarter of a second.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from filelock import FileLock, Timeout

from aether_load.errors import ResultsError, UsageError
from aether_load.rundata.folder import write_whole
from aether_load.text import csv_cell

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report

LOCK_LIMIT_S = 30
_PERCENTILES = ("p50", "p90", "p95", "p99", "p99_9")


def summary_rows(report: Report) -> list[dict[str, object]]:
    """Return the summary's rows, safe for a spreadsheet: one a phase for all its requests, and one a dataset."""
    rows = [summary_values(report, phase, row) for phase in report.phases for row in (phase.all, *phase.datasets)]
    return [{name: csv_cell(value) for name, value in row.items()} for row in rows]


def series_name(report: Report, phase: PhaseReport, row: Row) -> str:
    """Return what a row is one point in the history of: scenario, phase, dataset and kind of target.

    It stands in the column `branch`, the only one by which Apache Otava tells apart series in one file.
    """
    kind = f"{report.target.kind}-{report.target.generation.value}"
    return f"{report.run.scenario}/{phase.name}/{row.dataset}/{kind}"


def summary_values(report: Report, phase: PhaseReport, row: Row) -> dict[str, object]:
    """Return one row of the summary as it is, before texts are made safe for a spreadsheet."""
    parts = {"report": report, "phase": phase, "row": row}
    return {
        **{name: _read(parts, way) for name, (way, _) in TABLE.items()},
        "branch": series_name(report, phase, row),
        "labels": ";".join(f"{key}={value}" for key, value in report.run.labels.items()),
        "machine": machine_name(report.environment["machine"]),
    }


def machine_name(machine: Mapping[str, Any]) -> str | None:
    """Return what machine it was, so that equal names are equal machines; None where it is not known."""
    cpu, cores, memory = (machine.get(key) for key in ("cpu", "cores", "memory_bytes"))
    if not cpu or not cores or not memory:
        return None
    return f"{cpu}, {cores} cores, {memory / 2**30:.0f} GiB"


def _read(whole: Any, way: str) -> Any:
    """Return what lies at the end of a way of names, None where one of them holds nothing."""
    for key in way.split("."):
        if whole is None:
            return None
        whole = whole.get(key) if isinstance(whole, dict) else getattr(whole, key)
    return whole


def _latency(name: str, since: str) -> Iterator[tuple[str, tuple[str, str]]]:
    """Yield a latency's columns; behind each percentile the bounds of its 95 % interval and its reliability."""
    stem = name.removesuffix("_ms")
    for point in ("mean", *_PERCENTILES, "max"):
        way, text = f"row.{name}.{point}", f"{point.replace('_', '.')} of latency {since}, in ms"
        if point not in _PERCENTILES:
            yield f"{stem}_{point}_ms", (way, text)
            continue
        stalled = "; empty: no request was sent, or answers may have been read late, and the next two bound it"
        yield f"{stem}_{point}_ms", (f"{way}.value", text + stalled)
        for bound, word in (("low", "lower"), ("high", "upper")):
            says = f"{word} bound of its 95 % interval; empty: not bounded"
            yield f"{stem}_{point}_{bound}_ms", (f"{way}.{bound}", says)
        says = "`ok`, `few_beyond` (weak) or `unreliable`: then it is at least this value"
        yield f"{stem}_{point}_reliability", (f"{way}.reliability", says)


TABLE: Mapping[str, tuple[str, str]] = {
    "time": ("report.run.began_utc", "when the run began, UTC"),
    "commit": ("report.environment.git.commit", "commit of the folder that the run was started in"),
    "branch": (
        "",
        "scenario/phase/dataset/target: one series, under the name by which Apache Otava tells series apart",
    ),
    "run_id": ("report.run.id", "name of the run's folder"),
    "labels": ("", "labels as `key=value;key=value`"),
    "scenario": ("report.run.scenario", "name of the scenario"),
    "phase": ("phase.name", "name of the phase"),
    "dataset": ("row.dataset", "name of the dataset, or `all`"),
    "target_kind": ("report.target.kind", "`runtime` or `simulated`"),
    "generation": ("report.target.generation.value", "wire format, `v1` or `v2`"),
    "program": ("report.program.flow_name", "name of the Aether program, if one was sent"),
    "program_hash": ("report.program.hash", "hash of the compiled program"),
    "compiler_version": ("report.program.compiler_version", "version of the compiler that built it"),
    "machine": ("", "CPU, cores and memory of the sending machine; empty: not known"),
    "users": ("phase.users", "users of a closed load, most requests in flight of an open load"),
    "load_unit": ("phase.achieved_load.unit", "unit of the next two: `users` or `requests/s`"),
    "target_load": ("phase.achieved_load.asked", "load that was asked for"),
    "achieved_load": ("phase.achieved_load.reached", "load that was reached"),
    "window_s": ("phase.window_s", "length of the window"),
    "requests_total": ("row.requests_total", "requests due in the window"),
    "ok_total": ("row.outcomes.ok", "requests that succeeded"),
    "rejected_total": ("row.outcomes.rejected", "refused by the runtime's prompt guard"),
    "node_error_total": ("row.outcomes.node_error", "answers with a failed node"),
    "aborted_total": ("row.outcomes.aborted", "answers of a DAG that was aborted"),
    "http_error_total": ("row.outcomes.http_error", "answers with another status than 200"),
    "invalid_response_total": (
        "row.outcomes.invalid_response",
        "answers that could not be read or contradict the request",
    ),
    "timeout_total": ("row.outcomes.timeout", "requests without an answer in time"),
    "connection_error_total": ("row.outcomes.connection_error", "requests whose connection failed"),
    "dropped_total": ("row.outcomes.dropped", "requests that were due and never sent"),
    "cancelled_total": ("row.outcomes.cancelled", "requests given up when the run ended"),
    "error_rate": ("row.error_rate", "share of failures other than `rejected`"),
    "request_throughput_rps": ("row.request_throughput_rps", "requests a second, by their time inside the window"),
    "ok_throughput_rps": ("row.ok_throughput_rps", "requests that succeeded a second, by their time inside the window"),
    "goodput_rps": ("row.goodput_rps", "of those, the ones that kept `goodput_slo`"),
    "goodput_share": ("row.goodput_share.value", "good requests among all that were due"),
    **dict(_latency("service_latency_ms", "from sent to answered")),
    **dict(_latency("response_latency_ms", "from due to answered")),
    "server_time_share": ("row.server_time_share", "share of client time that the server's own total accounts for"),
    "tokens_total": ("row.tokens_total", "tokens as the runtime counts them"),
    "tokens_per_s": ("row.tokens_per_s", "tokens a second of the window"),
    "tokens_per_correct_answer": ("row.tokens_per_correct_answer", "all tokens over the right answers"),
    "cost_per_correct_answer_usd": (
        "row.cost_per_correct_answer_usd",
        "the same in money, with `workload.price_usd_per_1000_tokens`",
    ),
    "cached_nodes_total": ("row.cached_nodes_total", "nodes that came from the runtime's cache"),
    "uncached_nodes_total": ("row.uncached_nodes_total", "nodes that did not"),
    "accuracy": ("row.accuracy.value", "right answers among those scored"),
    "accuracy_low": ("row.accuracy.low", "lower bound of its 95 % interval"),
    "accuracy_high": ("row.accuracy.high", "upper bound of its 95 % interval"),
    "unanswered_total": ("row.unanswered_total", "scored answers without a letter"),
    "phase_server_node_mean_low_ms": (
        "phase.server.node_time_mean_ms.low",
        "lower bound of the server's mean node time, of the whole phase",
    ),
    "phase_server_node_mean_high_ms": ("phase.server.node_time_mean_ms.high", "upper bound of it"),
    "phase_unexplained_nodes_total": (
        "phase.reconciliation.unexplained_nodes_total",
        "nodes that the server counted and no answer explains, of the whole phase",
    ),
    "phase_littles_law_ratio": (
        "phase.correlation.littles_law_ratio",
        "share of the users' time that requests account for, of the whole phase",
    ),
    "phase_trust": (
        "phase.reconciliation.trust",
        "`trusted`, `contaminated`, `restarted` or `no_server_data`, of the whole phase",
    ),
    "run_exit_code": ("report.verdict.exit_code", "exit code of the run"),
}
"""Each column of the summary, in order: the way to its value in the report, phase or row, and what it holds.

`summary_values` puts the values together that have no way.
"""

COLUMNS: Mapping[str, str] = {name: text for name, (_, text) in TABLE.items()}
SUMMARY_COLUMNS = tuple(COLUMNS)


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
