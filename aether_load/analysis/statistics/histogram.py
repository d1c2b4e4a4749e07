"""Bound quantiles of the server's histogram of node times: times are cut to whole ms and put in buckets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

from aether_load.protocol import BUCKET_EDGES_MS

_LOWEST_MS = (0, *(edge + 1 for edge in BUCKET_EDGES_MS))
_HIGHEST_MS = (*BUCKET_EDGES_MS, None)


class Interval(msgspec.Struct, frozen=True):
    """A true value in ms that is at least `low` and below `high`; `high` None where nothing bounds it."""

    low: float
    high: float | None


class QuantileInterval(msgspec.Struct, frozen=True):
    """Where a quantile of node time lies, in ms, beside the point that PromQL's `histogram_quantile` names."""

    low: float
    high: float | None
    promql: float


def mean_interval(buckets: Sequence[int], sum_ms: float) -> Interval | None:
    """Return the interval of the mean node time, or None without nodes: each time was cut off by less than 1 ms."""
    count = sum(buckets)
    if count == 0:
        return None
    mean = round(sum_ms) / count
    return Interval(mean, mean + 1)


def quantile_interval(buckets: Sequence[int], sum_ms: float, q: float) -> QuantileInterval | None:
    """Return where the q-quantile (nearest rank) of node times lies, or None without nodes.

    The bucket of the k-th smallest time bounds it; the sum bounds it further, since the times at and above (or
    below) it in that bucket cannot together exceed (or fall short of) what the bucket can hold of the sum.
    """
    count = sum(buckets)
    if count == 0:
        return None
    rank = max(1, math.ceil(q * count))
    place = below = 0
    while below + buckets[place] < rank:
        below += buckets[place]
        place += 1
    held = buckets[place]
    low_edge, high_edge = _LOWEST_MS[place], _HIGHEST_MS[place]
    inner = rank - below
    least, most = _sum_in_bucket(buckets, round(sum_ms), place)
    high = math.floor((most - (inner - 1) * low_edge) / (held - inner + 1))
    low = low_edge
    if high_edge is not None:
        high = min(high, high_edge)
        low = max(low, math.ceil((least - (held - inner) * high_edge) / inner))
    elif inner == held:
        low = max(low, math.ceil(least / inner))
    return QuantileInterval(low, high + 1, promql_quantile(buckets, q))


def _sum_in_bucket(buckets: Sequence[int], sum_ms: int, place: int) -> tuple[float, float]:
    """Return the least and the most that the times in one bucket can add up to, given the total."""
    others = [index for index in range(len(buckets)) if index != place and buckets[index]]
    lowest_of_others = sum(buckets[index] * _LOWEST_MS[index] for index in others)
    most = sum_ms - lowest_of_others
    if any(_HIGHEST_MS[index] is None for index in others):
        return buckets[place] * _LOWEST_MS[place], most
    return sum_ms - sum(buckets[index] * (_HIGHEST_MS[index] or 0) for index in others), most


def promql_quantile(buckets: Sequence[int], q: float) -> float:
    """Return what PromQL's `histogram_quantile` says in ms: linear inside a bucket, 10 s for the last one."""
    count = sum(buckets)
    rank = q * count
    below = 0.0
    for place, held in enumerate(buckets):
        if held and below + held >= rank:
            if place == len(BUCKET_EDGES_MS):
                return float(BUCKET_EDGES_MS[-1])
            start = float(BUCKET_EDGES_MS[place - 1]) if place else 0.0
            return start + (BUCKET_EDGES_MS[place] - start) * ((rank - below) / held)
        below += held
    return float(BUCKET_EDGES_MS[-1])
