"""Describe the charts of latency and throughput over a run's time, with its phases marked."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aether_load.outputs.charts.chart import Chart, colours, layer, layered, quantity, tooltip

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.series import Series

MOST_POINTS = 3000
"""Steps of all phases together that a chart has at most."""
_MOST_LABELS = 8
_HELD = " The area below a line is what the sender itself may have added."
_AREA = {"type": "area", "opacity": 0.25}
_SECONDS = quantity("s", "seconds of the run", scale={"nice": False})


def time_charts(phases: Sequence[PhaseReport]) -> list[Chart | None]:
    """Return latency and throughput over time, None for one that has no step with data."""
    steps = sum(len(phase.series.second) for phase in phases)
    joined = -(-steps // MOST_POINTS)
    points = [
        {"phase": f"{place} {phase.name}", **point}
        for place, phase in enumerate(phases)
        for point in _points(phase.series, joined)
    ]
    marks = list(_marks(phases))
    longest = max((phase.series.resolution_s for phase in phases), default=1) * max(1, joined)
    each = "second" if longest == 1 else f"step of at most {longest} s"
    note = f" Of {joined} neighbouring steps, p99 is the largest and p50 the middle one." if joined > 1 else ""
    return [
        _chart(
            "time-latency", "Latency over time", f"Response latency of the answers of each {each}.{note}", "ms",
            {"p50_ms": ("p50", 0), "p99_ms": ("p99", 1)}, points, marks, list(_stalled(points)),
        ),
        _chart(
            "time-throughput", "Throughput over time", f"By {each}: requests sent, answers, and failures among them.",
            "a second", {"sent_rps": ("sent", 7), "answers_rps": ("answers", 2), "errors_rps": ("failures", 3)},
            points, marks,
        ),
    ]  # fmt: skip


def _points(series: Series, joined: int) -> Iterator[dict[str, Any]]:
    """Yield the steps of a phase, joined in groups; a last group of less than half its length is left out."""
    count = len(series.second)
    joined = max(1, joined)
    for start in range(0, count, joined):
        part = slice(start, min(start + joined, count))
        covered = sum(length or 0.0 for length in series.covered_s[part])
        if covered <= 0 or (start and covered < joined * series.resolution_s / 2):
            continue
        percentiles = {}
        for name, joint in (("p50", statistics.median_low), ("p99", max)):
            for bound in ("", "_at_least"):
                values = [ms for ms in getattr(series, f"response_latency_{name}{bound}_ms")[part] if ms is not None]
                percentiles[f"{name}{bound}_ms"] = round(joint(values), 3) if values else None
        yield {
            "s": round(series.began_s + (series.second[start] or 0.0) + covered / 2, 2),
            **percentiles,
            "sent_rps": round(sum(series.requests_sent_total[part]) / covered, 3),
            "answers_rps": round(sum(series.answers_total[part]) / covered, 3),
            "errors_rps": round(sum(series.errors_total[part]) / covered, 3),
        }


def _stalled(points: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield where each percentile lies that the sender itself may have moved; nothing where it moved none."""
    for word in ("p50", "p99"):
        known = [point for point in points if point[f"{word}_ms"] is not None]
        if any(point[f"{word}_ms"] != point[f"{word}_at_least_ms"] for point in known):
            for point in known:
                yield {
                    "s": point["s"], "phase": point["phase"], "what": word, "low": point[f"{word}_at_least_ms"],
                    "high": point[f"{word}_ms"],
                }  # fmt: skip


def _marks(phases: Sequence[PhaseReport]) -> Iterator[dict[str, Any]]:
    for place, phase in enumerate(phases):
        series = phase.series
        if series.window_began_s is not None and series.window_ended_s is not None:
            yield {
                "from": series.began_s + series.window_began_s,
                "to": series.began_s + series.window_ended_s,
                "phase": phase.name,
                "even": place % 2 == 0,
            }


def _windows(marks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the layer that shades each phase's window, neighbours differently."""
    return layer(
        marks,
        {"type": "rect", "color": "var(--c7)"},
        x={**_SECONDS, "field": "from"},
        x2={"field": "to"},
        opacity={"condition": {"test": "datum.even", "value": 0.14}, "value": 0.26},
        tooltip=tooltip(("phase", "window of"), ("from", "from, s", ".1f"), ("to", "to, s", ".1f")),
    )


def _window_names(marks: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the layer that names each phase's window, or an empty one where there are too many to read."""
    mark = {"type": "text", "align": "left", "baseline": "top", "dx": 3, "y": 2, "limit": 120, "color": "var(--faint)"}
    shown = marks if len(marks) <= _MOST_LABELS else ()
    return layer(shown, mark, x={**_SECONDS, "field": "from"}, text={"field": "phase"})


def _chart(
    name: str,
    title: str,
    caption: str,
    unit: str,
    columns: dict[str, tuple[str, int]],
    points: Sequence[dict[str, Any]],
    marks: Sequence[dict[str, Any]],
    stalled: Sequence[dict[str, Any]] = (),
) -> Chart | None:
    values = [
        {"s": point["s"], "phase": point["phase"], "what": word, "value": point[column]}
        for column, (word, _) in columns.items()
        for point in points
        if point[column] is not None
    ]
    if not values:
        return None
    words = [word for word, _ in columns.values()]
    colour = colours("what", words, [place for _, place in columns.values()])
    line = (("what",), ("value", unit, ".2f"), ("s", "second", ".1f"), ("phase",))
    value, detail = quantity("value", unit, scale={"zero": True}), {"field": "phase"}
    low = {**value, "field": "low", "stack": None}
    mark = {"type": "line", "strokeWidth": 1.8, "point": {"filled": True, "size": 22} if len(points) <= 80 else False}
    layers = [
        _windows(marks),
        # What the sender itself may have added.
        layer(stalled, _AREA, x=_SECONDS, y=low, y2={"field": "high"}, color=colour, detail=detail),
        layer(values, mark, x=_SECONDS, y=value, color=colour, detail=detail, tooltip=tooltip(*line)),
        _window_names(marks),
    ]
    return Chart(
        name=name,
        section="time",
        title=title,
        caption=f"{caption} Shaded: the phases' windows.{_HELD if stalled else ''}",
        spec=layered(layers, 220),
    )
