"""Describe the charts of a sweep: latency and throughput against load, with the knee."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aether_load.outputs.charts.chart import (
    Chart,
    colours,
    file_stem,
    interval_tooltip,
    layer,
    layered,
    quantity,
    scale_of,
    tooltip,
)

if TYPE_CHECKING:
    from aether_load.analysis.phase.sweeps import SweepReport


_POINTS = ("p50", "p95", "p99")


def load_latency(sweep: SweepReport) -> Chart | None:
    """Return latency against load, None where no point has any."""
    values = _latencies(sweep)
    if not values:
        return None
    stalled = [value for value in values if value["stalled"]]
    bounded = [value for value in values if value["low"] is not None and value["high"] is not None]
    x = quantity("load", sweep.unit, scale={"zero": False, "nice": True})
    y = quantity("ms", "response latency, ms", scale=scale_of((value["ms"] for value in values), zero=True))
    colour = colours("point", list(_POINTS), [0, 1, 3])
    # Where the samples bound a percentile from below only, it lies there or higher.
    shape = {"condition": {"test": "datum.high === null", "value": "triangle-up"}, "value": "circle"}
    point, tip = {"type": "point", "filled": True, "size": 55, "opacity": 1}, interval_tooltip("point", "load", "phase")
    broad = {"type": "rule", "strokeWidth": 7, "opacity": 0.35}
    layers = [
        *_knee(sweep, x),
        layer(values, {"type": "line"}, x=x, y=y, color=colour),
        layer(values, point, x=x, y=y, color=colour, shape=shape, tooltip=tip),
        layer(bounded, {"type": "rule"}, x=x, y={**y, "field": "low"}, y2={"field": "high"}, color=colour),
        layer(stalled, broad, x=x, y={**y, "field": "least"}, y2={"field": "ms"}, color=colour),
    ]
    held = "A broad bar: where it lies, since the sender may have read answers late. " if stalled else ""
    return Chart(
        name=f"load-latency-{file_stem(sweep.name)}",
        section="load",
        title=f"Latency against load: {sweep.name}",
        caption="From due to answered, with 95 % intervals; a triangle is there or higher. "
        + held
        + _knee_sentence(sweep),
        spec=layered(layers, 260),
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
    x = quantity("load", sweep.unit, scale={"zero": False, "nice": True})
    point = {"filled": True, "size": 55, "color": "var(--c2)"}
    tip = tooltip(
        ("load", sweep.unit), ("rps", "good answers/s", ".1f"), ("errors", "error rate", ".2%"), ("phase", "phase")
    )
    line = {"type": "line", "point": point, "color": "var(--c2)"}
    layers = [*_knee(sweep, x), layer(values, line, x=x, y=quantity("rps", "good answers a second"), tooltip=tip)]
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
    values = [{"load": sweep.knee_load, "text": f"knee: {sweep.knee_load:g}"}]
    rule = {"type": "rule", "strokeDash": [4, 3], "color": "var(--ink)", "clip": True}
    text = {"type": "text", "align": "left", "baseline": "top", "dx": 4, "y": 2, "color": "var(--ink)"}
    return [layer(values, rule, x=x), layer(values, text, x=x, text={"field": "text"})]


def _knee_sentence(sweep: SweepReport) -> str:
    if sweep.knee_load is None:
        return f"No knee: {sweep.knee_reason}."
    return f"Knee at {sweep.knee_load:g} {sweep.unit}, where throughput over mean latency is largest."
