"""Draw what was measured for the claims: latency side by side, speed-up against its bound, hits against repetition."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aether_load.claims.report import ClaimsReport, Configuration
from aether_load.outputs.charts.chart import Chart, colours, file_stem, layer, layered, names, quantity, scale_of

_POINT = {"type": "point", "filled": True, "size": 70, "opacity": 1}


def claims_charts(report: ClaimsReport) -> list[Chart]:
    """Return the charts; those without data are left out."""
    scenarios = dict.fromkeys(one.scenario for one in report.configurations)
    charts = [_latency(name, [one for one in report.configurations if one.scenario == name]) for name in scenarios]
    return [chart for chart in (*charts, _speedup(report), _hit_rate(report)) if chart is not None]


def _latency(scenario: str, configurations: list[Configuration]) -> Chart | None:
    values = [
        {"configuration": one.phase, "repetition": f"{one.phase} {curve.repeat}", "percent": 100 * place, "ms": latency}
        for one in configurations
        for curve in one.curves
        for place, latency in zip(curve.share, curve.latency_ms, strict=True)
    ]
    if not values:
        return None
    latencies = [latency for one in configurations for curve in one.curves for latency in curve.latency_ms]
    line = layer(
        values,
        {"type": "line", "interpolate": "step-before", "strokeWidth": 1.3, "opacity": 0.8},
        x=quantity("percent", "percent of requests"),
        y=quantity("ms", "ms", scale=scale_of(latencies, zero=True)),
        color=colours("configuration", [one.phase for one in configurations], range(8)),
        detail={"field": "repetition"},
    )
    return Chart(
        name=f"latency-{file_stem(scenario)}",
        section="latency",
        title=f"Latency in {scenario}",
        caption="The latency that a share of the requests did not exceed; a line is a repetition.",
        spec=layered([line], 280),
    )


def _speedup(report: ClaimsReport) -> Chart | None:
    values = list(_speedups(report))
    if not values:
        return None
    y, x = names("what", 220), quantity("value", "times faster (p50)", scale={"zero": True})
    kinds = ["measured", "bound by the dependencies"]
    colour = colours("kind", kinds, [0, 3])
    tip = [{"field": "what", "title": "of"}, {"field": "kind"}, {"field": "value", "format": ".2f"}]
    bounded = [value for value in values if value.get("low") is not None]
    rule = {"type": "rule", "strokeWidth": 2}
    shape = {"condition": {"test": "datum.kind != 'measured'", "value": "diamond"}, "value": "circle"}
    layers = [
        layer(bounded, rule, y=y, x={**x, "field": "low"}, x2={"field": "high"}, color=colour),
        layer(values, _POINT, y=y, x=x, color=colour, tooltip=tip, shape=shape),
    ]
    return Chart(
        name="speedup",
        section="speedup",
        title="Speed-up against its bound",
        caption="Against the first configuration of the scenario, with 95 % intervals. The bound is the time of all "
        "nodes over the longest path through the dependencies; answers from the cache are not bound by it.",
        spec=layered(layers, 40 * len({v["what"] for v in values})),
    )


def _speedups(report: ClaimsReport) -> Iterator[dict[str, Any]]:
    firsts = dict[str, str]()
    for one in report.configurations:
        if firsts.setdefault(one.scenario, one.phase) == one.phase or one.speedup is None:
            continue
        what = f"{one.scenario}/{one.phase}"
        yield {"what": what, "kind": "measured", "value": one.speedup, "low": one.speedup_low, "high": one.speedup_high}
        if one.speedup_bound is not None:
            yield {"what": what, "kind": "bound by the dependencies", "value": one.speedup_bound}


def _hit_rate(report: ClaimsReport) -> Chart | None:
    values = [
        {
            "pattern": f"{one.scenario}/{one.phase}", "times": one.requests_total / one.distinct_prompts, "kind": kind,
            "rate": rate,
        }
        for one in report.repetitions
        for kind, rate in (("measured", one.hit_rate.value), ("possible", one.hit_rate.possible))
        if rate is not None
    ]  # fmt: skip
    if not values:
        return None
    encoding = {
        "x": quantity("times", "requests for each different one", scale={"zero": True}),
        "y": {"field": "rate", "type": "quantitative", "axis": {"title": "hit rate", "format": "%"},
              "scale": {"domain": [0, 1]}},
        "color": colours("kind", ["measured", "possible"], [0, 3]),
        "tooltip": [{"field": "pattern"}, {"field": "kind"}, {"field": "rate", "format": ".1%"}],
    }  # fmt: skip
    possible = [value for value in values if value["kind"] == "possible"]
    measured = [value for value in values if value["kind"] == "measured"]
    layers = [
        layer(possible, {"type": "line"}, **encoding),
        layer(possible, {**_POINT, "shape": "diamond"}, **encoding),
        layer(measured, {**_POINT, "size": 35}, **encoding),
    ]
    return Chart(
        name="hit-rate",
        section="hit-rate",
        title="Hit rate against repetition",
        caption="Of LLM calls, from an empty cache; possible is the share of requests that had been sent before.",
        spec=layered(layers, 260),
    )
