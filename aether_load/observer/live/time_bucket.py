"""Hold a bucket of a run's time, a second or more, as sums that can be added to those of the next bucket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.observer.live.bins import BINS, Counts
from aether_load.observer.live.counts import BUCKETS

PARTS = tuple(name for name in PART_NAMES if name != "sender_hold")
"""The parts of response latency, in the order in which a request passes them.

A hold of the sender is a part of the overhead here: it is recorded only after the requests that it delayed.
"""


class TimeBucket(msgspec.Struct, kw_only=True):
    """What came in between two instants, in seconds since the run began; sums, so that two neighbours can be added.

    `latencies` are service latencies of requests that were sent, in bins; `parts_ms` the sums of the parts of their
    response latency. `server_*` is what the server counted between the readings that fell into this bucket.
    `in_flight` is the most that was seen, None where it was not read; so with `cpu_s` of this process, and with the
    rate that was asked for, which is None in closed load.
    """

    began_s: float
    ended_s: float
    requests: int = 0
    failed: int = 0
    latencies: Counts = msgspec.field(default_factory=lambda: np.zeros(BINS, np.int64))
    parts_ms: NDArray[np.float64] = msgspec.field(default_factory=lambda: np.zeros(len(PARTS)))
    cached_nodes: int = 0
    uncached_nodes: int = 0
    server_buckets: Counts = msgspec.field(default_factory=lambda: np.zeros(BUCKETS, np.int64))
    server_time_ms: float = 0.0
    in_flight: int | None = None
    cpu_s: float | None = None
    target_rps: float | None = None

    @property
    def seconds(self) -> float:
        """Return how long it is."""
        return self.ended_s - self.began_s


_SUMS = (
    "requests", "failed", "latencies", "parts_ms", "cached_nodes", "uncached_nodes", "server_buckets", "server_time_ms",
)  # fmt: skip


def together(first: TimeBucket, second: TimeBucket) -> TimeBucket:
    """Return two buckets, one after the other, as one."""

    def seen(name: str) -> list[Any]:
        return [value for value in (getattr(first, name), getattr(second, name)) if value is not None]

    return TimeBucket(
        began_s=first.began_s,
        ended_s=second.ended_s,
        in_flight=max(seen("in_flight"), default=None),
        cpu_s=sum(seen("cpu_s")) if seen("cpu_s") else None,
        target_rps=seen("target_rps")[-1] if seen("target_rps") else None,
        **{name: getattr(first, name) + getattr(second, name) for name in _SUMS},
    )


class Timeline:
    """Buckets in order, fine at the end and ever coarser before, so that a day takes no more room than an hour.

    When there are more than `most` of one length, the two oldest of them become one of twice that length: the cost
    is the same small one at each step, never much at once.
    """

    def __init__(self, most: int = 150) -> None:
        self._most = most
        self._lines: list[deque[TimeBucket]] = [deque()]

    def add(self, bucket: TimeBucket) -> None:
        """Append the next bucket."""
        for line in self._lines:
            line.append(bucket)
            if len(line) <= self._most:
                return
            bucket = together(line.popleft(), line.popleft())
        self._lines.append(deque([bucket]))

    def __iter__(self) -> Iterator[TimeBucket]:
        """Yield the buckets from the oldest on."""
        for line in reversed(self._lines):
            yield from line

    def latest(self, count: int) -> list[TimeBucket]:
        """Return the last few buckets, the oldest first."""
        return list(self._lines[0])[-count:]
