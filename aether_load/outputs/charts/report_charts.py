"""Describe a report's charts in Vega-Lite, for the page and for static pictures alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.outputs.charts.chart import (
    Chart,
    bars,
    colours,
    file_stem,
    interval_tooltip,
    layer,
    layered,
    names,
    part_colours,
    quantity,
    scale_of,
    tooltip,
)
from aether_load.outputs.charts.sweep_charts import load_latency, load_throughput
from aether_load.outputs.charts.time_charts import time_charts

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.report import Report

MOST_CURVES = 12
MOST_BARS = 60
_OTHER_PLACES = (3, 1, 5, 4, 6, 0, 7, 3, 1, 5)
"""Colours of outcomes in the order of their bars, none of them that of `ok`."""
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
    tip = tooltip(
        ("phase", "phase"), ("part", "part"), ("ms", "mean ms", ".2f"), ("share", "of mean", ".1%"),
        ("tail", "of tail", ".1%"),
    )  # fmt: skip
    return Chart(
        name="decomposition",
        section="decomposition",
        title="Mean response latency, part by part",
        caption="Of each phase's requests, from due to answered; the parts of a request add up, and so do their means.",
        spec=bars(
            values, names("phase", 110), part_colours(values), tip, field="ms", stack="zero", axis={"title": "mean ms"}
        )
        | {"height": 30 * len(phases)},
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
        "y": quantity("ms", "ms", scale=scale_of(everything, zero=False)),
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
        spec=layered(layers, 260),
    )


def _percentile_axis(count: int) -> dict[str, Any]:
    """Return an axis of shares that spreads the tail out, up to one request of `count`."""
    return {
        "field": "x",
        "type": "quantitative",
        "scale": {"type": "log", "domain": [1, max(10, count)], "nice": False},
        "axis": {
            "title": "percentile of requests",
            "values": [1, 2, 10, 100, 1000, 10_000, 100_000],
            "labelExpr": "datum.value == 1 ? '0 %' : format(100 * (1 - 1 / datum.value), '.5~g') + ' %'",
            "labelOverlap": "greedy",
            "labelSeparation": 8,
        },
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
    low = {**shared, "y": {**y, "field": "low"}, "y2": {"field": "high"}}
    least = {**shared, "y": {**y, "field": "least", "stack": None}, "y2": {"field": "ms"}}
    bar = {**shared, "y": {**y, "field": "low", "stack": None}, "y2": {"field": "high"}}
    of_line = [("kind", "latency"), ("share", "share", ".5~g"), ("ms", "ms", ".2f")]
    of_line += [("least", "at least", ".2f")] if stalled else []
    of_bar = tooltip(("kind", "of"), ("point", "percentile"), ("text", "lies in, ms"))
    step = {"interpolate": "step-before", "clip": True}
    return [
        layer(bands, {"type": "bar", "width": 11, "opacity": 0.45, "clip": True}, **bar, tooltip=of_bar),
        layer(stalled, {"type": "area", "opacity": 0.25, **step}, **least),
        layer(lines, {"type": "line", "strokeWidth": 2, **step}, **shared),
        layer(lines, {"type": "point", "opacity": 0, "size": 80, "filled": True}, x=x, y=y, tooltip=tooltip(*of_line)),
        layer(bounds, {"type": "rule", "strokeWidth": 1.5}, **low, tooltip=interval_tooltip("point")),
    ]


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
    there = dict.fromkeys(name for phase in phases for name, count in phase.all.outcomes.items() if count)
    if set(there) <= {"ok"}:
        # That all went well is said elsewhere in one word.
        return None
    order = sorted(there, key=lambda name: name != "ok")
    values = [
        {"phase": phase.name, "outcome": name, "requests": count, "order": order.index(name)}
        for phase in phases
        for name, count in phase.all.outcomes.items()
        if count
    ]
    tip = tooltip(("phase",), ("outcome",), ("requests",))
    x = {"stack": "normalize", "axis": {"title": "share of requests", "format": "%"}}
    places = [2 if name == "ok" else place for name, place in zip(order, _OTHER_PLACES, strict=False)]
    return Chart(
        name="outcomes",
        section="outcomes",
        title="What became of the requests",
        caption="All requests that were due in the window. A status of 200 says nothing: ok is an answer without "
        "errors, with a result for each node.",
        spec=bars(values, names("phase", 110), colours("outcome", order, places), tip, field="requests", **x)
        | {"height": 26 * len(phases)},
    )
