"""Count the requests that succeeded and kept the scenario's limit on their latency."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import Share, rounded, wilson
from aether_load.analysis.statistics.window_rates import WindowRates
from aether_load.protocol import Outcome
from aether_load.rundata.samples.table import PhaseSamples, response_ms, service_ms
from aether_load.scenario.threshold import Threshold


class Goodput(msgspec.Struct, frozen=True):
    """Good answers a second of the window, and the good ones' share of all requests that were due in it.

    The rate counts requests by their time inside the window, as every throughput does. The share is of requests due
    inside it, whenever they were answered; failures and requests that were never sent are not good. Each is None, with
    a reason by its name, where it was not measured.
    """

    rps: float | None
    share: Share | None
    reasons: dict[str, str]


def goodput(
    samples: PhaseSamples,
    which: NDArray[np.bool_],
    due: NDArray[np.bool_],
    rates: WindowRates,
    slo: Threshold | None,
) -> Goodput:
    """Return the goodput of the requests `which`, of which `due` were due in the window."""
    if slo is None:
        why = "the scenario states no goodput_slo"
        return Goodput(None, None, {"goodput_rps": why, "goodput_share": why})
    good = good_requests(samples, slo)
    reasons = {}
    if rates.reason is not None:
        reasons["goodput_rps"] = rates.reason
    share = wilson(int(np.count_nonzero(good & due)), int(np.count_nonzero(due)))
    if share is None:
        reasons["goodput_share"] = "no request was due in the window"
    return Goodput(rounded(rates.per_second(good & which)), share, reasons)


def good_requests(samples: PhaseSamples, slo: Threshold) -> NDArray[np.bool_]:
    """Tell which requests succeeded and kept `slo`."""
    ok = samples.outcome == Outcome.OK
    good = np.zeros(len(samples), np.bool_)
    take = service_ms if slo.metric == "service_latency_ms" else response_ms
    latency = take(samples, ok)
    good[ok] = latency < slo.value if slo.operator == "<" else latency <= slo.value
    return good
