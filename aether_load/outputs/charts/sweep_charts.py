"""Describe the charts of a sweep: latency and throughput against load, with the knee."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aether_load.outputs.charts.chart import Chart, axis, colours, file_stem, interval_tooltip, layered, scale_of

if TYPE_CHECKING:
    from aether_load.analysis.phase.sweeps import SweepReport


_POINTS = ("p50", "p95", "p99")


def load_latency(sweep: SweepReport) -> Chart | None:
    """Return latency against load, None where no point has any."""
    values = _latencies(sweep)
    if not values:
        return None
    stalled = [value for value in values if value["stalled"]]
    x = {"field": "load", "type": "quantitative", "axis": axis(sweep.unit), "scale": {"zero": False, "nice": True}}
    y = {
        "field": "ms",
        "type": "quantitative",
        "axis": axis("response latency, ms"),
        "scale": scale_of((value["ms"] for value in values), zero=True),
    }
    colour = colours("point", list(_POINTS), [0, 1, 3])
    layers: list[dict[str, Any]] = [
        *_knee(sweep, x),
        {
            "data": {"values": values},
            "mark": {"type": "line"},
            "encoding": {"x": x, "y": y, "color": colour},
        },
        {
            "data": {"values": values},
            "mark": {"type": "point", "filled": True, "size": 55, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "color": colour,
                # Where the samples bound a percentile from below only, it lies there or higher.
                "shape": {"condition": {"test": "datum.high === null", "value": "triangle-up"}, "value": "circle"},
                "tooltip": interval_tooltip("point", "load", "phase"),
            },
        },
        {
            "data": {"values": [v for v in values if v["low"] is not None and v["high"] is not None]},
            "mark": {"type": "rule"},
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": colour},
        },
        {
            "data": {"values": stalled},
            "mark": {"type": "rule", "strokeWidth": 7, "opacity": 0.35},
            "encoding": {"x": x, "y": {**y, "field": "least"}, "y2": {"field": "ms"}, "color": colour},
        },
    ]
    held = "A broad bar: where it lies, since the sender may have read answers late. " if stalled else ""
    return Chart(
        name=f"load-latency-{file_stem(sweep.name)}",
        section="load",
        title=f"Latency against load: {sweep.name}",
        caption="From due to answered, with 95 % intervals; a triangle is there or higher. "
        + held
        + _knee_sentence(sweep),
        spec=layered([layer for layer in layers if layer["data"]["values"]], 260),
    )


def _latencies(sweep: SweepReport) -> list[dict[str, Any]]:
    """Return a value for each percentile of each load that has one."""
    return [
        {
            "load": point.load, "phase": point.phase, "point": name, "ms": value.at_most, "value": value.at_most,
            "low": value.low, "high": value.high, "least": value.at_least, "stalled": value.reason is not None,
        }
        for point in sweep.points
        for name in _POINTS
        if (value := getattr(point, f"response_latency_{name}_ms")) is not None
    ]  # fmt: skip


def load_throughput(sweep: SweepReport) -> Chart | None:
    """Return good answers a second against load, None where no point has any."""
    values = [
        {"load": point.load, "phase": point.phase, "rps": point.ok_throughput_rps, "errors": point.error_rate}
        for point in sweep.points
        if point.ok_throughput_rps is not None
    ]
    if not values:
        return None
    x = {"field": "load", "type": "quantitative", "axis": axis(sweep.unit), "scale": {"zero": False, "nice": True}}
    layers = [
        *_knee(sweep, x),
        {
            "data": {"values": values},
            "mark": {
                "type": "line",
                "point": {"filled": True, "size": 55, "color": "var(--c2)"},
                "color": "var(--c2)",
            },
            "encoding": {
                "x": x,
                "y": {"field": "rps", "type": "quantitative", "axis": axis("good answers a second")},
                "tooltip": [
                    {"field": "load", "title": sweep.unit},
                    {"field": "rps", "title": "good answers/s", "format": ".1f"},
                    {"field": "errors", "title": "error rate", "format": ".2%"},
                    {"field": "phase", "title": "phase"},
                ],
            },
        },
    ]
    return Chart(
        name=f"load-throughput-{file_stem(sweep.name)}",
        section="load",
        title=f"Throughput against load: {sweep.name}",
        caption="Answers that succeeded, over the window's length.",
        spec=layered(layers, 200),
    )


def _knee(sweep: SweepReport, x: dict[str, Any]) -> list[dict[str, Any]]:
    if sweep.knee_load is None:
        return []
    data = {"values": [{"load": sweep.knee_load, "text": f"knee: {sweep.knee_load:g}"}]}
    return [
        {
            "data": data,
            "mark": {"type": "rule", "strokeDash": [4, 3], "color": "var(--ink)", "clip": True},
            "encoding": {"x": x},
        },
        {
            "data": data,
            "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 4, "y": 2, "color": "var(--ink)"},
            "encoding": {"x": x, "text": {"field": "text"}},
        },
    ]


def _knee_sentence(sweep: SweepReport) -> str:
    if sweep.knee_load is None:
        return f"No knee: {sweep.knee_reason}."
    return f"Knee at {sweep.knee_load:g} {sweep.unit}, where throughput over mean latency is largest."
