"""A report on the terminal, to be read in ten seconds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from aether_load.analysis.histogram import QuantileInterval
from aether_load.analysis.ledger import Reconciliation
from aether_load.analysis.phase_report import PhaseReport
from aether_load.analysis.report import Report
from aether_load.analysis.rows import Row
from aether_load.analysis.server_nodes import ServerNodes
from aether_load.analysis.statistics import Percentile

_WIDTH = 110
_HEADER = ("dataset", "requests", "per s", "p50 ms", "p95 ms", "p99 ms (95 % interval)", "failed", "accuracy", "server")


def write_summary(report: Report, files: Sequence[Path], out: TextIO) -> None:
    """Write verdict, a table a phase, the server's side, warnings and where the files lie."""
    target = report.target
    who = "SIMULATED runtime" if target.kind == "simulated" else "runtime"
    out.write(f"\naether-load: {report.run.scenario} on {who} {target.generation.value} at {target.url}\n")
    for phase in report.phases:
        _write_phase(phase, out)
    if report.warnings:
        out.write("\nwarnings\n")
        for warning in report.warnings:
            text = f"{warning.code}: {warning.message} {warning.advice}"
            out.write(textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="      ") + "\n")
    if files:
        out.write("\nfiles\n" + "".join(f"  {_short(path)}\n" for path in files))
    out.write(f"\n{report.verdict.status.upper()} (exit code {report.verdict.exit_code})\n")
    out.writelines(f"  {reason}\n" for reason in report.verdict.reasons)


def _write_phase(phase: PhaseReport, out: TextIO) -> None:
    window = "no window" if phase.window_s is None else f"window of {phase.window_s:.2f} s"
    users = {None: "users as the page said", 1: "1 user"}.get(phase.users, f"{phase.users} users")
    out.write(f"phase {phase.name}: closed load, {users}, {window}, ended by {phase.ended_by or 'force'}\n\n")
    table = [_HEADER, *(_cells(row) for row in phase.datasets), _cells(phase.all)]
    widths = [max(len(cells[column]) for cells in table) for column in range(len(_HEADER))]
    for number, cells in enumerate(table):
        first, *rest = (cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(
            zip(cells, widths, strict=True)
        ))  # fmt: skip
        if number == len(table) - 1:
            out.write("  " + "-" * (sum(widths) + 2 * (len(widths) - 1)) + "\n")
        out.write(f"  {first}  {'  '.join(rest)}\n".rstrip() + "\n")
    failures = {name: count for name, count in phase.all.outcomes.items() if count and name != "ok"}
    if failures:
        out.write("  failed: " + ", ".join(f"{count} {name}" for name, count in failures.items()) + "\n")
    if "accuracy" in phase.all.reasons:
        out.write(f"  accuracy: none; {phase.all.reasons['accuracy']}\n")
    out.write("\n")
    _write_server(phase.server, phase.reconciliation, out)
    overhead = phase.correlation.overhead_ms
    if overhead is not None:
        out.write(
            f"  client   overhead (client latency less server total, a little high because the server cuts off): mean "
            f"{overhead.mean:.2f} ms, p99 {_bounded(overhead.p99)} ms\n"
        )


def _cells(row: Row) -> tuple[str, ...]:
    latency = row.service_latency_ms
    accuracy = row.accuracy
    return (
        row.dataset,
        str(row.requests_total),
        _number(row.request_throughput_rps, 1),
        _bounded(latency.p50) if latency else "-",
        _bounded(latency.p95) if latency else "-",
        _with_interval(latency.p99) if latency else "-",
        str(row.requests_total - row.ok_total),
        f"{accuracy.value:.3f} [{accuracy.low:.3f}, {accuracy.high:.3f}]" if accuracy else "-",
        "-" if row.server_time_share is None else f"{row.server_time_share:.1%}",
    )


def _write_server(server: ServerNodes | None, ledger: Reconciliation, out: TextIO) -> None:
    if server is not None:
        mean = server.node_time_mean_ms
        quantiles = ", ".join(
            f"{name} {_quantile(getattr(server, f'node_time_{name}_ms'))}" for name in ("p50", "p95", "p99")
        )
        out.write(
            f"  server   {server.nodes_total} nodes; node time, ms: mean [{mean.low:.2f}, {mean.high:.2f}), "
            f"{quantiles}\n"
        )
    if ledger.counted_nodes_total is None:
        out.write(f"  counts   {ledger.answered_nodes_total} nodes answered; {ledger.trust}: {ledger.reason}\n")
    else:
        out.write(
            f"  counts   {ledger.answered_nodes_total} nodes answered, {ledger.counted_nodes_total} counted by the "
            f"server: {ledger.trust}, {ledger.unexplained_nodes_total} unexplained\n"
        )


def _quantile(interval: QuantileInterval) -> str:
    high = "inf" if interval.high is None else f"{interval.high:g}"
    return f"[{interval.low:g}, {high})"


def _bounded(point: Percentile) -> str:
    return f">= {point.value:.1f}" if point.reliability == "unreliable" else f"{point.value:.1f}"


def _with_interval(point: Percentile) -> str:
    if point.low is None or point.high is None:
        return _bounded(point)
    return f"{_bounded(point)} [{point.low:.1f}, {point.high:.1f}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
