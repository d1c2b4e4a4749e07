"""Print the figures of all benchmarks, beside those of an earlier run, and as a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

NOTEWORTHY = 1.2
"""A shared machine's speed varies by this much from one minute to the next."""


class Figure(NamedTuple):
    """A figure of one program under one load."""

    load: str
    program: str
    what: str
    value: float
    unit: str
    more_is_better: bool = False

    def key(self, benchmark: str) -> tuple[str, ...]:
        """Return what names the figure in every run."""
        return (benchmark, self.load, self.program, self.what, self.unit)

    @property
    def text(self) -> str:
        """Return the value with its unit."""
        return f"{self.value:,.4g} {self.unit}".strip() if self.value < 10_000 else f"{self.value:,.0f} {self.unit}"


def compared(figure: Figure, before: float | None) -> str:
    """Return how a figure stands beside an earlier one: its ratio, and a word where that is more than noise."""
    if not before:
        return "" if before is None else f"was {before:g}"
    ratio = figure.value / before
    if 1 / NOTEWORTHY < ratio < NOTEWORTHY:
        return f"x{ratio:.2f}"
    return f"x{ratio:.2f} {'better' if (ratio > 1) == figure.more_is_better else 'worse'}"


def print_table(
    figures: Sequence[tuple[str, Figure]], earlier: Mapping[tuple[str, ...], float], earlier_utc: str | None
) -> None:
    """Print a line a figure, with its ratio to the earlier one where there is one."""
    heads = ("benchmark", "load", "program", "figure", "value", f"to {earlier_utc}" if earlier_utc else "")
    rows = [
        (name, figure.load, figure.program, figure.what, figure.text, compared(figure, earlier.get(figure.key(name))))
        for name, figure in figures
    ]
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for row in (heads, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def markdown_page(about: Mapping[str, Any], figures: Sequence[tuple[str, Figure]], failed: Mapping[str, str]) -> str:
    """Return the figures as docs/performance.md: the machine first, then a row a figure, peers beside ours."""
    machine = ", ".join(f"{key} {value}" for key, value in about["machine"].items())
    command = "python benchmarks/all.py" + (" --quick" if about["quick"] else "")
    lines = [
        "# Performance", "",
        f"What `{command}` measured at {about['utc']}, in one run, peers beside ours.",
        "", f"Machine: {machine}. Load average before: {about['load_average']}.", "",
        "Figures of a shared machine vary by a fifth from one minute to the next: compare those of one table.", "",
        "| benchmark | load | program | figure | value |", "|---|---|---|---|--:|",
    ]  # fmt: skip
    lines += [
        f"| {name} | {figure.load} | {figure.program} | {figure.what} | {figure.text} |" for name, figure in figures
    ]
    lines += [f"\n{name} gave no figures: {why}." for name, why in failed.items()]
    return "\n".join(lines) + "\n"
