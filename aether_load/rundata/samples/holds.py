"""Bound by how much the sender read answers late while its event loop was held."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import HOLD_TYPE


class Holds:
    """The holds of all senders.

    A hold lasts from `began_ns` to `ended_ns`; until `caught_up_ns` the loop had answers to read that had come in
    meanwhile. An answer that was read in this time may have been there since the hold began: also one that was read
    before its end, where the loop is held by all that it does in one turn.
    """

    def __init__(self) -> None:
        self._parts: list[NDArray[np.void]] = []

    def add(self, holds: NDArray[np.void]) -> None:
        """Take in some more of them, in any order."""
        if len(holds):
            self._parts.append(holds)

    def within(self, began_ns: int | None, ended_ns: int | None) -> NDArray[np.int64]:
        """Return for how long each hold lasted that ended between two instants."""
        holds = self._all
        if began_ns is None or ended_ns is None:
            return np.empty(0, np.int64)
        holds = holds[(holds["ended_ns"] >= began_ns) & (holds["ended_ns"] <= ended_ns)]
        lasted: NDArray[np.int64] = holds["ended_ns"] - holds["began_ns"]
        return lasted

    @property
    def _all(self) -> NDArray[np.void]:
        return np.concatenate(self._parts) if self._parts else np.empty(0, HOLD_TYPE)

    def late_ns(
        self, worker: NDArray[np.int16], sent_ns: NDArray[np.int64], ended_ns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return of each request how much of its latency may be the sender's own.

        A request that was read at e, with a < e <= d of a hold (a, b, d), was answered no earlier than max(a, sent):
        e less that is the most by which it is late.
        """
        late = np.zeros(len(ended_ns), np.int64)
        holds = self._all
        for number in np.unique(holds["worker"]):
            began, caught_up = _joined(holds[holds["worker"] == number])
            rows = np.flatnonzero((worker == number) & (ended_ns != ABSENT))
            last = np.searchsorted(began, ended_ns[rows], side="left") - 1
            inside = (last >= 0) & (ended_ns[rows] <= caught_up[last])
            rows, last = rows[inside], last[inside]
            late[rows] = ended_ns[rows] - np.maximum(began[last], sent_ns[rows])
        return late


def _joined(holds: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return since when answers may have waited and when the loop had caught up, ascending and apart from each other.

    A hold that begins before the one before it was caught up with goes on with that one's answers.
    """
    holds = holds[np.argsort(holds["began_ns"], kind="stable")]
    began = np.ascontiguousarray(holds["began_ns"])
    caught_up = np.maximum.accumulate(holds["caught_up_ns"])
    is_new = np.ones(len(holds), np.bool_)
    is_new[1:] = began[1:] >= caught_up[:-1]
    is_last = np.append(is_new[1:], True)
    return began[is_new], caught_up[is_last]
