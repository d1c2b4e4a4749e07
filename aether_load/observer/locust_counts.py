"""Count successes the way Locust's statistics keep them, so that they can be merged into them."""

from __future__ import annotations

from time import monotonic_ns, time

import numpy as np
from numpy.typing import NDArray

from aether_load.observer.messages import LocustEntry
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import RecordBatch, Tables


class LocustCounts:
    """Sums up batches of successes until they are taken; Locust is told of each failure by itself."""

    def __init__(self) -> None:
        self._rows: dict[str, list[NDArray[np.void]]] = {}

    def add(self, batch: RecordBatch, tables: Tables) -> None:
        """Take in records."""
        rows = batch.requests
        rows = rows[(rows["outcome"] == Outcome.OK) & (rows["sent_ns"] != ABSENT)]
        if not len(rows):
            return
        labels, places = tables.labels(rows)
        for place in np.unique(places):
            self._rows.setdefault(labels[place], []).append(rows[places == place])

    def take(self) -> tuple[LocustEntry, ...]:
        """Return what was gathered since the last time, an entry a name."""
        # Locust counts by the whole second of its own clock.
        to_utc_s = time() - monotonic_ns() / 1e9
        entries = tuple(_entry(name, np.concatenate(parts), to_utc_s) for name, parts in self._rows.items())
        self._rows.clear()
        return entries


def _entry(name: str, rows: NDArray[np.void], to_utc_s: float) -> LocustEntry:
    latencies_ms = (rows["ended_ns"] - rows["sent_ns"]) / 1e6
    ended_s = rows["ended_ns"] / 1e9 + to_utc_s
    rounded, counts = np.unique(locust_rounded(latencies_ms), return_counts=True)
    seconds, per_second = np.unique(ended_s.astype(np.int64), return_counts=True)
    return LocustEntry(
        name=name,
        count=len(rows),
        total_ms=float(latencies_ms.sum()),
        least_ms=float(latencies_ms.min()),
        most_ms=float(latencies_ms.max()),
        length=int(rows["length"].sum(dtype=np.int64)),
        last_s=float(ended_s.max()),
        response_times=dict(zip(rounded.tolist(), counts.tolist(), strict=True)),
        per_second=dict(zip(seconds.tolist(), per_second.tolist(), strict=True)),
    )


def locust_rounded(latencies_ms: NDArray[np.float64]) -> NDArray[np.int64]:
    """Round as Locust does: to whole ms below 100, to two digits below 1,000, and so on."""
    digits = np.clip(np.floor(np.log10(np.maximum(latencies_ms, 1.0))).astype(np.int64) - 1, 0, 3)
    scale = 10.0**digits
    rounded: NDArray[np.int64] = (np.round(latencies_ms / scale) * scale).astype(np.int64)
    return rounded
