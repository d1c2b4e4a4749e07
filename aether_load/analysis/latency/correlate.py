"""Compare the client's latency with the server's own times, request by request."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.decomposition import TAIL_SAMPLES
from aether_load.analysis.latency.divided import ratio
from aether_load.analysis.statistics.distribution import Distribution, ascending, distribution
from aether_load.analysis.statistics.window_rates import WindowRates, window_rates
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.samples.table import Latencies, PhaseSamples, pieces, service_latencies, service_ms


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """What of the client's latency the server accounts for, over the requests of a window.

    With C a request's service latency and T the server's total for it: `overhead_ms` is C - T (the true value is
    up to 1 ms less, T being cut off), `server_time_share` is sum T / sum C, `tail_server_share` the same over the
    requests with C at or above its p99, `server_variance_share` is Cov(C, T) / Var(C). `littles_law_ratio` is the
    mean number of requests in flight, with the users that were thinking, over the number of active users.
    `reasons` says of each None why.
    """

    overhead_ms: Distribution | None
    server_time_share: float | None
    tail_server_share: float | None
    server_variance_share: float | None
    littles_law_ratio: float | None
    reasons: dict[str, str]


def correlate(samples: PhaseSamples, record: PhaseRecord, rates: WindowRates | None = None) -> Correlation:
    """Return what the server accounts for in a window's latency."""
    reasons: dict[str, str] = {}
    told = samples.in_window & samples.readable
    client = service_ms(samples, told)
    server = samples.server_total_ms[told]
    overhead = distribution(*overheads(samples, told))
    if len(client) == 0:
        reasons["overhead_ms"] = reasons["server_time_share"] = "no answer in the window could be read"
    tail = client >= ascending(client)[max(0, int(np.ceil(0.99 * len(client))) - 1)] if len(client) else client > 0
    enough = int(tail.sum()) >= TAIL_SAMPLES
    if not enough:
        reasons["tail_server_share"] = f"{int(tail.sum())} requests at or above p99, of {TAIL_SAMPLES} needed"
    variance = _variance_share(client, server)
    if variance is None:
        reasons["server_variance_share"] = "the latencies do not differ, or there are fewer than two"
    little, why = littles_law_ratio(samples, record, rates)
    if why is not None:
        reasons["littles_law_ratio"] = why
    return Correlation(
        overhead_ms=overhead,
        server_time_share=ratio(server.sum(), client.sum()),
        tail_server_share=ratio(server[tail].sum(), client[tail].sum()) if enough else None,
        server_variance_share=variance,
        littles_law_ratio=little,
        reasons=reasons,
    )


def overheads(samples: PhaseSamples, told: NDArray[np.bool_]) -> Latencies:
    """Return the overhead of requests whose answers were read; the time that the server took is no part of it."""
    client, at_least = service_latencies(samples, told)
    server = samples.server_total_ms[told]
    least = (
        None if at_least is None else np.asarray(np.minimum(np.maximum(at_least, server), client) - server, np.float64)
    )
    client -= server
    return Latencies(client, least)


def _variance_share(client: NDArray[np.float64], server: NDArray[np.int32]) -> float | None:
    if len(client) < 2:
        return None
    mean, squares, products = client.mean(), 0.0, 0.0
    for rows in pieces(len(client)):
        centred = client[rows] - mean
        squares += float(centred @ centred)
        products += float(centred @ server[rows])
    return round(products / squares, 6) if squares > 1e-9 * len(client) else None


def littles_law_ratio(
    samples: PhaseSamples, record: PhaseRecord, rates: WindowRates | None = None
) -> tuple[float | None, str | None]:
    """Return the mean number of requests in flight and of users thinking over the users of the phase, or why not.

    It is X (R + Z) / U of Little's law, with X R taken as the time in flight that lies inside the window: then
    requests that reach over its edges count by their part, and a short window is not biased. Taking U from the
    samples would make it a tautology.
    """
    if record.load == "open":
        return None, "open load has no fixed number of active users"
    if record.own_tasks:
        return None, "users ran tasks of their own, which take time beside their requests"
    if record.users is None:
        return None, "the number of users varied"
    rates = rates or window_rates(samples, record)
    in_flight, answered = mean_in_flight(samples), rates.per_second(np.ones(len(samples)))
    if in_flight is None or answered is None:
        return None, rates.reason
    return round((in_flight + answered * record.think_time_mean_s) / record.users, 6), None


def mean_in_flight(samples: PhaseSamples, since_ns: int | None = None) -> float | None:
    """Return the mean number of requests in flight over the window, from an instant on; None where that is no time."""
    start, end = samples.window_began_ns if since_ns is None else since_ns, samples.window_ended_ns
    if start is None or end is None or end <= start:
        return None
    total_ns = 0.0
    for piece in samples.pieces():
        sent = piece.was_sent
        inside_ns = np.minimum(piece.ended_ns[sent], end) - np.maximum(piece.sent_ns[sent], start)
        total_ns += float(np.maximum(inside_ns, 0).sum(dtype=np.float64))
    return total_ns / (end - start)
