"""Keep Locust's own statistics in step, so that its table, CSV and page show the same requests.

Successes are counted by the observer, who sends what came in in a second as one histogram a name: that costs the
same whatever the rate. A failure is an event at once. Where another listener uses Locust's request event, every
request is an event.
"""

from __future__ import annotations

from typing import Any

import gevent
from locust import stats as locust_stats

from aether_load.observer.messages import Counted, LocustEntry

_STOCK_ROUNDING = getattr(locust_stats, "bucket_response_time", None)
_METHOD = "POST"


class LocustFeed:
    """One run's requests on their way to Locust's statistics."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self.names: set[str] = set()
        """Names of the requests that Locust was told of."""
        self.every_request = not _only_locust_listens(environment)

    def fire(self, name: str, sent_ns: int, ended_ns: int, length: int, failure: Exception | None) -> None:
        """Tell the listeners of one request."""
        self.names.add(name)
        self._environment.events.request.fire(
            request_type=_METHOD,
            name=name,
            response_time=(ended_ns - sent_ns) / 1e6,
            response_length=length,
            exception=failure,
            context={},
            response=None,
        )

    def merge(self, counted: Counted) -> None:
        """Add what the observer counted; users have their turn between two names."""
        stats = self._environment.stats
        for counts in counted.entries:
            self.names.add(counts.name)
            entry = _entry(stats, counts)
            stats.entries[counts.name, _METHOD].extend(entry)
            gevent.sleep(0)
            stats.total.extend(entry)
            gevent.sleep(0)


def keep_entries(stats: Any) -> None:
    """Have Locust's statistics outlast being written as JSON.

    Locust empties them then, as a worker does that reports; its CSV, and a second JSON, would be written of zeros.
    """
    stats.serialize_stats = lambda: [
        entry.serialize() for entry in stats.entries.values() if entry.num_requests or entry.num_failures
    ]


def _entry(stats: Any, counts: LocustEntry) -> Any:
    entry: Any = locust_stats.StatsEntry(stats, counts.name, _METHOD)
    entry.num_requests = counts.count
    entry.total_response_time = counts.total_ms
    entry.min_response_time = counts.least_ms
    entry.max_response_time = counts.most_ms
    entry.total_content_length = counts.length
    entry.last_request_timestamp = counts.last_s
    entry.num_reqs_per_sec.update(counts.per_second)
    entry.response_times.update(counts.response_times)
    return entry


def _only_locust_listens(environment: Any) -> bool:
    """Tell whether only Locust itself listens to its request event, and rounds as it does by default."""
    handlers = environment.events.request._handlers  # noqa: SLF001 -- an event hook does not tell who listens
    modules = {getattr(handler, "__module__", "") or "" for handler in handlers}
    rounding = getattr(locust_stats, "bucket_response_time", None)
    return all(module.split(".")[0] == "locust" for module in modules) and rounding is _STOCK_ROUNDING
