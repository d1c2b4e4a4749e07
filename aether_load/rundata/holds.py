"""Bound by how much the sender read answers late while its event loop was held."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.record_format import ABSENT


class Holds:
    """The holds of each sender, in the order in which they ended.

    A hold lasts from `began_ns` to `ended_ns`; until `caught_up_ns` the loop had answers to read that had come in
    meanwhile. An answer that was read then may have been there since the hold began.
    """

    def __init__(self) -> None:
        self._of_worker: dict[int, list[NDArray[np.void]]] = defaultdict(list)

    def add(self, holds: NDArray[np.void], workers: NDArray[np.int16]) -> None:
        """Take in the holds of one sender, whose number its requests carry."""
        if len(holds):
            self._of_worker[int(workers[0]) if len(workers) else 0].append(holds)

    def late_ns(
        self, worker: NDArray[np.int16], sent_ns: NDArray[np.int64], ended_ns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return of each request how much of its latency may be the sender's own.

        A request that was read at e, with b < e <= d of a hold (a, b, d), was answered no earlier than max(a, sent):
        e less that is the most by which it is late.
        """
        late = np.zeros(len(ended_ns), np.int64)
        for number, parts in self._of_worker.items():
            holds = np.concatenate(parts)
            holds = holds[np.argsort(holds["ended_ns"], kind="stable")]
            mine = np.flatnonzero((worker == number) & (ended_ns != ABSENT))
            ended = ended_ns[mine]
            place = np.searchsorted(holds["ended_ns"], ended, side="left") - 1
            inside = (place >= 0) & (ended <= holds["caught_up_ns"][place])
            rows = mine[inside]
            since = np.maximum(holds["began_ns"][place[inside]], sent_ns[rows])
            late[rows] = np.maximum(ended_ns[rows] - since, 0)
        return late
