"""A comparison as text for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import groupby
from typing import TextIO

import msgspec

from aether_load.compare.comparison import CAVEAT, ComparedRow, Comparison, Figure
from aether_load.outputs.markdown import table
from aether_load.text import markdown_text

_DIGITS = {"ms": 1, "requests/s": 1, "share": 3, "tokens": 1}


def write_text(comparison: Comparison, out: TextIO) -> None:
    """Write which runs they are, whether they may be ranked, and a table a phase."""
    for run in comparison.runs:
        commit = (run.commit or "no commit")[:12]
        out.write(f"{run.letter}  {run.id}  {run.target_kind}, {commit}, {run.status}\n")
    out.write("\n")
    if not comparison.comparable:
        out.write("NOT COMPARABLE, and so not ranked:\n" + "".join(f"  {why}\n" for why in comparison.obstacles) + "\n")
    for phase, rows in groupby(comparison.rows, key=lambda row: row.phase):
        out.write(f"phase {phase}\n")
        lines = [_header(comparison), *(_cells(row, ranked=comparison.comparable) for row in rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for line in lines:
            cells = [cell.ljust(widths[place]) if place < 2 else cell.rjust(widths[place])
                     for place, cell in enumerate(line)]  # fmt: skip
            out.write(f"  {'  '.join(cells)}".rstrip() + "\n")
        out.write("\n")
    if comparison.comparable:
        out.write(f"{CAVEAT}\n")


def write_markdown(comparison: Comparison, out: TextIO) -> None:
    """Write the same as Markdown."""
    out.write(f"### aether-load: {len(comparison.runs)} runs side by side\n\n")
    for run in comparison.runs:
        commit = (run.commit or "no commit")[:12]
        facts = markdown_text(f"{run.id}: {run.target_kind}, {commit}, {run.status}")
        out.write(f"- **{run.letter}** {facts}\n")
    out.write("\n")
    if not comparison.comparable:
        out.write("**Not comparable**, and so not ranked:\n\n")
        out.write("".join(f"- {markdown_text(why)}\n" for why in comparison.obstacles) + "\n")
    for phase, rows in groupby(comparison.rows, key=lambda row: row.phase):
        out.write(f"#### {markdown_text(phase)}\n\n")
        cells = [tuple(map(markdown_text, _cells(row, ranked=comparison.comparable))) for row in rows]
        out.write(table(_header(comparison), cells) + "\n")
    if comparison.comparable:
        out.write(f"{CAVEAT}\n")


def write_json(comparison: Comparison, out: TextIO) -> None:
    """Write the comparison's value."""
    out.write(msgspec.json.format(msgspec.json.encode(comparison), indent=2).decode() + "\n")


WRITERS: Mapping[str, Callable[[Comparison, TextIO], None]] = {
    "text": write_text,
    "markdown": write_markdown,
    "json": write_json,
}


def _header(comparison: Comparison) -> tuple[str, ...]:
    first, *others = comparison.runs
    header = ["dataset", "figure", first.letter]
    for run in others:
        header += [run.letter, f"{run.letter}/{first.letter}"]
        if comparison.comparable:
            header.append(f"{run.letter} is")
    return tuple(header)


def _cells(row: ComparedRow, *, ranked: bool) -> tuple[str, ...]:
    unit = "" if row.unit == "share" else f", {row.unit}"
    return (row.dataset, f"{row.figure}{unit}", *_run_cells(row, ranked=ranked))


def _run_cells(row: ComparedRow, *, ranked: bool) -> Iterator[str]:
    for place, (figure, ratio, rank) in enumerate(zip(row.runs, row.ratio, row.rank, strict=True)):
        yield figure_text(figure, _DIGITS[row.unit])
        if place:
            yield "-" if ratio is None else f"{ratio:.3f}"
            if ranked:
                yield rank or "-"


def figure_text(figure: Figure | None, digits: int) -> str:
    """Return a figure with its interval, `-` where it was not measured."""
    if figure is None or (figure.value is None and figure.low is None):
        return "-"
    if figure.value is None:
        return (
            f">= {figure.low:.{digits}f}"
            if figure.high is None
            else f"{figure.low:.{digits}f} to {figure.high:.{digits}f}"
        )
    text = f"{'>= ' if figure.at_least else ''}{figure.value:.{digits}f}"
    if figure.low is None or figure.high is None:
        return text
    return f"{text} [{figure.low:.{digits}f}, {figure.high:.{digits}f}]"
