"""Read the runtime's counters out of a text of its /metrics, and compare two readings."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from aether_load.protocol import (
    BUCKET_EDGES_MS,
    CACHE_HITS_TOTAL,
    CACHE_MISSES_TOTAL,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    EXECUTION_TIME_SECONDS,
    TOKEN_COST_TOTAL,
)
from aether_load.redaction import foreign_text

COUNTERS = (EXECUTED_NODES_TOTAL, TOKEN_COST_TOTAL, ERRORS_TOTAL, CACHE_HITS_TOTAL, CACHE_MISSES_TOTAL)
MOST_COUNTED = 2**53
"""Above it a counter, which is a 64-bit float, no longer counts every one."""

_BUCKET = f"{EXECUTION_TIME_SECONDS}_bucket"
_SUM = f"{EXECUTION_TIME_SECONDS}_sum"
_COUNT = f"{EXECUTION_TIME_SECONDS}_count"
_SAMPLE = re.compile(
    rf"^[ \t]*({'|'.join((*COUNTERS, _BUCKET, _SUM, _COUNT))})[ \t]*"
    r'(?:\{((?:[^"}\n]|"(?:[^"\\\n]|\\.)*")*)\}[ \t]*|[ \t])([^ \t\n]+)',
    re.MULTILINE,
)
_LABEL = re.compile(r'([A-Za-z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"')

_EDGES_S = (*(edge / 1000 for edge in BUCKET_EDGES_MS), math.inf)

Labels = frozenset[tuple[str, str]]


class ScrapeError(ValueError):
    """A text that is not a reading of an Aether runtime's metrics; says what is missing or impossible."""


class Scrape(msgspec.Struct, frozen=True):
    """The numbers of one reading; `buckets` are counts a bucket (not cumulative), the twelfth is above 10 s.

    `node_time_sum_ms` is the sum over nodes of whole ms; counters that a generation does not have are absent.
    """

    counters: dict[str, int]
    buckets: tuple[int, ...]
    node_time_sum_ms: float

    @property
    def node_count(self) -> int:
        """Return the histogram's own count of nodes."""
        return sum(self.buckets)


def parse_scrape(text: str) -> Scrape:
    """Return the reading that `text`, in the Prometheus text format, holds; raises ScrapeError.

    Series of one name with different labels, as of several replicas, are added up. Lines of other metrics are not
    looked at. An empty text is valid in that format and means no metrics at all, so that the counters of both
    generations and the histogram with its twelve buckets must be there.
    """
    series: dict[str, dict[Labels, str]] = defaultdict(dict)
    for name, labels, value in _SAMPLE.findall(text):
        own = frozenset(_LABEL.findall(labels))
        if own in series[name]:
            raise ScrapeError(f"{name} is there twice with the same labels")
        series[name][own] = value
    if not series:
        raise ScrapeError("none of the runtime's metrics is there")
    counters = {name: _total(name, series[name]) for name in COUNTERS if series[name]}
    buckets = _buckets(series)
    missing = [name for name in COUNTERS[:3] if name not in counters]
    if missing or not series[_SUM]:
        raise ScrapeError(f"{(missing or [_SUM])[0]} is missing")
    return Scrape(counters=counters, buckets=buckets, node_time_sum_ms=_sum_ms(series[_SUM]))


def _buckets(series: dict[str, dict[Labels, str]]) -> tuple[int, ...]:
    """Return the histogram's counts a bucket, added up over its series; raises ScrapeError."""
    cumulative: dict[Labels, dict[float, int]] = defaultdict(dict)
    for labels, value in series[_BUCKET].items():
        edge = round(_float(_BUCKET, dict(labels).get("le", "")), 9)
        own = frozenset(label for label in labels if label[0] != "le")
        cumulative[own][edge] = _count(_BUCKET, value)
    _refuse_totals(_BUCKET, cumulative)
    totals = [0] * (len(BUCKET_EDGES_MS) + 1)
    for own, counts in cumulative.items() or [(frozenset(), {})]:
        for edge in _EDGES_S:
            if edge not in counts:
                raise ScrapeError(f"{_BUCKET} of le={edge:g} is missing")
        if len(counts) > len(_EDGES_S):
            raise ScrapeError(
                f"{EXECUTION_TIME_SECONDS} has {len(counts)} buckets, and a runtime's has {len(_EDGES_S)}"
            )
        ordered = [counts[edge] for edge in _EDGES_S]
        if own not in series[_COUNT]:
            raise ScrapeError(f"{_COUNT} is missing")
        if ordered != sorted(ordered) or ordered[-1] != _count(_COUNT, series[_COUNT][own]):
            raise ScrapeError(f"{EXECUTION_TIME_SECONDS} contradicts itself: its +Inf bucket or an order of buckets")
        totals = [total + high - low for total, low, high in zip(totals, [0, *ordered], ordered, strict=False)]
    if sum(totals) > MOST_COUNTED:
        raise _beyond(_COUNT)
    return tuple(totals)


def _total(name: str, values: dict[Labels, str]) -> int:
    _refuse_totals(name, values)
    total = sum(_count(name, value) for value in values.values())
    if total > MOST_COUNTED:
        raise _beyond(name)
    return total


def _sum_ms(values: dict[Labels, str]) -> float:
    _refuse_totals(_SUM, values)
    total = math.fsum(_float(_SUM, value) * 1000 for value in values.values())
    if not 0 <= total <= MOST_COUNTED:
        raise ScrapeError(f"{_SUM} is {_shown(next(iter(values.values())))}, which is no sum of times")
    return total


def _refuse_totals(name: str, series: Mapping[Labels, object]) -> None:
    """Raise ScrapeError where a metric has series with and without labels: one may be the sum of the others."""
    if len(series) > 1 and frozenset() in series:
        raise ScrapeError(f"{name} is there with labels and without, so that it is unclear what to add up")


def _count(name: str, text: str) -> int:
    value = _float(name, text)
    if not 0 <= value <= MOST_COUNTED:
        raise ScrapeError(f"{name} is {_shown(text)}, which is no count from 0 to 2^53")
    if not value.is_integer():
        raise ScrapeError(f"{name} is {_shown(text)}, which is no whole number")
    return int(value)


def _float(name: str, text: str) -> float:
    try:
        if "_" not in text:  # which Python takes in a number, and the format does not
            return float(text)
    except ValueError:
        pass
    raise ScrapeError(f"{name} has {_shown(text)} in place of a number")


def _shown(text: str) -> str:
    return foreign_text(text, 24) + (f" ({len(text)} characters)" if len(text) > 24 else "")


def _beyond(name: str) -> ScrapeError:
    return ScrapeError(f"{name} of all series together is above 2^53, where a counter no longer counts every one")


def fell(before: Scrape, after: Scrape) -> str | None:
    """Return the name of a number that fell between two readings, which only a restart does, or None."""
    for name, value in before.counters.items():
        if after.counters.get(name, 0) < value:
            return name
    if after.node_time_sum_ms < before.node_time_sum_ms or any(
        late < early for early, late in zip(before.buckets, after.buckets, strict=True)
    ):
        return EXECUTION_TIME_SECONDS
    return None


def difference(before: Scrape, after: Scrape) -> Scrape:
    """Return what was counted between two readings: plain differences, no extrapolation."""
    return Scrape(
        counters={name: value - before.counters.get(name, 0) for name, value in after.counters.items()},
        buckets=tuple(late - early for early, late in zip(before.buckets, after.buckets, strict=True)),
        node_time_sum_ms=after.node_time_sum_ms - before.node_time_sum_ms,
    )
