"""Write a comparison: a row a figure, a column a run."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Literal, TextIO

from aether_load.compare.comparison import CAVEAT, ComparedRow, ComparedRun, Comparison, Figure
from aether_load.outputs.markdown import table
from aether_load.outputs.output_path import write_json
from aether_load.outputs.table import filled, write_table
from aether_load.text import markdown_text, shorten, terminal_text, with_safe_texts

WIDEST = 120
MOST_COLUMNS = 8
"""Runs beside each other in a table; more stand below each other."""
_LONGEST_NAME = 11
_DIGITS = {"ms": 1, "requests/s": 1, "share": 3, "tokens": 1}
_SHORT = {
    "response latency p50": "p50 ms", "response latency p95": "p95 ms", "response latency p99": "p99 ms",
    "good answers": "good answers/s", "goodput": "goodput/s", "within the SLO": "within SLO",
    "tokens per right answer": "tokens/right",
}  # fmt: skip
_MARKS = {"better": "+", "worse": "-", "not told apart": " "}
_LEGEND = "+ better and - worse than {}, at 95 % with Holm's correction for {} ranks; without a mark: not told apart."

Detail = Literal["interval and ratio", "ratio", "value"]
_DETAILS: tuple[Detail, ...] = ("interval and ratio", "ratio", "value")


def write_text(comparison: Comparison, out: TextIO) -> None:
    """Write which runs they are, whether they may be ranked, and the tables, at most 120 characters wide."""
    comparison = with_safe_texts(comparison, terminal_text)
    out.writelines(shorten(f"{run.letter}  {'  '.join(_facts(run))}", WIDEST) + "\n" for run in comparison.runs)
    out.write("\n")
    if not comparison.comparable:
        out.write("NOT COMPARABLE, and so not ranked:\n")
        out.writelines(filled(why, WIDEST) for why in comparison.obstacles)
        out.write("\n")
    detail = next((one for one in _DETAILS if _width(comparison, one) <= WIDEST), _DETAILS[-1])
    for heading, cells in _tables(comparison, detail):
        out.write(f"{shorten(f'phase {heading}', WIDEST)}\n")
        write_table(cells, out)
        out.write("\n")
    if comparison.comparable:
        out.writelines(f"{textwrap.fill(text, WIDEST)}\n" for text in (_legend(comparison), CAVEAT))


def write_markdown(comparison: Comparison, out: TextIO) -> None:
    """Write the same as Markdown."""
    out.write(f"### aether-load: {len(comparison.runs)} runs side by side\n\n")
    out.writelines(f"- **{run.letter}** {', '.join(map(markdown_text, _facts(run)))}\n" for run in comparison.runs)
    out.write("\n")
    if not comparison.comparable:
        out.write("**Not comparable**, and so not ranked:\n\n")
        out.write("".join(f"- {markdown_text(why)}\n" for why in comparison.obstacles) + "\n")
    for heading, (header, *rows) in _tables(comparison, "interval and ratio"):
        out.write(f"#### {markdown_text(heading)}\n\n")
        # Names are texts from outside; figures are our own, and their marks are no markup.
        names = 2 if header[1] == "dataset" else 1
        cells = [(*map(markdown_text, row[:names]), *(cell.strip() for cell in row[names:])) for row in rows]
        out.write(table(tuple(map(markdown_text, header)), cells) + "\n")
    if comparison.comparable:
        out.write(f"{markdown_text(_legend(comparison))} {CAVEAT}\n")


WRITERS: Mapping[str, Callable[[Comparison, TextIO], None]] = {
    "text": write_text,
    "markdown": write_markdown,
    "json": write_json,
}


def _facts(run: ComparedRun) -> Iterator[str]:
    """Yield what tells a run from others, the name in its column first."""
    yield run.name
    yield run.id
    yield f"{run.target_kind}, {(run.commit or 'no commit')[:12]}, {run.status}"
    if run.program is not None:
        yield run.program.title
    if run.labels:
        yield ", ".join(f"{key}={value}" for key, value in run.labels.items())


def _legend(comparison: Comparison) -> str:
    ranks = sum(p is not None for row in comparison.rows for p in row.p_adjusted)
    return _LEGEND.format(comparison.runs[0].letter, ranks)


def _width(comparison: Comparison, detail: Detail) -> int:
    tables = [cells for _, cells in _tables(comparison, detail)]
    return max((sum(2 + max(map(len, column)) for column in zip(*rows, strict=True)) for rows in tables), default=0)


def _tables(comparison: Comparison, detail: Detail) -> Iterator[tuple[str, list[tuple[str, ...]]]]:
    """Yield each table with what it is of: a phase, a column a run; of many runs a phase and dataset, a row a run."""
    many = len(comparison.runs) > MOST_COLUMNS
    for phase, of_phase in groupby(comparison.rows, key=lambda row: row.phase):
        rows = list(of_phase)
        if not many:
            yield phase, _table(comparison, rows, detail)
            continue
        datasets = list(dict.fromkeys(row.dataset for row in rows))
        for dataset in datasets:
            heading = phase if datasets == ["all"] else f"{phase}, {dataset}"
            yield heading, _turned(comparison, [row for row in rows if row.dataset == dataset], detail)


def _turned(comparison: Comparison, rows: Sequence[ComparedRow], detail: Detail) -> list[tuple[str, ...]]:
    """Return header and rows of a table with a row a run and a column a figure."""
    columns = [[_SHORT.get(row.figure, row.figure), *_cells(row, detail, ranked=comparison.comparable)] for row in rows]
    return list(zip(["run", *_run_names(comparison)], *columns, strict=True))


def _table(comparison: Comparison, rows: Sequence[ComparedRow], detail: Detail) -> list[tuple[str, ...]]:
    """Return header and rows; the datasets have a column where there is one to name."""
    with_datasets = any(row.dataset != "all" for row in rows)
    lines = [("figure", *(["dataset"] if with_datasets else []), *_run_names(comparison))]
    for row in rows:
        names = [_SHORT.get(row.figure, row.figure), *([row.dataset] if with_datasets else [])]
        lines.append((*names, *_cells(row, detail, ranked=comparison.comparable)))
    return lines


def _run_names(comparison: Comparison) -> list[str]:
    return [f"{run.letter} {run.name}"[:_LONGEST_NAME] for run in comparison.runs]


def _cells(row: ComparedRow, detail: Detail, *, ranked: bool) -> Iterator[str]:
    for place, (figure, ratio, rank) in enumerate(zip(row.runs, row.ratio, row.rank, strict=True)):
        text = figure_text(figure, _DIGITS[row.unit], with_interval=detail == "interval and ratio")
        if place and ratio is not None and detail != "value":
            text += f" x{ratio:.3f}"
        # The same width with a mark and without, so that the figures stand below each other.
        yield f"{text} {_MARKS[rank] if rank else ' '}" if place and ranked else text


def figure_text(figure: Figure | None, digits: int, *, with_interval: bool = True) -> str:
    """Return a figure with its interval, `-` where it was not measured."""
    if figure is None or (figure.value is None and figure.low is None):
        return "-"
    at_least = ">=" if figure.at_least else ""
    if figure.value is None:
        return (
            f">={figure.low:.{digits}f}"
            if figure.high is None
            else f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
        )
    text = f"{at_least}{figure.value:.{digits}f}"
    if not with_interval or figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
