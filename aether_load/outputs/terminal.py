"""Write the summary of a report on one screen: the answer, a row a phase, the warnings, the files."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.outputs.answer import findings, threshold_lines, verdict_name, why
from aether_load.outputs.details import by_code, write_details
from aether_load.outputs.formatting import bounded, cached_share, failures_text, number, share
from aether_load.outputs.probes import probe_columns
from aether_load.outputs.table import Column, fitted, table_lines
from aether_load.scenario.warning_codes import MEANINGS, WarningCode
from aether_load.text import shorten, terminal_text, with_safe_texts

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.rows import Row
    from aether_load.analysis.report import Report

NARROWEST, WIDEST, USUAL = 80, 120, 100
MOST_LINES = 60
_MOST_REASON_LINES = 3
_MOST_FINDINGS = 6
_MOST_THRESHOLDS = 8
_MOST_WARNINGS = 12
_MOST_DATASETS = 6
_MOST_ERRORS = 3
_LEAST_ROWS = 6
_STYLES = {
    "PASSED": "bold green", "FAILED": "bold red", "THRESHOLD FAILED": "bold red", "INVALID": "bold yellow",
    "INCONCLUSIVE": "bold yellow", "INTERRUPTED": "bold yellow", "broken": "red", "undecided": "yellow",
    "holds": "green",
}  # fmt: skip


def write_summary(
    report: Report,
    files: Sequence[Path],
    out: TextIO,
    *,
    verbose: bool = False,
    width: int | None = None,
    is_terminal: bool | None = None,
) -> None:
    """Write the answer first, then a row a phase, a line a warning, and the files; with `verbose` all the rest too.

    The summary has at most 60 lines, and 40 for one phase. It is in colour on a terminal, unless NO_COLOR is set.
    """
    report = with_safe_texts(report, terminal_text)
    lines = map(terminal_text, _lines(report, files, width or _width_of(out), verbose=verbose))
    _write(list(lines), out, is_terminal=out.isatty() if is_terminal is None else is_terminal)
    if verbose:
        write_details(report, out)


def short_path(path: Path) -> str:
    """Return a path as seen from here, or whole where it lies elsewhere."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _lines(report: Report, files: Sequence[Path], width: int, *, verbose: bool) -> Iterator[str]:
    """Yield the summary's lines; the table of phases gets as many as the rest leaves it."""
    before = list(_answer(report, width))
    after = [*_below_the_table(report, width), *_warnings(report, width), *_files(files, width)]
    if not verbose and files:
        after += ["", f"More: aether-load report {short_path(files[0])}"]
    room = max(_LEAST_ROWS, MOST_LINES - len(before) - len(after) - 2)
    yield from before
    yield from _phases(report, width, room)
    yield from after


def _answer(report: Report, width: int) -> Iterator[str]:
    """Yield what ran on what, the verdict and why, and what the run found out."""
    target = report.target
    who = "SIMULATED runtime" if target.kind == "simulated" else "runtime"
    labels = "".join(f", {key}={value}" for key, value in report.run.labels.items())
    yield ""
    yield shorten(
        f"aether-load: {report.run.scenario}{labels} on {who} {target.generation.value} at {target.url}", width
    )
    yield ""
    verdict = report.verdict
    reason = why(report)
    yield from _wrapped(f"{verdict_name(report)} (exit code {verdict.exit_code}): {reason}", width, _MOST_REASON_LINES)
    if len(verdict.reasons) == 2:
        yield from _wrapped(f"  {verdict.reasons[1]}", width, _MOST_REASON_LINES)
    elif len(verdict.reasons) > 2:
        yield f"  and {len(verdict.reasons) - 1} more reasons"
    said = [search.sentence for search in report.searches if search.sentence in reason]
    new = [found for found in findings(report) if found != reason and not any(sentence in found for sentence in said)]
    for found in new[:_MOST_FINDINGS]:
        yield from _wrapped(f"  {found}", width, 2)
    thresholds = threshold_lines(report)
    for state, text in thresholds[:_MOST_THRESHOLDS]:
        yield shorten(f"  {state:9}  {text}", width)
    if len(thresholds) > _MOST_THRESHOLDS:
        yield f"  and {len(thresholds) - _MOST_THRESHOLDS} more thresholds"


