"""Take the metric by which a gate compares two builds from the samples of one window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.correlate import overheads
from aether_load.analysis.phase.goodput import good_requests
from aether_load.analysis.phase.rows import Terms, build_row
from aether_load.analysis.statistics.distribution import percentile
from aether_load.analysis.statistics.window_rates import WindowRates
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples, response_latencies, service_latencies
from aether_load.scenario.gate_plan import GateMetric

Which = NDArray[np.bool_]


Ends = tuple[float, float]
"""The least that a figure may be, and the figure as it was measured; the same but where the sender was held."""


def gate_value(
    metric: GateMetric, samples: PhaseSamples, which: Which, terms: Terms, rates: WindowRates
) -> Ends | None:
    """Return a metric of the requests `which` of a window, in the unit of its name; None where there is none."""
    if metric.aggregation is not None:
        measured, at_least = _distribution(metric.metric, samples, which & samples.in_window)
        most = _aggregated(metric, measured)
        least = most if at_least is None else _aggregated(metric, at_least)
        return None if most is None or least is None else (least, most)
    value = _single(metric, samples, which, terms, rates)
    return None if value is None else (value, value)


def _single(metric: GateMetric, samples: PhaseSamples, which: Which, terms: Terms, rates: WindowRates) -> float | None:
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


def _distribution(name: str, samples: PhaseSamples, which: Which) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return the values of a distribution in ms, and the least that they may have been where that is less."""
    if name == "response_latency_ms":
        return response_latencies(samples, which & samples.was_sent)
    if name == "service_latency_ms":
        return service_latencies(samples, which & samples.was_sent)
    told = which & samples.readable
    if name == "correlation.overhead_ms":
        return overheads(samples, told)
    if name == "server_total_ms":
        return samples.server_total_ms[told], None
    return samples.node_times_ms[told][samples.succeeded_nodes[told]], None


def _aggregated(metric: GateMetric, values: NDArray[Any]) -> float | None:
    if len(values) == 0:
        return None
    if metric.quantile is not None or metric.aggregation == "p50":
        return percentile(np.sort(values), metric.quantile or 0.5).at_most
    if metric.aggregation == "mean":
        return float(values.mean())
    return float(values.min() if metric.aggregation == "min" else values.max())
