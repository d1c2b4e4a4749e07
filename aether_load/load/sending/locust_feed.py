"""Tells Locust of every request, so that its table, CSV, page and exit code agree with ours.

A request at a time costs a tenth of all that a request costs. So successes are kept as bare numbers and given to
Locust's statistics in batches, by the way in which it takes in those of its own workers. Whoever listens to Locust's
request event in a locustfile of their own is told at once, a request at a time.
"""

from __future__ import annotations

from array import array
from time import monotonic_ns, time
from typing import Any, Protocol

import numpy as np
from locust import stats as locust_stats
from numpy.typing import NDArray

_STOCK_ROUNDING = getattr(locust_stats, "bucket_response_time", None)
_METHOD = "POST"


class Feed(Protocol):
    """What the recorder tells of each request that was sent; instants in monotonic ns."""

    def told(self, name: str, sent_ns: int, ended_ns: int, length: int, failure: Exception | None) -> None:
        """Take one request of a dataset, with what it failed of, if it did."""


class LocustFeed:
    """One run's requests on their way to Locust's statistics; `flush` hands over what is kept."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._in_batches = _only_locust_listens(environment)
        self._batches: dict[str, _Batch] = {}

    def told(self, name: str, sent_ns: int, ended_ns: int, length: int, failure: Exception | None) -> None:
        """Take one request; a failure is passed on at once, with its reason."""
        if failure is None and self._in_batches:
            batch = self._batches.get(name)
            if batch is None:
                batch = self._batches[name] = _Batch()
            batch.latencies_ns.append(ended_ns - sent_ns)
            batch.ended_ns.append(ended_ns)
            batch.length += length
            return
        self._environment.events.request.fire(
            request_type=_METHOD,
            name=name,
            response_time=(ended_ns - sent_ns) / 1e6,
            response_length=length,
            exception=failure,
            context={},
            response=None,
        )

    def flush(self) -> None:
        """Give Locust what was kept since the last time."""
        stats = self._environment.stats
        # Locust counts by the whole second of its own clock.
        to_utc_s = time() - monotonic_ns() / 1e9
        for name, batch in self._batches.items():
            if batch.latencies_ns:
                entry = batch.entry(stats, name, to_utc_s)
                stats.entries[name, _METHOD].extend(entry)
                stats.total.extend(entry)
        self._batches.clear()


def keep_entries(stats: Any) -> None:
    """Have Locust's statistics outlast being written as JSON.

    Locust empties them then, as a worker does that reports; its CSV, and a second JSON, would be written of zeros.
    """
    stats.serialize_stats = lambda: [
        entry.serialize() for entry in stats.entries.values() if entry.num_requests or entry.num_failures
    ]


class _Batch:
    """Successes of one dataset since the last flush."""

    def __init__(self) -> None:
        self.latencies_ns = array("q")
        self.ended_ns = array("q")
        self.length = 0

    def entry(self, stats: Any, name: str, to_utc_s: float) -> Any:
        """Return them as an entry of Locust's statistics."""
        latencies_ms = np.frombuffer(self.latencies_ns, np.int64) / 1e6
        ended_s = np.frombuffer(self.ended_ns, np.int64) / 1e9 + to_utc_s
        entry: Any = locust_stats.StatsEntry(stats, name, _METHOD)
        entry.num_requests = len(latencies_ms)
        entry.total_response_time = float(latencies_ms.sum())
        entry.min_response_time = float(latencies_ms.min())
        entry.max_response_time = float(latencies_ms.max())
        entry.total_content_length = self.length
        entry.last_request_timestamp = float(ended_s.max())
        for second, count in zip(*np.unique(ended_s.astype(np.int64), return_counts=True), strict=True):
            entry.num_reqs_per_sec[int(second)] = int(count)
        for rounded, count in zip(*np.unique(_rounded(latencies_ms), return_counts=True), strict=True):
            entry.response_times[int(rounded)] = int(count)
        return entry


def _rounded(latencies_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round as Locust does: to whole ms below 100, and to two digits above."""
    digits = np.clip(np.floor(np.log10(np.maximum(latencies_ms, 1.0))).astype(np.int64) - 1, 0, 3)
    scale = 10.0**digits
    return (np.round(latencies_ms / scale) * scale).astype(np.int64)


def _only_locust_listens(environment: Any) -> bool:
    """Tell whether nobody but Locust itself would miss an event, and its rounding is its own."""
    handlers = environment.events.request._handlers  # noqa: SLF001 -- an event hook does not tell who listens
    modules = {getattr(handler, "__module__", "") or "" for handler in handlers}
    rounding = getattr(locust_stats, "bucket_response_time", None)
    return all(module.split(".")[0] == "locust" for module in modules) and rounding is _STOCK_ROUNDING
