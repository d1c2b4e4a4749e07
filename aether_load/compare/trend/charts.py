"""Draw a history: its points with their intervals, the level between changes, and the changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import compress
from typing import Any

import numpy as np

from aether_load.compare.trend.history import TrendRun
from aether_load.compare.trend.metrics import JUDGED
from aether_load.compare.trend.trend import Searched, Trend, size_text
from aether_load.outputs.charts.chart import Chart, colours, layer, layered, quantity, tooltip

MOST_CHARTS = 40
"""Charts of a page: of histories that changed first, then of the metrics that are judged."""
_HEIGHT = 220
_COLOURS = 8
_KINDS = {"loss": "var(--c3)", "gain": "var(--c2)", "change": "var(--faint)"}
_X = {"field": "time", "type": "temporal", "axis": {"title": None}}


def trend_charts(trend: Trend) -> list[Chart]:
    """Return a chart a series and metric, with every machine in it; at most `MOST_CHARTS`, the changed ones first."""
    of: dict[tuple[str, str], list[Searched]] = {}
    for one in trend.histories:
        if one.history.values:
            of.setdefault((one.history.series, one.history.metric), []).append(one)
    groups = sorted((of[key] for key in sorted(of)), key=_rank)
    machines = list(dict.fromkeys(run.machine for run in trend.runs))
    return [_chart(f"trend-{place}", group, trend.runs, machines) for place, group in enumerate(groups[:MOST_CHARTS])]


def _rank(group: Sequence[Searched]) -> tuple[int, bool, bool]:
    newest = max((change.first_after for one in group for change in one.changes), default=-1)
    first = group[0].history
    return -newest, first.metric not in JUDGED, first.dataset != "all"


def _chart(name: str, group: Sequence[Searched], runs: Sequence[TrendRun], machines: Sequence[str]) -> Chart:
    first = group[0].history
    shown = [one.history.machine for one in group]
    colour = colours("machine", shown, [machines.index(name) % _COLOURS for name in shown])
    if len(machines) == 1:
        colour["legend"] = None
    points = [point for one in group for point in _points(one, runs)]
    y = quantity("value", _unit(first.metric), scale={"zero": False})
    bounded = [point for point in points if point["low"] is not None and point["high"] is not None]
    levels = (level for one in group for level in _levels(one, runs))
    interval, line = {"type": "rule", "strokeWidth": 1.5, "opacity": 0.45}, {"type": "rule", "strokeWidth": 2}
    layers = [
        layer(bounded, interval, x=_X, y={**y, "field": "low"}, y2={"field": "high"}, color=colour),
        layer(levels, line, x=_X, x2={"field": "until"}, y=y, color=colour),
        *_marks([mark for one in group for mark in _changes(one, runs)]),
    ]
    for used in (True, False):
        mark = {"type": "point", "size": 45, "strokeWidth": 1.5, "filled": used, "opacity": 0.8}
        own = [point for point in points if point["used"] is used]
        layers.append(layer(own, mark, x=_X, y=y, color=colour, href={"field": "report"}, tooltip=_tooltip()))
    spec = layered(layers, _HEIGHT)
    return Chart(name=name, section=first.series, title=first.metric, caption=_caption(group), spec=spec)


def _unit(metric: str) -> str:
    units = {"_ms": "ms", "_rps": "requests/s", "_per_s": "tokens/s", "_usd": "USD", "_total": "count"}
    for ending, unit in units.items():
        if metric.endswith(ending):
            return unit
    return "tokens" if metric.startswith("tokens_per") else "share" if "load" not in metric else "load"


def _caption(group: Sequence[Searched]) -> str:
    why = "; ".join(f"not searched on {one.history.machine}: {one.reason}" for one in group if one.reason)
    hollow = "" if all(all(one.history.used) for one in group) else "Hollow points are not searched"
    return ". ".join(filter(None, (why, hollow)))


def _points(one: Searched, runs: Sequence[TrendRun]) -> Iterator[dict[str, Any]]:
    history = one.history
    columns = (history.runs, history.values, history.low, history.high, history.used)
    for place, value, low, high, used in zip(*columns, strict=True):
        run = runs[place]
        yield {
            "time": run.time_utc, "value": value, "low": low, "high": high, "used": used, "machine": run.machine,
            "run": run.id, "commit": run.commit or "none", "report": run.report, "labels": run.labels or "",
        }  # fmt: skip


def _levels(one: Searched, runs: Sequence[TrendRun]) -> Iterator[dict[str, Any]]:
    """Yield the level of each stretch between changes; of a history that was not searched there is none."""
    if one.reason is not None:
        return
    used = list(compress(one.history.runs, one.history.used))
    values = list(compress(one.history.values, one.history.used))
    levels = [change.level_before for change in one.changes[:1]] + [change.level_after for change in one.changes]
    if not one.changes:
        levels = [float(np.exp(np.log(values).mean()) if min(values) > 0 else np.mean(values))]
    starts = [used[0], *(change.first_after for change in one.changes)]
    ends = [*(change.last_before for change in one.changes), used[-1]]
    for start, end, level in zip(starts, ends, levels, strict=True):
        yield {
            "time": runs[start].time_utc, "until": runs[end].time_utc, "value": float(f"{level:.9g}"),
            "machine": one.history.machine,
        }  # fmt: skip


def _changes(one: Searched, runs: Sequence[TrendRun]) -> Iterator[dict[str, Any]]:
    for change in one.changes:
        yield {
            "time": runs[change.first_after].time_utc, "size": size_text(change).split(" [")[0], "kind": change.kind,
            "detail": size_text(change), "before": runs[change.last_before].commit or "none",
            "after": runs[change.first_after].commit or "none",
        }  # fmt: skip


def _marks(changes: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a line and a text for the changes of each kind; one scale for all kinds would mix with the machines'."""
    tip = tooltip(
        ("detail", "size with 95 % interval"), ("kind", "kind"), ("before", "last commit before"),
        ("after", "first commit after"),
    )  # fmt: skip
    for kind, colour in _KINDS.items():
        own = [change for change in changes if change["kind"] == kind]
        line = {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 1.5, "color": colour}
        text = {"type": "text", "align": "left", "dx": 4, "dy": 8, "y": 0, "fontWeight": "bold", "color": colour}
        yield layer(own, line, x=_X, tooltip=tip)
        yield layer(own, text, x=_X, text={"field": "size"}, tooltip=tip)


def _tooltip() -> list[dict[str, Any]]:
    figures = (("value", "value", ".4~g"), ("low", "at least", ".4~g"), ("high", "at most", ".4~g"))
    time = {"field": "time", "type": "temporal", "title": "run of", "format": "%Y-%m-%d %H:%M"}
    return [*tooltip(*figures), time, *tooltip(*((name, name) for name in ("commit", "run", "machine", "labels")))]
