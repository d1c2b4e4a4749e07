"""Write a gate for the terminal and as Markdown: verdict, comparisons, and figures of both sides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TextIO

from aether_load.analysis.report import RunInfo
from aether_load.gate.analysis.comparison import GateComparison
from aether_load.gate.analysis.pairs import SideReport
from aether_load.gate.report import GateReport
from aether_load.outputs.details import write_warnings
from aether_load.outputs.formatting import machine_text, number, points, share
from aether_load.outputs.markdown import table
from aether_load.outputs.table import filled, write_table
from aether_load.outputs.terminal import short_path
from aether_load.text import markdown_text, terminal_text, with_safe_texts

_HEADER = ("metric", "base", "candidate", "ratio (95 % interval)", "p", "finding", "smallest loss seen")
_SIDES_HEADER = ("side", "windows", "requests", "failed", "p50 ms", "p95 ms", "p99 ms", "from cache", "target")


def write_gate_text(report: GateReport, files: Sequence[Path], out: TextIO) -> None:
    """Write the gate for the terminal, the verdict first."""
    report = with_safe_texts(report, terminal_text)
    verdict = report.verdict
    out.write(f"\naether-load gate: {_what(report)}\n\n")
    out.write(f"{verdict.status.upper()} (exit code {verdict.exit_code})\n")
    out.writelines(map(filled, verdict.reasons or (verdict.sentence,)))
    out.write("\n")
    write_table([_HEADER, *map(_cells, report.comparisons)], out)
    out.write("\n")
    write_table([_SIDES_HEADER, *map(_side_cells, report.sides)], out)
    out.write(f"\n  {_how(report)}\n")
    write_warnings(report.warnings, out)
    if files:
        out.write("\nfiles\n" + "".join(f"  {terminal_text(short_path(path))}\n" for path in files))


def write_gate_markdown(report: GateReport, out: TextIO) -> None:
    """Write the gate for a comment on a pull request."""
    verdict = report.verdict
    out.write(f"### aether-load gate: {verdict.status.upper()}\n\n{markdown_text(verdict.sentence)}\n\n")
    out.writelines(f"- {markdown_text(reason)}\n" for reason in verdict.reasons[1:])
    if len(verdict.reasons) > 1:
        out.write("\n")
    out.write(table(_HEADER, [(markdown_text(row.metric), *_cells(row)[1:]) for row in report.comparisons]) + "\n")
    sides = [_side_cells(side) for side in report.sides]
    rows = [(markdown_text(name), *figures, markdown_text(target)) for name, *figures, target in sides]
    out.write(table(_SIDES_HEADER, rows) + "\n")
    out.write(f"{markdown_text(_what(report))}; {markdown_text(_how(report))}; exit code {verdict.exit_code}\n\n")
    out.write("<details><summary>warnings, machine</summary>\n\n")
    out.writelines(
        f"- `{warning.code}`: {markdown_text(warning.message)} {markdown_text(warning.advice)}\n"
        for warning in report.warnings
    )
    out.writelines(f"- {key}: {markdown_text(value)}\n" for key, value in _facts(report))
    out.write("\n</details>\n")


def _what(report: GateReport) -> str:
    base, candidate = (side.target for side in report.sides)
    who = "SIMULATED runtimes" if base.kind == "simulated" else "runtimes"
    check = "A/A check of " if report.plan.self_test else ""
    programs = [side.program.title for side in report.sides if side.program is not None]
    if report.plan.candidate_program is not None:
        return (
            f"{' and '.join(programs)} in {report.run.scenario} on one {who[:-1]} {base.generation.value}, {base.url}"
        )
    sent = f" sends {programs[0]}" if programs else ""
    return f"{check}{report.run.scenario}{sent} on {who} {base.generation.value}, {base.url} and {candidate.url}"


def _how(report: GateReport) -> str:
    plan = report.plan
    return (
        f"{report.pairs_used_total} of {plan.pairs} pairs used (the first is dropped), windows of {plan.window_s:g} s "
        f"in turns (ABBA), margin {plan.margin:.1%}, confidence {plan.confidence:.1%}{_took(report.run)}"
    )


def _took(run: RunInfo) -> str:
    """Return how long a gate took; nothing of one without an end, or whose file says no instants."""
    try:
        took = datetime.fromisoformat(run.ended_utc or "") - datetime.fromisoformat(run.began_utc)
    except (ValueError, TypeError):
        return ""
    seconds = round(took.total_seconds())
    return f", took {seconds // 60} min {seconds % 60} s"


def _cells(row: GateComparison) -> tuple[str, ...]:
    test = row.test
    ratio = "-"
    if row.ratio_median is not None and row.ratio_low is not None and row.ratio_high is not None:
        ratio = f"{row.ratio_median:.3f} [{row.ratio_low:.3f}, {row.ratio_high:.3f}]"
    return (
        row.metric,
        number(row.base_median, 2),
        number(row.candidate_median, 2),
        ratio,
        "-" if test.p_value is None else f"{test.p_value:.2g}",
        test.finding.replace("_", " "),
        share(test.smallest_loss_seen),
    )


def _side_cells(side: SideReport) -> tuple[str, ...]:
    return (
        side.side if side.name is None else f"{side.side} {side.name}",
        str(side.windows_total),
        str(side.requests_total),
        str(side.requests_total - side.ok_total),
        *points(side.response_latency_ms, "p50", "p95", "p99"),
        share(side.cached_share),
        side.target.url,
    )


def _facts(report: GateReport) -> Iterator[tuple[str, str]]:
    git = report.environment["git"]
    yield "run", report.run.id
    yield "command", " ".join(report.run.command)
    yield "commit of aether-load", f"{git.get('commit') or git.get('reason')}"
    yield "machine", machine_text(report.environment["machine"])
