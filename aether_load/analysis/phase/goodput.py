"""Count the requests that succeeded and kept the scenario's limit on their latency."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import Share, rounded, wilson
from aether_load.analysis.statistics.window_rates import WindowRates
from aether_load.protocol import Outcome
from aether_load.rundata.samples.table import PhaseSamples, response_ms, service_ms
from aether_load.scenario.threshold import Threshold


def goodput(
    samples: PhaseSamples,
    which: NDArray[np.bool_],
    due: NDArray[np.bool_],
    rates: WindowRates,
    slo: Threshold | None,
    reasons: dict[str, str],
) -> tuple[float | None, Share | None]:
    """Return good answers a second of the window, and the good ones' share of all requests that were due in it.

    The rate counts the requests `which` by their time inside the window, as every throughput does. The share is of
    requests `due` inside it, whenever they were answered; failures and requests that were never sent are not good.
    `reasons` takes why either is None.
    """
    if slo is None:
        reasons["goodput_rps"] = reasons["goodput_share"] = "the scenario states no goodput_slo"
        return None, None
    good = good_requests(samples, slo)
    if rates.reason is not None:
        reasons["goodput_rps"] = rates.reason
    share = wilson(int(np.count_nonzero(good & due)), int(np.count_nonzero(due)))
    if share is None:
        reasons["goodput_share"] = "no request was due in the window"
    return rounded(rates.per_second(good & which)), share


def good_requests(samples: PhaseSamples, slo: Threshold) -> NDArray[np.bool_]:
    """Tell which requests succeeded and kept `slo`."""
    ok = samples.outcome == Outcome.OK
    good = np.zeros(len(samples), np.bool_)
    take = service_ms if slo.metric == "service_latency_ms" else response_ms
    latency = take(samples, ok)
    good[ok] = latency < slo.value if slo.operator == "<" else latency <= slo.value
    return good