def _phases(report: Report, width: int, room: int) -> Iterator[str]:
    """Yield the table with a row a phase, and one a search with a row a probe."""
    phases = [phase for phase in report.phases if phase.search is None]
    tables = [(_columns(phases), "phases")] if phases else []
    tables += [(probe_columns(search), "probes") for search in report.searches if search.probes]
    for columns, what in tables:
        header, *rows = table_lines(fitted(columns, width))
        yield ""
        yield header
        yield from _within(rows, max(_LEAST_ROWS, room // len(tables)), what)


def _within(rows: Sequence[str], room: int, what: str) -> Iterator[str]:
    """Yield rows, and where there are more than room for, the first and the last."""
    if len(rows) <= room - 1:
        yield from rows
        return
    first = (room - 2) // 2
    yield from rows[:first]
    yield f"  ... {len(rows) - (room - 2)} more {what} ..."
    yield from rows[len(rows) - (room - 2 - first) :]


def _columns(phases: Sequence[PhaseReport]) -> list[Column]:
    rows = [phase.all for phase in phases]
    columns = [
        Column("phase", tuple(phase.name for phase in phases)),
        Column("load", tuple(map(_load, phases))),
        Column("req/s", tuple(number(row.request_throughput_rps, 1) for row in rows)),
    ]
    is_open = any(phase.load == "open" for phase in phases)
    if is_open:
        columns.append(Column("service p50", tuple(_point(row, "p50", "service") for row in rows), rank=2))
    columns += [
        *_points(rows, is_open=is_open),
        Column("failed", tuple(map(_failed, rows))),
        Column("cached", tuple(map(cached_share, phases)), rank=3),
    ]
    if any(row.accuracy is not None for row in rows):
        columns.append(Column("accuracy", tuple(_accuracy(row) for row in rows), rank=1))
    return [*columns, Column("trusted", tuple(_trusted(phase) for phase in phases))]


def _below_the_table(report: Report, width: int) -> Iterator[str]:
    """Yield what failed, and of a single phase its datasets and where its time went."""
    outcomes, errors = Counter[str](), Counter[str]()
    for phase in report.phases:
        outcomes.update({name: count for name, count in phase.all.outcomes.items() if count})
        for error in phase.errors:
            errors[f"{error.outcome}: {error.text}"] += error.requests_total
    if failures := failures_text(outcomes):
        yield shorten(f"  failed: {failures}", width)
    for said, count in errors.most_common(_MOST_ERRORS):
        yield shorten(f"    {count} {terminal_text(said)}", width)
    if len(report.phases) != 1:
        return
    (phase,) = report.phases
    yield from _datasets(phase, width)
    parts = [
        f"{PART_NAMES[name]} {part.mean_contribution_ms:.1f} ms ({share(part.mean_share)})"
        for name, part in parts_of(phase.decomposition)
        if part.mean_share is not None and part.mean_share >= 0.0005
    ]
    if parts:
        yield ""
        yield from _wrapped(f"  mean latency: {', '.join(parts)}", width, 2)
    if phase.tail_sentence:
        yield from _wrapped(f"  {phase.tail_sentence}", width, 2)


def _points(rows: Sequence[Row], *, is_open: bool) -> Iterator[Column]:
    """Yield the columns of response latency's percentiles, which stand beside service latency in open load."""
    headers = ("response p50", "p95", "p99") if is_open else ("p50 ms", "p95 ms", "p99 ms")
    for header, point in zip(headers, ("p50", "p95", "p99"), strict=True):
        yield Column(header, tuple(_point(row, point) for row in rows))


def _datasets(phase: PhaseReport, width: int) -> Iterator[str]:
    """Yield a table of a phase's datasets, where there are several."""
    rows = phase.datasets
    if len(rows) < 2:
        return
    shown = rows if len(rows) <= _MOST_DATASETS else rows[: _MOST_DATASETS - 1]
    columns = [
        Column("dataset", tuple(row.dataset for row in shown)),
        Column("requests", tuple(str(row.requests_total) for row in shown)),
        *_points(shown, is_open=phase.load == "open"),
        Column("failed", tuple(map(_failed, shown))),
    ]
    if any(row.accuracy is not None for row in shown):
        columns.append(Column("accuracy", tuple(map(_accuracy, shown))))
    yield ""
    yield from table_lines(fitted(columns, width))
    if len(rows) > len(shown):
        yield f"  ... {len(rows) - len(shown)} more datasets ..."


def _warnings(report: Report, width: int) -> Iterator[str]:
    """Yield a line for each code with the phases that it concerns."""
    found = by_code(report.warnings)
    if not found:
        return
    yield ""
    yield "warnings"
    several = len(report.phases) > 1
    broad = max(map(len, found))
    for code, mine in list(found.items())[:_MOST_WARNINGS]:
        named = list(dict.fromkeys(warning.phase for warning in mine if warning.phase))
        said = mine[-1].message if code == WarningCode.NOTE else MEANINGS[mine[0].code].meaning
        text = f"  {code:{broad}}  {said}"
        yield _with_phases(text, named, width) if several and named else shorten(text, width)
    if len(found) > _MOST_WARNINGS:
        yield f"  and {len(found) - _MOST_WARNINGS} more kinds of warning"


def _with_phases(text: str, named: Sequence[str], width: int) -> str:
    """Return a line with the phases that it concerns, as many as there is room for."""
    for shown in (", ".join(named), f"{len(named)} phases: {', '.join(named[:2])}, ...", f"{len(named)} phases"):
        if len(text) + len(shown) + 3 <= width:
            return f"{text} ({shown})"
    return shorten(text, width)


def _files(files: Sequence[Path], width: int) -> Iterator[str]:
    """Yield the page, the run's folder, and the other files, those of one folder on one line."""
    if not files:
        return
    yield ""
    yield "files"
    others: dict[Path, list[str]] = {}
    for path in files:
        if path.name == "report.html":
            yield f"  page  {short_path(path)}"
        elif path == files[0]:
            yield f"  run   {short_path(path)}"
        else:
            others.setdefault(path.parent, []).append(path.name)
    for folder, names in others.items():
        yield from _wrapped(f"  also  {', '.join(names)} in {short_path(folder)}", width, 2)


def _load(phase: PhaseReport) -> str:
    if phase.open_load is not None:
        target = phase.open_load.target_rps
        return "varying" if target is None else f"{target:g}/s"
    if phase.users is None:
        return "varying"
    return f"{phase.users} user{'s' if phase.users != 1 else ''}"


def _point(row: Row, name: str, latency: str = "response") -> str:
    found = getattr(row, f"{latency}_latency_ms")
    return "-" if found is None else bounded(getattr(found, name)).replace(">= ", ">=")


def _failed(row: Row) -> str:
    failed = row.requests_total - row.ok_total
    return f"{failed} ({failed / row.requests_total:.1%})" if failed else "0"


def _accuracy(row: Row) -> str:
    return "-" if row.accuracy is None else f"{row.accuracy.value:.1%}"


def _trusted(phase: PhaseReport) -> str:
    trust = phase.reconciliation.trust
    return {"trusted": "yes", "no_server_data": "-"}.get(trust, "no")


def _wrapped(text: str, width: int, most: int) -> list[str]:
    """Return a text in a limited number of lines, the rest cut off."""
    indent = len(text) - len(text.lstrip())
    lines = textwrap.wrap(text, width, subsequent_indent=" " * (indent + 2), break_on_hyphens=False)
    if len(lines) > most:
        lines = [*lines[: most - 1], shorten(" ".join(lines[most - 1 :]), width)]
    return lines


def _width_of(out: TextIO) -> int:
    """Return how wide lines may be: as the terminal is, between 80 and 120 characters."""
    wide = shutil.get_terminal_size((USUAL, 24)).columns if out.isatty() or "COLUMNS" in os.environ else USUAL
    return min(WIDEST, max(NARROWEST, wide))


def _write(lines: Sequence[str], out: TextIO, *, is_terminal: bool) -> None:
    """Write the lines, with the words of states in colour on a terminal."""
    if not is_terminal or "NO_COLOR" in os.environ:
        out.writelines(f"{line}\n" for line in lines)
        return
    from rich.console import Console  # noqa: PLC0415 -- only for a terminal
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, highlight=False, soft_wrap=True, force_terminal=True)
    for line in lines:
        text = Text(line)
        for word, style in _STYLES.items():
            if line.lstrip().startswith((f"{word} ", f"{word}(")):
                text.highlight_words([word], style)
                break
        console.print(text)
