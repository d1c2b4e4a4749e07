"""Samples and the server's readings held against each other: counts that must agree, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.histogram import Interval, QuantileInterval, bucket_of, mean_interval, quantile_interval
from aether_load.analysis.scrape import RawScrape, Scrape, ScrapeError, difference, fell, parse_scrape
from aether_load.analysis.statistics import QUANTILES, Distribution, distribution
from aether_load.analysis.table import READABLE, PhaseSamples
from aether_load.protocol import BUCKET_EDGES_MS

Trust = Literal["trusted", "contaminated", "restarted", "no_server_data"]

_TAIL_SAMPLES = 10


class Bucket(msgspec.Struct, frozen=True):
    """Nodes in one of the server's buckets (`le_ms` None: above 10 s): by the answers, by the server."""

    le_ms: int | None
    answered: int
    counted: int
    unexplained: int


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Successful nodes that our answers told of against those that the server counted, over a whole phase.

    `unexplained_*` is counted less answered: 0 on a clean run. Nodes of requests whose answer was never read are
    unknown to us; there were at most `unread_nodes_at_most`. None, with a reason, where the server said nothing.
    """

    trust: Trust
    reason: str | None
    answered_nodes_total: int
    counted_nodes_total: int | None = None
    unexplained_nodes_total: int | None = None
    answered_node_time_ms: int
    counted_node_time_ms: int | None = None
    unexplained_node_time_ms: int | None = None
    unread_nodes_at_most: int
    buckets: tuple[Bucket, ...] | None = None


class ServerNodes(msgspec.Struct, frozen=True, kw_only=True):
    """The server's own histogram of successful nodes over a phase: nodes, not requests, and intervals, not points."""

    nodes_total: int
    node_time_mean_ms: Interval
    node_time_p50_ms: QuantileInterval
    node_time_p90_ms: QuantileInterval
    node_time_p95_ms: QuantileInterval
    node_time_p99_ms: QuantileInterval
    node_concurrency: float | None


class Correlation(msgspec.Struct, frozen=True, kw_only=True):
    """What of the client's latency the server accounts for, over the requests of a window.

    With C a request's service latency and T the server's total for it: `overhead_ms` is C - T (the true value is
    up to 1 ms less, T being cut off), `server_time_share` is sum T / sum C, `tail_server_share` the same over the
    requests with C at or above its p99. `littles_law_ratio` is the mean number of requests in flight over the
    number of users let loose. `reasons` says of each None why.
    """

    overhead_ms: Distribution | None
    server_time_share: float | None
    tail_server_share: float | None
    littles_law_ratio: float | None
    reasons: dict[str, str]


def reconcile(
    samples: PhaseSamples, scrapes: Sequence[RawScrape], nodes_per_request: int, *, void: str | None = None
) -> tuple[Reconciliation, Scrape | None]:
    """Hold a phase's answered nodes against the server's counts; also return what the server counted.

    `void` is a reason why there is nothing to compare, if there is one.
    """
    times = samples.nodes.succeeded_times_ms
    frame = samples.everything
    unread = int((~frame["outcome"].isin([*READABLE, "unsent"])).sum()) * nodes_per_request
    answered_ms = int(times.sum())

    def without(trust: Trust, reason: str) -> tuple[Reconciliation, None]:
        return Reconciliation(
            trust=trust,
            reason=reason,
            answered_nodes_total=len(times),
            answered_node_time_ms=answered_ms,
            unread_nodes_at_most=unread,
        ), None

    if void is not None:
        return without("no_server_data", void)
    try:
        counted, restarted = _counted(scrapes)
    except ScrapeError as error:
        return without("no_server_data", str(error))
    if restarted is not None:
        return without("restarted", f"{restarted} fell between two readings, which only a restart of the runtime does")
    answered = bucket_of_counts(times)
    buckets = tuple(
        Bucket(edge, ours, theirs, theirs - ours)
        for edge, ours, theirs in zip([*BUCKET_EDGES_MS, None], answered, counted.buckets, strict=True)
    )
    counted_ms = round(counted.node_time_sum_ms)
    nodes_off = counted.node_count - len(times)
    time_off = counted_ms - answered_ms
    exact = nodes_off == 0 and time_off == 0 and all(bucket.unexplained == 0 for bucket in buckets)
    trust: Trust = "trusted"
    reason: str | None = None
    if 0 < nodes_off <= unread and time_off >= 0 and all(bucket.unexplained >= 0 for bucket in buckets):
        reason = f"{nodes_off} nodes more than were answered, which the requests without an answer may have run"
    elif not exact:
        trust = "contaminated"
        reason = _cause(nodes_off)
    return (
        Reconciliation(
            trust=trust,
            reason=reason,
            answered_nodes_total=len(times),
            counted_nodes_total=counted.node_count,
            unexplained_nodes_total=nodes_off,
            answered_node_time_ms=answered_ms,
            counted_node_time_ms=counted_ms,
            unexplained_node_time_ms=time_off,
            unread_nodes_at_most=unread,
            buckets=buckets,
        ),
        counted,
    )


