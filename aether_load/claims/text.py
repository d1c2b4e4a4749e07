"""Write the report on claims for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

from aether_load.claims.measurement import Measured
from aether_load.claims.report import ClaimReport, ClaimsReport, Configuration, MeasuredRun, Repetition, Spread
from aether_load.claims.verdict import SIMULATED
from aether_load.outputs.formatting import machine_text, number, share
from aether_load.outputs.markdown import text_table
from aether_load.outputs.table import filled, write_table
from aether_load.outputs.terminal import short_path
from aether_load.text import markdown_text, terminal_text, with_safe_texts

HEADER = ("claim", "published", "measured (95 % interval)", "of possible", "verdict")
CELLS_HEADER = ("configuration", "repetitions", "mean ms", "p50 ms", "p95 ms", "p99 ms", "speed-up", "bound")
HITS_HEADER = ("pattern", "requests", "different", "hit rate (95 % interval)", "possible")
WORDS = {"supported": "supported", "not_supported": "not supported", "not_decided": "not decided"}
SPREAD_NOTE = "Mean ± standard deviation over repetitions; the speed-up is of p50, the median over repetitions."
Table = tuple[str, tuple[str, ...], list[tuple[str, ...]], str]
"""Title, header, rows, and a note."""
_WIDTH = 120
_DIGITS = {"ms": 1, "x": 2, "tokens": 0, "requests/s": 0}


def write_claims_text(report: ClaimsReport, files: Sequence[Path], out: TextIO) -> None:
    """Write the claims for the terminal: the table, the reasons, what is behind them."""
    report = with_safe_texts(report, terminal_text)
    out.write(f"\naether-load claims: {what(report)}\n\n")
    write_table([HEADER, *((row.claim.claim, *cells(row, report)) for row in report.claims)], out)
    if not report.simulated:
        out.write("\nwhy\n")
        said = (f"{row.claim.claim} ({row.claim.published}): {row.reason}" for row in report.claims)
        out.writelines(filled(text, _WIDTH) for text in said)
    for title, head, rows, note in tables(report):
        out.write(f"\n{title}\n")
        write_table([head, *rows], out)
        out.write(f"  {note}\n" if note else "")
    out.write("\nruns\n")
    out.writelines(filled(line, _WIDTH) for line in run_lines(report))
    if files:
        out.write("\nfiles\n" + "".join(f"  {terminal_text(short_path(path))}\n" for path in files))
    out.write(f"\n{summary(report)}\n")


def write_claims_markdown(report: ClaimsReport, out: TextIO) -> None:
    """Write the same as Markdown, with source and condition of each claim."""
    out.write(f"### aether-load claims\n\n{markdown_text(summary(report))}\n\n{markdown_text(what(report))}\n\n")
    header = (*HEADER, "why", "source", "condition")
    rows = [
        (row.claim.claim, *cells(row, report), row.reason, row.claim.source, row.claim.condition)
        for row in report.claims
    ]
    out.write(text_table(header, rows) + "\n")
    for title, head, more, note in tables(report):
        out.write(f"**{markdown_text(title)}**\n\n")
        out.write(text_table(head, more) + "\n")
        out.write(f"{markdown_text(note)}\n\n" if note else "")
    out.writelines(f"- {markdown_text(line)}\n" for line in run_lines(report))


def what(report: ClaimsReport) -> str:
    """Return in one line what was measured."""
    urls = (f"{target.generation.value} at {target.url}" for target in report.targets)
    kinds = dict.fromkeys(target.generation.value for target in report.targets)
    # Each run starts a simulated runtime of its own, on a port of its own.
    where = ", ".join(kinds if report.simulated else urls) or "none"
    labels = "".join(f", {key}={value}" for key, value in report.labels.items())
    datasets = ", ".join(f"{one.rows_used} rows of {one.name}" for one in report.datasets)
    kind = "SIMULATED runtime" if report.simulated else "runtime"
    return f"{kind} {where}{labels}{f'; {datasets}' if datasets else ''}"


def summary(report: ClaimsReport) -> str:
    """Return how many claims have which verdict, and what stands against all of them."""
    counts = {finding: sum(row.verdict == finding for row in report.claims) for finding in WORDS}
    said = ", ".join(f"{count} {WORDS[finding]}" for finding, count in counts.items())
    cut = "; INTERRUPTED: what is complete is reported" if report.ended_as == "interrupted" else ""
    return f"{len(report.claims)} claims: {said}{cut}{f'; {SIMULATED}' if report.simulated else ''}"


def cells(row: ClaimReport, report: ClaimsReport) -> tuple[str, str, str, str]:
    """Return a claim's cells behind its name."""
    verdict = SIMULATED if report.simulated else WORDS[row.verdict]
    return row.claim.published, figure(row.measured), possible(row.measured), verdict


