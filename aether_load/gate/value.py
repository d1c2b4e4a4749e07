"""Take the metric by which a gate compares two builds from the samples of one window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.phase.goodput import good_requests
from aether_load.analysis.phase.rows import Terms, build_row
from aether_load.analysis.statistics.distribution import percentile
from aether_load.analysis.statistics.window_rates import WindowRates
from aether_load.protocol import Outcome
from aether_load.rundata.samples import ABSENT
from aether_load.rundata.table import PhaseSamples, response_ms, service_ms
from aether_load.scenario.gate_plan import GateMetric

Which = NDArray[np.bool_]


def gate_value(
    metric: GateMetric, samples: PhaseSamples, which: Which, terms: Terms, rates: WindowRates
) -> float | None:
    """Return a metric of the requests `which` of a window, in the unit of its name; None where there is none."""
    if metric.aggregation is not None:
        return _aggregated(metric, _distribution(metric.metric, samples, which & samples.in_window))
    if metric.metric == "accuracy":
        accuracy = build_row("", samples, which, terms, rates=rates).accuracy
        return None if accuracy is None else accuracy.value
    if metric.metric == "token_cost_mean":
        costs = _tokens(samples)[which & samples.in_window & samples.readable]
        return float(costs.mean()) if len(costs) else None
    if metric.metric == "tokens_per_s":
        return rates.per_second(_tokens(samples) * (which & samples.readable))
    if metric.metric == "goodput_rps":
        assert terms.goodput_slo is not None
        return rates.per_second(which & good_requests(samples, terms.goodput_slo))
    counted = which if metric.metric == "request_throughput_rps" else which & (samples.outcome == Outcome.OK)
    return rates.per_second(counted)


def _tokens(samples: PhaseSamples) -> NDArray[np.int64]:
    return np.where(samples.token_cost == ABSENT, 0, samples.token_cost)


def _distribution(name: str, samples: PhaseSamples, which: Which) -> NDArray[Any]:
    """Return the values of a distribution, in ms."""
    if name == "response_latency_ms":
        return response_ms(samples, which & samples.was_sent)
    if name == "service_latency_ms":
        return service_ms(samples, which & samples.was_sent)
    told = which & samples.readable
    if name == "correlation.overhead_ms":
        return service_ms(samples, told) - samples.server_total_ms[told]
    if name == "server_total_ms":
        return samples.server_total_ms[told]
    return samples.node_times_ms[told][samples.succeeded_nodes[told]]


def _aggregated(metric: GateMetric, values: NDArray[Any]) -> float | None:
    if len(values) == 0:
        return None
    if metric.quantile is not None or metric.aggregation == "p50":
        return percentile(np.sort(values), metric.quantile or 0.5).value
    if metric.aggregation == "mean":
        return float(values.mean())
    return float(values.min() if metric.aggregation == "min" else values.max())
