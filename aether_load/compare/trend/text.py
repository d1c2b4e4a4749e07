"""Write a trend: its change points, newest first, and what was not searched."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TextIO

from aether_load.compare.trend.change_points import FEWEST_RUNS
from aether_load.compare.trend.trend import ChangePoint, Searched, Trend, run_text, size_text
from aether_load.outputs.markdown import text_table
from aether_load.outputs.table import columns_of, fitted, write_table
from aether_load.text import json_document, markdown_text, terminal_text, with_safe_texts

_WIDEST = 120
MOST_LINES = 40
"""Steps that a terminal shows: change points of one series and one run. trend.md and trend.json have each point."""
MOST_REGRESSIONS = 6
MOST_UNDECIDED = 4
HEADER = ("series", "metric", "size with 95 % interval", "kind", "last before", "first after", "runs since")
_LEFT_OUT = ("runs since", "last before")
"""Columns that a narrow terminal does not show, the first one first."""
NONE_FOUND = "No figure changed."


def change_rows(trend: Trend) -> list[tuple[str, ...]]:
    """Return the change points as cells under `HEADER`: the newest first, of one run the judged and the whole first."""
    found = [(one, change) for one in trend.histories for change in one.changes]
    judged = trend.terms.judged
    found.sort(
        key=lambda pair: (
            -pair[1].first_after,
            pair[0].history.metric not in judged,
            pair[0].history.dataset != "all",
            pair[0].history.series,
        )
    )
    return [_row(trend, one, change) for one, change in found]


def steps_of(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return one row for the figures of a series that moved the same way between the same runs: the first of them."""
    steps: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
    for row in rows:
        steps.setdefault((row[0], *row[3:]), []).append(row)
    return [(*row[:1], f"{row[1]}, {len(more)} more" if more else row[1], *row[2:]) for row, *more in steps.values()]


def _row(trend: Trend, one: Searched, change: ChangePoint) -> tuple[str, ...]:
    return (
        one.history.series,
        one.history.metric,
        size_text(change),
        change.kind,
        run_text(trend.runs[change.last_before]),
        run_text(trend.runs[change.first_after]),
        str(change.runs_since),
    )


def facts(trend: Trend) -> Iterator[str]:
    """Yield what was searched, on which machines, and what was left out, a sentence each."""
    runs = trend.runs
    yield (
        f"{len(runs)} runs from {runs[0].time_utc[:10]} to {runs[-1].time_utc[:10]}; {trend.searched_total} of "
        f"{len(trend.histories)} histories have the {FEWEST_RUNS} runs that a search needs."
    )
    machines = Counter(run.machine for run in runs)
    if len(machines) > 1:
        said = "; ".join(f"{name} ({count} runs)" for name, count in machines.items())
        yield f"{len(machines)} machines, whose histories are not mixed: {said}."
    if left := sum(not run.trusted for run in runs):
        yield f"{left} runs were invalid, undecided or cut off: shown, and not searched."
    yield from trend.undecided[:MOST_UNDECIDED]
    if len(trend.undecided) > MOST_UNDECIDED:
        yield f"{len(trend.undecided) - MOST_UNDECIDED} further judged figures were not searched either."


def verdict(trend: Trend) -> list[str]:
    """Return the regressions, or the sentence that there is none."""
    terms = trend.terms
    what = f"a loss beyond {100 * terms.margin:g} % within the last {terms.last_runs} runs"
    if not trend.searched_total:
        return [f"Too few runs: no history has {FEWEST_RUNS} runs on one machine that can be searched."]
    if not trend.regressions:
        return [f"No regression: no newest change point is {what}."]
    whole_first = sorted(trend.regressions, key=lambda one: trend.histories[one.history].history.dataset != "all")
    return [f"Regression: {one.sentence}." for one in whole_first]


def write_text(trend: Trend, out: TextIO) -> None:
    """Write it for a terminal."""
    trend = with_safe_texts(trend, terminal_text)
    out.writelines(f"{textwrap.fill(fact, _WIDEST)}\n" for fact in facts(trend))
    points = change_rows(trend)
    rows = steps_of(points)
    out.write("\n")
    if rows:
        write_table(fitted(columns_of(HEADER, rows[:MOST_LINES], _LEFT_OUT), _WIDEST), out)
        if len(rows) > MOST_LINES:
            out.write(f"  and {len(rows) - MOST_LINES} more; trend.md has all {len(points)} change points\n")
    else:
        out.write(f"{NONE_FOUND}\n")
    out.write("\n")
    said = verdict(trend)
    more = [f"and {len(said) - MOST_REGRESSIONS} more, in trend.md"] if len(said) > MOST_REGRESSIONS else []
    out.writelines(
        f"{textwrap.fill(line, _WIDEST, subsequent_indent='  ')}\n" for line in (*said[:MOST_REGRESSIONS], *more)
    )


def write_markdown(trend: Trend, out: TextIO) -> None:
    """Write the same as Markdown."""
    out.write("### aether-load: trend\n\n")
    out.write("".join(f"{markdown_text(line)}\n\n" for line in verdict(trend)))
    out.write("".join(f"- {markdown_text(fact)}\n" for fact in facts(trend)) + "\n")
    rows = change_rows(trend)
    out.write(text_table(HEADER, rows) if rows else f"{NONE_FOUND}\n")


def write_json(trend: Trend, out: TextIO) -> None:
    """Write the trend's value."""
    out.write(json_document(trend, indent=1))


WRITERS: Mapping[str, Callable[[Trend, TextIO], None]] = {
    "text": write_text,
    "markdown": write_markdown,
    "json": write_json,
}
