"""Draw a comparison: one chart a figure, the runs next to each other, with their intervals."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.analysis.report import Report
from aether_load.bounded import read_bounded
from aether_load.compare.comparison import Comparison
from aether_load.outputs.charts.chart import (
    Chart,
    bare,
    bars,
    colours,
    file_stem,
    interval_tooltip,
    layer,
    names,
    part_colours,
    quantity,
)
from aether_load.outputs.charts.drawing import DrawingProcess, static_svg, write_picture
from aether_load.rundata.folder import write_whole
from aether_load.text import json_document, with_safe_texts, xml_text

FOLDER = "comparison_charts"
MOST_ROWS = 60
MOST_COLOURS = 8
"""Runs that have a colour each; of more, each has a row."""
MOST_LINES = 240
"""Rows of a chart with a row a run."""
_FIRST, _UNRANKED = "the first", "not ranked"
_MOST_BYTES = 1 << 30
_LIST = "comparison.json"


def comparison_charts(comparison: Comparison, reports: Sequence[Report]) -> list[Chart]:
    """Return a chart of each figure that a run has, and one of where the time went in each."""
    figures = dict.fromkeys(row.figure for row in comparison.rows)
    charts = [_figure(comparison, figure) for figure in figures]
    decomposition = _decomposition(comparison, reports)
    return [*charts, *([decomposition] if decomposition else [])]


def _figure(comparison: Comparison, figure: str) -> Chart:
    letters = [run.letter for run in comparison.runs]
    few = len(letters) <= MOST_COLOURS
    all_rows = [row for row in comparison.rows if row.figure == figure]
    rows = all_rows[: MOST_ROWS if few else max(1, MOST_LINES // len(letters))]
    values = [
        {"where": f"{row.phase}, {row.dataset}", "run": letters[place], "value": run.value, "low": run.low,
         "high": run.high, "rank": _FIRST if not place else row.rank[place] or _UNRANKED,
         "row": f"{row.phase}, {row.dataset}  {letters[place]}"}
        for row in rows
        for place, run in enumerate(row.runs)
        if run is not None
    ]  # fmt: skip
    unit = rows[0].unit
    # So many colours are not told apart: each run has a row then, and the colour says how it ranks beside the first.
    ranks = [_FIRST, "better", "worse", "not told apart", _UNRANKED]
    shared = (
        {
            "y": names("where", 220),
            "yOffset": {"field": "run", "sort": None},
            "color": colours("run", letters, range(len(letters))),
        }
        if few
        else {"y": names("row", 260), "color": colours("rank", ranks, [0, 2, 3, 7, 5])}
    )
    x = quantity("value", unit, scale={"zero": unit != "ms"})
    bounded = [value for value in values if value["low"] is not None and value["high"] is not None]
    shape = {"condition": {"test": "datum.at_least", "value": "triangle-right"}, "value": "circle"}
    mark, tip = {"type": "point", "filled": True, "size": 60, "opacity": 1}, interval_tooltip("run", "where")
    point = {"mark": mark, "encoding": {**shared, "x": x, "shape": shape, "tooltip": tip}}
    rule = layer(bounded, {"type": "rule", "strokeWidth": 2}, **shared, x={**x, "field": "low"}, x2={"field": "high"})
    spec = bare(values) | {
        "height": {"step": 14},
        "layer": [point, rule] if bounded else [point],
        "title": _title(comparison, figure, len(all_rows) - len(rows)),
    }
    return Chart(name=file_stem(figure.replace(" ", "-")), section="compare", title=figure, caption="", spec=spec)


def _title(comparison: Comparison, figure: str, left_out: int = 0) -> dict[str, Any]:
    runs = [f"{run.letter}: {run.id} ({run.target_kind})" for run in comparison.runs]
    note = (
        ["points with their 95 % interval; a triangle is there or higher"]
        if comparison.comparable
        else ["NOT COMPARABLE: see the table for why"]
    )
    if left_out:
        note.append(f"{left_out} more phases and datasets are in {_LIST}")
    return {
        "text": figure, "subtitle": [*runs, *note], "anchor": "start", "color": "var(--ink)",
        "subtitleColor": "var(--faint)",
    }  # fmt: skip


def _decomposition(comparison: Comparison, reports: Sequence[Report]) -> Chart | None:
    values = [
        {"where": f"{phase.name}, {run.letter}", "part": PART_NAMES[name], "order": order,
         "ms": part.mean_contribution_ms, "at": at}
        for run, report in zip(comparison.runs, reports, strict=True)
        for at, phase in enumerate(phase for phase in report.phases if phase.search is None)
        for order, (name, part) in enumerate(parts_of(phase.decomposition))
        if part.mean_contribution_ms and at < MOST_ROWS // len(reports)
    ]  # fmt: skip
    if not values:
        return None
    values.sort(key=lambda value: (value["at"], value["where"]))
    x = {"field": "ms", "stack": "zero", "axis": {"title": "mean ms"}}
    spec = bars(values, names("where", 220), part_colours(values), **x) | {
        "height": {"step": 24},
        "title": _title(comparison, "mean response latency, part by part"),
    }
    return Chart(name="decomposition", section="compare", title="decomposition", caption="", spec=spec)


def write_charts(folder: Path, comparison: Comparison, charts: Sequence[Chart]) -> str | None:
    """Write the comparison as JSON and each chart as SVG and PNG, in place of those of the last comparison.

    What an earlier comparison wrote stands in its JSON; nothing else in the folder is touched. The charts are drawn in
    a child, which the engine may end by force; returns why there are none then, in half a sentence. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _written_before(folder):
        (folder / name).unlink(missing_ok=True)
    command = [sys.executable, "-m", "aether_load.compare.charts", str(folder)]
    safe = msgspec.json.encode([with_safe_texts(chart, xml_text) for chart in charts])
    why = DrawingProcess(command).wait(safe)
    written = [f"{chart.name}.{kind}" for chart in charts for kind in ("svg", "png")] if why is None else []
    write_whole(folder / _LIST, json_document(msgspec.to_builtins(comparison) | {"charts": written}).encode())
    return why


def main() -> int:
    """Draw the charts that standard input has as JSON into the folder that the argument names."""
    folder = Path(sys.argv[1])
    try:
        for chart in msgspec.json.decode(sys.stdin.buffer.read(), type=list[Chart]):
            write_picture(folder, chart.name, static_svg(chart))
    except ImportError:
        sys.stderr.write("what draws them is not installed: pip install 'aether-load[charts]'\n")
        return 1
    return 0


def _written_before(folder: Path) -> list[str]:
    try:
        plain = msgspec.json.decode(read_bounded(folder / _LIST, _MOST_BYTES))
    except (OSError, msgspec.DecodeError, RecursionError):
        return []
    listed = plain.get("charts", []) if isinstance(plain, dict) else []
    return [
        name for name in listed if isinstance(name, str) and Path(name).name == name and name.endswith((".svg", ".png"))
    ]


if __name__ == "__main__":
    sys.exit(main())