def figure(measured: Measured) -> str:
    """Return a figure with its interval, `-` where it was not measured."""
    if measured.value is None:
        return "-"
    value = _number(measured.value, measured.unit)
    unit = {"ms": " ms", "x": " x", "requests/s": " /s"}.get(measured.unit, "")
    if measured.low is None:
        return f"{value}{unit}"
    high = "no bound" if measured.high is None else _number(measured.high, measured.unit)
    return f"{value}{unit} [{_number(measured.low, measured.unit)}, {high}]"


def _number(value: float, unit: str) -> str:
    return share(value) if unit == "share" else f"{value:,.{_DIGITS[unit]}f}"


def possible(measured: Measured) -> str:
    """Return the measured part of what the dependencies, or the repetitions, allow."""
    if measured.of_possible is None or measured.possible is None:
        return "-"
    return f"{measured.of_possible:.0%} of {_number(measured.possible, measured.unit)}"


def tables(report: ClaimsReport) -> Iterator[Table]:
    """Yield each table behind the claims; each row says so where it is simulated."""
    mark = [SIMULATED] if report.simulated else []
    head = ["says"] if report.simulated else []
    if report.configurations:
        rows = [(*cells_of(one), *mark) for one in report.configurations]
        yield "latency over repetitions", (*CELLS_HEADER, *head), rows, SPREAD_NOTE
    if report.repetitions:
        rows = [(*_hit_cells(one), *mark) for one in report.repetitions]
        yield "cache hits where requests come again", (*HITS_HEADER, *head), rows, ""


def cells_of(one: Configuration) -> tuple[str, ...]:
    """Return a configuration's cells of the paper's tables."""
    speedup = number(one.speedup, 2)
    if one.speedup is not None and one.speedup_low is not None and one.speedup_high is not None:
        speedup += f" [{one.speedup_low:.2f}, {one.speedup_high:.2f}]"
    spreads = (one.latency_mean_ms, one.latency_p50_ms, one.latency_p95_ms, one.latency_p99_ms)
    return (
        f"{one.scenario}/{one.phase}",
        str(one.repetitions_total),
        *map(spread, spreads),
        speedup,
        number(one.speedup_bound, 2),
    )


def spread(value: Spread) -> str:
    """Return a mean with its standard deviation."""
    return number(value.mean, 1) if value.stddev is None else f"{value.mean:.1f} ± {value.stddev:.1f}"


def _hit_cells(one: Repetition) -> tuple[str, ...]:
    return (
        f"{one.scenario}/{one.phase}",
        str(one.requests_total),
        str(one.distinct_prompts),
        figure(one.hit_rate),
        share(one.hit_rate.possible),
    )


def run_lines(report: ClaimsReport) -> Iterator[str]:
    """Yield a line for each run, and what it ran on."""
    mark = f"; {SIMULATED}" if report.simulated else ""
    yield from (f"{_run_text(run)}{mark}" for run in report.runs)
    machine, git = report.environment.get("machine", {}), report.environment.get("git", {})
    if machine:
        yield f"machine: {machine_text(machine)}"
    if git.get("commit"):
        yield f"commit of the folder: {git['commit']}{' with changes' if git.get('dirty') else ''}"


def _run_text(run: MeasuredRun) -> str:
    codes = ", ".join(f"{code}{f' ({count})' if count > 1 else ''}" for code, count in run.warnings.items())
    reasons = f" ({'; '.join(run.reasons)})" if run.reasons else ""
    return f"{run.id}: {run.status}{reasons}{f'; warnings: {codes}' if codes else ''}"
