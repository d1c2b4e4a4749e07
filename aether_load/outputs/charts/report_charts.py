"""Describe a report's charts in Vega-Lite, for the page and for static pictures alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.outputs.charts.chart import (
    PART_PLACES,
    Chart,
    axis,
    bare,
    colours,
    file_stem,
    interval_tooltip,
    layered,
    scale_of,
)
from aether_load.outputs.charts.sweep_charts import load_latency, load_throughput
from aether_load.outputs.charts.time_charts import time_charts

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.report import Report

MOST_CURVES = 12
MOST_BARS = 60
_PERCENTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99_9": 0.999}


def report_charts(report: Report) -> list[Chart]:
    """Return the charts of a report, in the order in which they are read; those without data are left out."""
    phases = [phase for phase in report.phases if phase.search is None]
    found = [_decomposition(phases[:MOST_BARS])]
    found += [_curve(phase) for phase in phases[:MOST_CURVES]]
    found += time_charts(report.phases)
    for sweep in report.sweeps:
        found += [load_latency(sweep), load_throughput(sweep)]
    found.append(_outcomes(phases[:MOST_BARS]))
    return [chart for chart in found if chart is not None]


def _decomposition(phases: Sequence[PhaseReport]) -> Chart | None:
    values = [
        {
            "phase": phase.name,
            "part": PART_NAMES[name],
            "order": place,
            "ms": part.mean_contribution_ms,
            "share": part.mean_share,
            "tail": part.tail_share,
        }
        for phase in phases
        for place, (name, part) in enumerate(parts_of(phase.decomposition))
        if part.mean_contribution_ms
    ]
    if not values:
        return None
    there = [part for part, name in PART_NAMES.items() if any(value["part"] == name for value in values)]
    shown, places = [PART_NAMES[part] for part in there], [PART_PLACES[part] for part in there]
    return Chart(
        name="decomposition",
        section="decomposition",
        title="Mean response latency, part by part",
        caption="Of each phase's requests, from due to answered; the parts of a request add up, and so do their means.",
        spec=bare(values)
        | {
            "height": 30 * len(phases),
            "mark": {"type": "bar", "height": {"band": 0.7}},
            "encoding": {
                "y": {"field": "phase", "type": "nominal", "sort": None, "axis": axis(None, labelLimit=110)},
                "x": {"field": "ms", "type": "quantitative", "stack": "zero", "axis": axis("mean ms")},
                "color": colours("part", shown, places),
                "order": {"field": "order", "type": "quantitative"},
                "tooltip": [
                    {"field": "phase", "title": "phase"},
                    {"field": "part", "title": "part"},
                    {"field": "ms", "title": "mean ms", "format": ".2f"},
                    {"field": "share", "title": "of mean", "format": ".1%"},
                    {"field": "tail", "title": "of tail", "format": ".1%"},
                ],
            },
        },
    )


def _curve(phase: PhaseReport) -> Chart | None:
    curve = phase.latency_curve
    if curve is None:
        return None
    if curve.response_latency_ms == curve.service_latency_ms:
        kinds = {"service and response": (curve.service_latency_ms, curve.service_latency_at_least_ms)}
    else:
        kinds = {
            "service (from sent)": (curve.service_latency_ms, curve.service_latency_at_least_ms),
            "response (from due)": (curve.response_latency_ms, curve.response_latency_at_least_ms),
        }
    is_stalled = any(values != least for values, least in kinds.values())
    lines = [
        {"kind": kind, "x": _beyond(share, curve.requests_total), "share": share, "ms": value}
        | ({"least": at_least} if is_stalled else {})
        for kind, (values, least) in kinds.items()
        for share, value, at_least in zip(curve.share, values, least, strict=True)
    ]
    stalled = lines if is_stalled else []
    bands = list(_bands(phase))
    everything = [value for values, _ in kinds.values() for value in values]
    everything += [edge for band in bands for edge in (band["low"], band["high"])]
    domain = [*kinds, *(["server: one node"] if bands else [])]
    shared = {
        "x": _percentile_axis(curve.requests_total),
        "y": {"field": "ms", "type": "quantitative", "scale": scale_of(everything, zero=False), "axis": axis("ms")},
        "color": colours("kind", domain, [0, 1, 2] if len(kinds) == 2 else [0, 2]),
    }
    layers = _curve_layers(shared, bands, stalled, lines, list(_bounds(phase, list(kinds))))
    server = "; bars: where the server's own percentile of one node lies" if bands else ""
    held = "; area: what the sender itself may have added" if stalled else ""
    bounds = f"upright lines: 95 % interval{server}{held}"
    return Chart(
        name=f"latency-{file_stem(phase.name)}",
        section="latency",
        title=f"Latency in {phase.name}",
        caption=f"{curve.requests_total} requests of the window; {bounds}. Failures too.",
        spec=layered([layer for layer in layers if layer["data"]["values"]], 260),
    )


def _percentile_axis(count: int) -> dict[str, Any]:
    """Return an axis of shares that spreads the tail out, up to one request of `count`."""
    return {
        "field": "x",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [1, max(10, count)], "nice": False},
        "axis": axis(
            "percentile of requests",
            values=[1, 2, 10, 100, 1000, 10_000, 100_000],
            labelExpr="datum.value == 1 ? '0 %' : format(100 * (1 - 1 / datum.value), '.5~g') + ' %'",
            labelOverlap="greedy",
            labelSeparation=8,
        ),
    }


def _curve_layers(
    shared: dict[str, Any],
    bands: list[dict[str, Any]],
    stalled: list[dict[str, Any]],
    lines: list[dict[str, Any]],
    bounds: list[dict[str, Any]],
) -> list[dict[str, Any]]:
    """Return the server's bars, what the sender may have added, the curves, their tooltips and their intervals."""
    x, y = shared["x"], shared["y"]
    least = [{"field": "least", "title": "at least", "format": ".2f"}] if stalled else []
    return [
        _server_bars(shared, bands),
        {
            "data": {"values": stalled},
            "mark": {"type": "area", "interpolate": "step-before", "opacity": 0.25, "clip": True},
            "encoding": {**shared, "y": {**y, "field": "least", "stack": None}, "y2": {"field": "ms"}},
        },
        {
            "data": {"values": lines},
            "mark": {"type": "line", "interpolate": "step-before", "strokeWidth": 2, "clip": True},
            "encoding": shared,
        },
        {
            "data": {"values": lines},
            "mark": {"type": "point", "opacity": 0, "size": 80, "filled": True},
            "encoding": {
                "x": x,
                "y": y,
                "tooltip": [
                    {"field": "kind", "title": "latency"},
                    {"field": "share", "title": "share", "format": ".5~g"},
                    {"field": "ms", "title": "ms", "format": ".2f"},
                    *least,
                ],
            },
        },
        {
            "data": {"values": bounds},
            "mark": {"type": "rule", "strokeWidth": 1.5},
            "encoding": {
                **shared,
                "y": {**y, "field": "low"},
                "y2": {"field": "high"},
                "tooltip": interval_tooltip("point"),
            },
        },
    ]


