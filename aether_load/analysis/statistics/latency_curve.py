"""Describe a window's latencies as a curve of percentiles of bounded size."""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import ascending, rounded
from aether_load.rundata.samples.table import Latencies, PhaseSamples, response_latencies, service_latencies

SHARES = tuple(
    sorted(
        {
            *(round(place / 100, 2) for place in range(1, 100)),
            *(round(0.99 + place / 1000, 3) for place in range(1, 10)),
            *(round(0.999 + place / 10_000, 4) for place in range(1, 10)),
            *(round(0.9999 + place / 100_000, 5) for place in range(1, 10)),
        }
    )
)
"""The shares at which a curve has points, finer towards the tail; the same in every report, so that curves compare."""


class LatencyCurve(msgspec.Struct, frozen=True, kw_only=True):
    """The latency that a `share` of requests did not exceed, of every request sent in a window, in ms.

    Each point is a latency that was measured, by nearest rank as every percentile here; the first (share 0) is the
    smallest, the last (share 1) the largest. A share is left out where fewer than one request lies beyond it: the
    samples do not tell it from the largest. The points `at_least` are of the least latencies that there may have been:
    they differ where the sender may have read answers late.
    """

    requests_total: int
    share: tuple[float, ...]
    service_latency_ms: tuple[float, ...]
    response_latency_ms: tuple[float, ...]
    service_latency_at_least_ms: tuple[float, ...]
    response_latency_at_least_ms: tuple[float, ...]


def latency_curve(samples: PhaseSamples) -> LatencyCurve | None:
    """Return the curve of a phase's window, or None when no request was sent in it."""
    sent = samples.in_window & samples.was_sent
    count = int(np.count_nonzero(sent))
    if count == 0:
        return None
    shares = (0.0, *(share for share in SHARES if round((1 - share) * count, 6) >= 1), 1.0)
    ranks = np.array([max(1, math.ceil(round(share * count, 6))) - 1 for share in shares])
    service, least_service = _ends(service_latencies(samples, sent), ranks)
    response, least_response = _ends(response_latencies(samples, sent), ranks)
    return LatencyCurve(
        requests_total=count,
        share=shares,
        service_latency_ms=service,
        response_latency_ms=response,
        service_latency_at_least_ms=least_service,
        response_latency_at_least_ms=least_response,
    )


def _ends(latencies: Latencies, ranks: NDArray[np.int64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the points as they were measured, and the least that they may have been."""
    measured = _points(latencies.measured, ranks)
    return measured, measured if latencies.at_least is None else _points(latencies.at_least, ranks)


def _points(values: NDArray[np.float64], ranks: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple(float(rounded(value) or 0.0) for value in ascending(values)[ranks])