def _cause(nodes_off: int) -> str:
    if nodes_off > 0:
        return f"the server counted {nodes_off} nodes more than were answered: other clients used it meanwhile"
    if nodes_off < 0:
        return f"the server counted {-nodes_off} nodes fewer than were answered: another replica, or a restart"
    return "the server's node times differ from those in the answers: other clients and another replica"


def bucket_of_counts(times_ms: np.ndarray) -> tuple[int, ...]:
    """Return `bucket_of` for many times at once."""
    if len(times_ms) == 0:
        return bucket_of(())
    places = np.searchsorted(BUCKET_EDGES_MS, times_ms, side="left")
    return tuple(int(count) for count in np.bincount(places, minlength=len(BUCKET_EDGES_MS) + 1))


def _counted(scrapes: Sequence[RawScrape]) -> tuple[Scrape, str | None]:
    """Return what was counted between the phase's first and last reading, and what fell in between, if anything."""
    before = next((scrape for scrape in scrapes if scrape.role == "before"), None)
    after = next((scrape for scrape in scrapes if scrape.role == "after"), None)
    if before is None:
        raise ScrapeError("/metrics was not read before the first request")
    if after is None:
        raise ScrapeError("/metrics was not read after the last answer, with nothing in flight")
    first, last = _reading(before), _reading(after)
    previous = first
    for scrape in scrapes:
        if scrape.role != "during" or scrape.text is None:
            continue
        try:
            reading = parse_scrape(scrape.text)
        except ScrapeError:
            continue
        if (name := fell(previous, reading)) is not None:
            return reading, name
        previous = reading
    return difference(first, last), fell(previous, last)


def _reading(scrape: RawScrape) -> Scrape:
    if scrape.text is None:
        raise ScrapeError(f"/metrics could not be read ({scrape.role} the load): {scrape.error}")
    try:
        return parse_scrape(scrape.text)
    except ScrapeError as error:
        raise ScrapeError(f"/metrics ({scrape.role} the load): {error}") from None


def server_nodes(counted: Scrape | None, elapsed_s: float | None) -> ServerNodes | None:
    """Return the server's side of a phase that lasted `elapsed_s` between its readings, or None without nodes."""
    if counted is None or counted.node_count == 0:
        return None
    buckets, total = counted.buckets, counted.node_time_sum_ms
    mean = mean_interval(buckets, total)
    assert mean is not None
    quantiles = {
        f"node_time_{name}_ms": quantile_interval(buckets, total, QUANTILES[name])
        for name in ("p50", "p90", "p95", "p99")
    }
    return ServerNodes(
        nodes_total=counted.node_count,
        node_time_mean_ms=mean,
        node_concurrency=round(total / 1000 / elapsed_s, 6) if elapsed_s else None,
        **quantiles,  # type: ignore[arg-type]
    )


def correlate(samples: PhaseSamples, users: int | None) -> Correlation:
    """Return what the server accounts for in a window's latency; `users` is None when their number varied."""
    reasons: dict[str, str] = {}
    told = samples.window[samples.window["outcome"].isin(READABLE)]
    client = told["service_latency_us"].to_numpy(np.float64) / 1000
    server = told["server_total_ms"].to_numpy(np.float64)
    if len(told) == 0:
        for key in ("overhead_ms", "server_time_share"):
            reasons[key] = "no answer in the window could be read"
    tail = client >= np.sort(client)[max(0, int(np.ceil(0.99 * len(client))) - 1)] if len(client) else client > 0
    enough = int(tail.sum()) >= _TAIL_SAMPLES
    if not enough:
        reasons["tail_server_share"] = f"{int(tail.sum())} requests at or above p99, of {_TAIL_SAMPLES} needed"
    little = _littles_law_ratio(samples, users)
    if little is None:
        reasons["littles_law_ratio"] = "the number of users varied" if users is None else "there was no window"
    return Correlation(
        overhead_ms=distribution(client - server),
        server_time_share=_ratio(server.sum(), client.sum()),
        tail_server_share=_ratio(server[tail].sum(), client[tail].sum()) if enough else None,
        littles_law_ratio=little,
        reasons=reasons,
    )


def _littles_law_ratio(samples: PhaseSamples, users: int | None) -> float | None:
    """Return the mean number of requests in flight during the window, over the users let loose.

    It is X R / U of Little's law, with X R taken as the time in flight that lies inside the window: then requests
    that reach over its edges count by their part, and a short window is not biased.
    """
    window_began, window_ended = samples.window_began_ns, samples.window_ended_ns
    if users is None or window_began is None or window_ended is None or not samples.window_s:
        return None
    frame = samples.everything.dropna(subset=["sent_ns"])
    began = np.maximum(frame["sent_ns"].to_numpy(np.int64), window_began)
    ended = np.minimum(frame["ended_ns"].to_numpy(np.int64), window_ended)
    in_flight_s = float(np.maximum(ended - began, 0).sum()) / 1e9
    return round(in_flight_s / samples.window_s / users, 6)


def _ratio(part: float, whole: float) -> float | None:
    return round(float(part) / float(whole), 6) if whole > 0 else None