def _server_bars(shared: dict[str, Any], bands: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a layer with a bar for each interval that one of the server's percentiles lies in."""
    return {
        "data": {"values": bands},
        "mark": {"type": "bar", "width": 11, "opacity": 0.45, "clip": True},
        "encoding": {
            "x": shared["x"],
            "y": {**shared["y"], "field": "low", "stack": None},
            "y2": {"field": "high"},
            "color": shared["color"],
            "tooltip": [
                {"field": "kind", "title": "of"},
                {"field": "point", "title": "percentile"},
                {"field": "text", "title": "lies in, ms"},
            ],
        },
    }


def _beyond(share: float, count: int) -> float:
    """Return one over the share that lies beyond, which spreads the tail out; the largest is one of `count`."""
    return float(count) if share == 1 else round(1 / (1 - share), 6)


def _bounds(phase: PhaseReport, kinds: Sequence[str]) -> Iterator[dict[str, Any]]:
    latencies = [phase.all.service_latency_ms, phase.all.response_latency_ms][: len(kinds)]
    for kind, latency in zip(kinds, latencies, strict=True):
        for name, share in _PERCENTILES.items():
            point = getattr(latency, name) if latency else None
            if point is not None and point.low is not None and point.high is not None:
                yield {
                    "kind": kind, "point": name, "x": _beyond(share, 0), "value": point.at_most, "low": point.low,
                    "high": point.high,
                }  # fmt: skip


def _bands(phase: PhaseReport) -> Iterator[dict[str, Any]]:
    server = phase.server
    if server is None:
        return
    for name in ("p50", "p90", "p95", "p99"):
        interval = getattr(server, f"node_time_{name}_ms")
        # Above the last bucket nothing bounds it; the bar then ends where the drawing does.
        high = interval.high if interval.high is not None else max(interval.low * 2, 20_000.0)
        text = f"[{interval.low:g}, {'no bound' if interval.high is None else format(interval.high, 'g')})"
        yield {
            "kind": "server: one node", "point": name, "x": _beyond(_PERCENTILES[name], 0),
            "low": max(interval.low, 0.1), "high": high, "text": text,
        }  # fmt: skip


def _outcomes(phases: Sequence[PhaseReport]) -> Chart | None:
    names = list(dict.fromkeys(name for phase in phases for name, count in phase.all.outcomes.items() if count))
    if set(names) <= {"ok"}:
        # That all went well is said elsewhere in one word.
        return None
    order = [*(name for name in names if name == "ok"), *(name for name in names if name != "ok")]
    values = [
        {"phase": phase.name, "outcome": name, "requests": count, "order": order.index(name)}
        for phase in phases
        for name, count in phase.all.outcomes.items()
        if count
    ]
    places = [2 if name == "ok" else place for name, place in zip(order, _others(order), strict=True)]
    return Chart(
        name="outcomes",
        section="outcomes",
        title="What became of the requests",
        caption="All requests that were due in the window. A status of 200 says nothing: ok is an answer without "
        "errors, with a result for each node.",
        spec=bare(values)
        | {
            "height": 26 * len(phases),
            "mark": {"type": "bar", "height": {"band": 0.7}},
            "encoding": {
                "y": {"field": "phase", "type": "nominal", "sort": None, "axis": axis(None, labelLimit=110)},
                "x": {
                    "field": "requests",
                    "type": "quantitative",
                    "stack": "normalize",
                    "axis": axis("share of requests", format="%"),
                },
                "color": colours("outcome", order, places),
                "order": {"field": "order", "type": "quantitative"},
                "tooltip": [{"field": name} for name in ("phase", "outcome", "requests")],
            },
        },
    )


def _others(order: Sequence[str]) -> list[int]:
    """Return a colour's place for each outcome, none of them that of `ok`."""
    free = [3, 1, 5, 4, 6, 0, 7, 3, 1, 5]
    return [free[place % len(free)] for place, _ in enumerate(order)]
