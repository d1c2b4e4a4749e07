"""One reading of the runtime's /metrics, and what happened between two of them."""

from __future__ import annotations

import math

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from aether_load.protocol import (
    BUCKET_EDGES_MS,
    CACHE_HITS_TOTAL,
    CACHE_MISSES_TOTAL,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    EXECUTION_TIME_SECONDS,
    TOKEN_COST_TOTAL,
)

COUNTERS = (EXECUTED_NODES_TOTAL, TOKEN_COST_TOTAL, ERRORS_TOTAL, CACHE_HITS_TOTAL, CACHE_MISSES_TOTAL)


class ScrapeError(ValueError):
    """A text that is not a reading of an Aether runtime's metrics; says what is missing."""


class Scrape(msgspec.Struct, frozen=True):
    """The numbers of one reading; `buckets` are counts a bucket (not cumulative), the twelfth is above 10 s.

    `node_time_sum_ms` is the sum over nodes of whole ms; counters that a generation does not have are absent.
    """

    counters: dict[str, float]
    buckets: tuple[int, ...]
    node_time_sum_ms: float

    @property
    def node_count(self) -> int:
        """Return the histogram's own count of nodes."""
        return sum(self.buckets)


def parse_scrape(text: str) -> Scrape:
    """Return the reading that `text`, in the Prometheus text format, holds; raises ScrapeError.

    An empty text is valid in that format and means no metrics at all, so it is checked that the histogram is
    there with its twelve buckets.
    """
    counters: dict[str, float] = {}
    cumulative: dict[float, float] = {}
    total_s = count = math.nan
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name in COUNTERS:
                    counters[sample.name] = sample.value
                elif sample.name == f"{EXECUTION_TIME_SECONDS}_bucket":
                    cumulative[float(sample.labels["le"])] = sample.value
                elif sample.name == f"{EXECUTION_TIME_SECONDS}_sum":
                    total_s = sample.value
                elif sample.name == f"{EXECUTION_TIME_SECONDS}_count":
                    count = sample.value
    except (ValueError, KeyError, IndexError) as error:
        raise ScrapeError(f"not the Prometheus text format: {error}") from None
    edges = [round(edge * 1000, 6) for edge in sorted(cumulative)]
    if edges != [*BUCKET_EDGES_MS, math.inf]:
        raise ScrapeError(f"{EXECUTION_TIME_SECONDS} is there with {len(edges)} buckets in place of its 12")
    missing = [name for name in COUNTERS[:3] if name not in counters]
    if missing or math.isnan(total_s) or math.isnan(count):
        raise ScrapeError(f"{(missing or [EXECUTION_TIME_SECONDS + '_sum or _count'])[0]} is missing")
    ordered = [cumulative[edge] for edge in sorted(cumulative)]
    buckets = tuple(int(high - low) for low, high in zip([0.0, *ordered], ordered, strict=False))
    if min(buckets) < 0 or ordered[-1] != count:
        raise ScrapeError(f"{EXECUTION_TIME_SECONDS} contradicts itself: its +Inf bucket or an order of buckets")
    return Scrape(counters=counters, buckets=buckets, node_time_sum_ms=total_s * 1000)


def fell(before: Scrape, after: Scrape) -> str | None:
    """Return the name of a number that fell between two readings, which only a restart does, or None."""
    for name, value in before.counters.items():
        if after.counters.get(name, 0.0) < value:
            return name
    if after.node_time_sum_ms < before.node_time_sum_ms or any(
        late < early for early, late in zip(before.buckets, after.buckets, strict=True)
    ):
        return EXECUTION_TIME_SECONDS
    return None


def difference(before: Scrape, after: Scrape) -> Scrape:
    """Return what was counted between two readings: plain differences, no extrapolation."""
    return Scrape(
        counters={name: value - before.counters.get(name, 0.0) for name, value in after.counters.items()},
        buckets=tuple(late - early for early, late in zip(before.buckets, after.buckets, strict=True)),
        node_time_sum_ms=after.node_time_sum_ms - before.node_time_sum_ms,
    )
