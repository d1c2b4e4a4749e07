"""Define the page's figures of a run as values that are written as JSON."""

from __future__ import annotations

from functools import reduce

import msgspec

from aether_load.analysis.statistics.histogram import Interval, QuantileInterval, mean_interval, quantile_interval
from aether_load.observer.live.bins import Counts, percentile_ms
from aether_load.observer.live.run import LiveRun
from aether_load.observer.live.time_bucket import PARTS, TimeBucket, together
from aether_load.protocol import BUCKET_EDGES_MS, Outcome

_NOW_S = 5


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A bucket in a chart: what it held, None where there was nothing to say it by.

    `server_p95_ms` is [low, high) of the nodes that the server counted, `high` None where nothing bounds it; the
    true `server_mean_ms` is up to 1 ms above what stands here, since the server cuts its times off.
    """

    began_s: float
    ended_s: float
    rate_rps: float
    failed_rps: float
    target_rps: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    server_mean_ms: float | None
    server_p95_low_ms: float | None
    server_p95_high_ms: float | None
    parts_ms: tuple[float, ...] | None
    in_flight: int | None
    cpu_share: float | None
    cache_hit_share: float | None


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """The latest figures: `now` is of the last five seconds, all else since the run began or was reset."""

    now: Point | None
    requests_total: int
    in_flight: int | None
    thinking_users: int | None
    waiting_requests: int | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    client_buckets: tuple[int, ...]
    server_buckets: tuple[int, ...]
    server_mean_ms: tuple[float, float | None] | None
    server_p95_ms: tuple[float, float | None] | None
    server_p99_ms: tuple[float, float | None] | None
    bucket_edges_ms: tuple[int, ...]
    parts: tuple[str, ...]
    nodes_per_request: int
    outcomes: list[tuple[str, str, int]]
    cached_nodes: int
    uncached_nodes: int


def point(bucket: TimeBucket) -> Point:
    """Return a bucket as a chart has it."""
    seconds, requests = bucket.seconds, bucket.requests
    buckets = bucket.server_buckets.tolist()
    mean = mean_interval(buckets, bucket.server_time_ms)
    p95 = quantile_interval(buckets, bucket.server_time_ms, 0.95)
    told = bucket.cached_nodes + bucket.uncached_nodes
    return Point(
        began_s=bucket.began_s,
        ended_s=bucket.ended_s,
        rate_rps=_short(requests / seconds),
        failed_rps=_short(bucket.failed / seconds),
        target_rps=bucket.target_rps,
        p50_ms=_percentile(bucket.latencies, 0.50),
        p95_ms=_percentile(bucket.latencies, 0.95),
        p99_ms=_percentile(bucket.latencies, 0.99),
        server_mean_ms=None if mean is None else _short(mean.low),
        server_p95_low_ms=None if p95 is None else p95.low,
        server_p95_high_ms=None if p95 is None else p95.high,
        parts_ms=tuple(_short(float(part) / requests) for part in bucket.parts_ms) if requests else None,
        in_flight=bucket.in_flight,
        cpu_share=None if bucket.cpu_s is None else _short(bucket.cpu_s / seconds),
        cache_hit_share=_short(bucket.cached_nodes / told) if told else None,
    )


def figures(run: LiveRun) -> Figures:
    """Return the latest figures of a run."""
    latest = run.timeline.latest(_NOW_S)
    buckets, time_ms = run.server.buckets.tolist(), run.server.time_ms
    users = run.users
    return Figures(
        now=point(reduce(together, latest)) if latest else None,
        requests_total=run.outcomes.total() - run.outcome_total(Outcome.DROPPED),
        in_flight=None if users is None else users.in_flight,
        thinking_users=None if users is None else users.thinking,
        waiting_requests=None if users is None else users.waiting,
        p50_ms=_percentile(run.latencies, 0.50),
        p95_ms=_percentile(run.latencies, 0.95),
        p99_ms=_percentile(run.latencies, 0.99),
        client_buckets=tuple(run.client_buckets.tolist()),
        server_buckets=tuple(buckets),
        server_mean_ms=_bounds(mean_interval(buckets, time_ms)),
        server_p95_ms=_bounds(quantile_interval(buckets, time_ms, 0.95)),
        server_p99_ms=_bounds(quantile_interval(buckets, time_ms, 0.99)),
        bucket_edges_ms=BUCKET_EDGES_MS,
        parts=PARTS,
        nodes_per_request=run.nodes_per_request,
        outcomes=[
            (name, outcome.label, run.outcomes[name, outcome])
            for name in dict.fromkeys([*run.datasets, *(label for label, _ in run.outcomes)])
            for outcome in Outcome
            if run.outcomes[name, outcome]
        ],
        cached_nodes=run.cached_nodes,
        uncached_nodes=run.uncached_nodes,
    )


def _bounds(interval: Interval | QuantileInterval | None) -> tuple[float, float | None] | None:
    if interval is None:
        return None
    return _short(interval.low), None if interval.high is None else _short(interval.high)


def _percentile(counts: Counts, q: float) -> float | None:
    value = percentile_ms(counts, q)
    return None if value is None else _short(value)


def _short(value: float) -> float:
    return round(value, 4)
