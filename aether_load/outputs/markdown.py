"""Write a report as Markdown, for a comment on a pull request and a CI server's summary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.outputs import formatting as cells
from aether_load.outputs.probes import probe_header, probe_rows
from aether_load.text import markdown_text

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report
    from aether_load.analysis.verdict.warnings import Warning_

MOST_PHASES = 20
MOST_LINES = 30
"""Lines of a list, so that a run of many phases still fits into a comment of 65,536 characters."""
_P99 = "p99 ms (95 % interval)"
_HEADER = (
    "dataset", "requests", "per s", "goodput per s", "p50 ms", "p95 ms", _P99, "failed", "accuracy", "tokens per s",
)  # fmt: skip
_REPEATS_HEADER = ("repeated phases", *cells.REPEATS_HEADER[1:])


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table whose first column is to the left and the others to the right; cells are taken as they are."""
    lines = ["| " + " | ".join(header) + " |", "|" + "|".join([":--", *["--:"] * (len(header) - 1)]) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts that may hold markup, which is shown as it is."""
    return table(tuple(map(markdown_text, header)), (tuple(map(markdown_text, row)) for row in rows))


def write_markdown(report: Report, out: TextIO) -> None:
    """Write verdict, warnings, a table a phase, the server's side and the environment; at most `MOST_PHASES` phases."""
    target = report.target
    who = "**SIMULATED** runtime" if target.kind == "simulated" else "runtime"
    verdict = report.verdict
    out.write(f"### aether-load: {markdown_text(report.run.scenario)}: {verdict.status.upper()}\n\n")
    out.write(f"{who} {target.generation.value} at {markdown_text(target.url)}, exit code {verdict.exit_code}\n\n")
    if verdict.reasons:
        _write_list([markdown_text(reason) for reason in verdict.reasons], out)
    if report.warnings:
        out.write(f"<details{' open' if len(report.warnings) <= 3 else ''}><summary>")
        out.write(f"{len(report.warnings)} warning{'s' * (len(report.warnings) > 1)}</summary>\n\n")
        _write_list([_warning_line(warning) for warning in report.warnings], out)
        out.write("</details>\n\n")
    if report.thresholds:
        found = cells.threshold_rows(report.thresholds)
        out.write(text_table(cells.THRESHOLD_HEADER, found[:MOST_LINES]) + "\n")
        if len(found) > MOST_LINES:
            out.write(f"{len(found) - MOST_LINES} more are in the run's report.html.\n\n")
    for search in report.searches:
        out.write(f"**search {markdown_text(search.name)}** under {markdown_text(' and '.join(search.slo))}: ")
        out.write(f"{markdown_text(search.sentence)}\n\n")
        out.write(text_table(probe_header(search), probe_rows(search)[:MOST_LINES]) + "\n")
    for sweep in report.sweeps:
        knee = (
            f"knee at {sweep.knee_load:g} {sweep.unit}"
            if sweep.knee_load is not None
            else markdown_text(sweep.knee_reason)
        )
        out.write(f"**loads of {markdown_text(sweep.name)}**: {knee}\n\n")
    if report.comparisons:
        out.write(text_table(_REPEATS_HEADER, map(cells.repeat_cells, report.comparisons[:MOST_LINES])) + "\n")
    if rows := cells.worker_rows(report.workers):
        out.write(text_table(cells.WORKER_HEADER, rows[:MOST_LINES]) + "\n")
    phases = [phase for phase in report.phases if phase.search is None]
    for phase in phases[:MOST_PHASES]:
        _write_phase(phase, out)
    if len(phases) > MOST_PHASES:
        out.write(f"{len(phases) - MOST_PHASES} more phases are in the run's report.html.\n\n")
    _write_environment(report, out)


def _write_list(lines: Sequence[str], out: TextIO) -> None:
    out.writelines(f"- {line}\n" for line in lines[:MOST_LINES])
    if len(lines) > MOST_LINES:
        out.write(f"- {len(lines) - MOST_LINES} more in the run's report.html\n")
    out.write("\n")


def _warning_line(warning: Warning_) -> str:
    where = f" (phase {markdown_text(warning.phase)})" if warning.phase else ""
    return f"`{warning.code}`{where}: {markdown_text(warning.message)} {markdown_text(warning.advice)}"


def _write_phase(phase: PhaseReport, out: TextIO) -> None:
    asked = phase.achieved_load
    load = "a load that varied" if asked.asked is None else f"{asked.asked:g} {asked.unit}"
    reached = "" if asked.reached is None else f" ({asked.reached:.4g} reached)"
    window = "no window" if phase.window_s is None else f"window of {phase.window_s:.2f} s"
    out.write(f"#### {markdown_text(phase.name)}\n\n{phase.load} load, {load}{reached}, {window}\n\n")
    out.write(text_table(_HEADER, [_cells(row) for row in (*phase.datasets, phase.all)]) + "\n")
    if phase.iterations:
        out.write(text_table(cells.ITERATIONS_HEADER, map(cells.iteration_cells, phase.iterations)) + "\n")
    if failures := cells.failures_text(phase.all.outcomes):
        out.write(f"failed: {markdown_text(failures)}\n\n")
    if phase.decomposition.requests_total:
        means = [
            f"{PART_NAMES[name]} {part.mean_contribution_ms:.2f} ms ({cells.share(part.mean_share)})"
            for name, part in parts_of(phase.decomposition)
            if part.mean_contribution_ms
        ]
        out.write("mean response latency: " + ", ".join(means) + "\n\n")
    reconciliation = phase.reconciliation
    counts = (
        f"{reconciliation.counted_nodes_total} counted by the server, "
        f"{reconciliation.unexplained_nodes_total} unexplained"
        if reconciliation.counted_nodes_total is not None
        else markdown_text(reconciliation.reason)
    )
    trust = markdown_text(reconciliation.trust)
    out.write(f"nodes: {reconciliation.answered_nodes_total} answered, {counts}: **{trust}**\n\n")


def _cells(row: Row) -> Sequence[str]:
    service, response = row.service_latency_ms, row.response_latency_ms
    found = dict(zip(_HEADER, cells.row_cells(row, _HEADER), strict=True))
    # What differs in open load is said for the percentile that shows it most.
    if response is not None and service is not None and response != service:
        found[_P99] += f", from sent {cells.points(service, 'p99')[0]}"
    return list(found.values())


def _write_environment(report: Report, out: TextIO) -> None:
    git = report.environment["git"]
    state = " (with changes)" if git.get("dirty") else ""
    out.write("<details><summary>environment</summary>\n\n")
    facts = (
        ("run", report.run.id),
        ("commit", f"{git.get('commit') or git.get('reason')}{state}"),
        ("command", " ".join(report.run.command)),
        ("seed", "none" if report.run.seed is None else report.run.seed),
        ("machine", cells.machine_text(report.environment["machine"])),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.environment["versions"].items())),
        ("datasets", ", ".join(f"{identity.name} {identity.revision}" for identity in report.datasets)),
    )
    out.writelines(f"- {key}: {markdown_text(value)}\n" for key, value in facts)
    out.write("\n</details>\n")
