"""A run's samples as pandas columns, one phase at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pandas as pd

from aether_load.protocol import NodeState

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from aether_load.analysis.run import PhaseRecord

_COLUMNS = [
    "phase", "dataset", "intended_start_ns", "sent_ns", "ended_ns", "service_latency_us", "response_latency_us",
    "outcome", "server_total_ms", "token_cost", "answer_state", "correct",
]  # fmt: skip
READABLE = ("ok", "rejected", "node_error", "aborted")
"""Outcomes of answers that were read in full, so that the server's own figures are known."""


class Nodes(msgspec.Struct, frozen=True):
    """The nodes of many answers in one row: times in whole ms of those that succeeded, and how many were cached."""

    succeeded_times_ms: NDArray[np.int64]
    cached_total: int | None


class PhaseSamples(msgspec.Struct, frozen=True):
    """One phase's samples: all of them, those sent inside its window, and the window's edges in monotonic ns."""

    everything: pd.DataFrame
    window: pd.DataFrame
    nodes: Nodes
    window_began_ns: int | None
    window_ended_ns: int | None

    @property
    def completed(self) -> pd.DataFrame:
        """Return the answers that came in inside the window, whenever their requests were sent.

        In a steady load as many reach in at its beginning as reach out at its end.
        """
        if self.window_began_ns is None or self.window_ended_ns is None:
            return self.everything.iloc[:0]
        ended = self.everything["ended_ns"]
        inside = (ended >= self.window_began_ns) & (ended <= self.window_ended_ns)
        return self.everything[inside & (self.everything["outcome"] != "cut_off")]

    @property
    def window_s(self) -> float | None:
        """Return the window's length in seconds, or None when it never opened."""
        if self.window_began_ns is None or self.window_ended_ns is None:
            return None
        return (self.window_ended_ns - self.window_began_ns) / 1e9


def phase_samples(table: pa.Table, record: PhaseRecord) -> PhaseSamples:
    """Return the samples of one phase.

    A phase that was cut off by force has no end of its window; then it is where its last answer came in.
    """
    import pyarrow.compute as pc  # noqa: PLC0415 -- registers its functions at import, which costs

    mine = table.filter(pc.equal(pc.cast(table["phase"], "string"), record.name))
    frame = mine.select(_COLUMNS).to_pandas()
    began, ended = record.window_began_ns, record.window_ended_ns
    if began is not None and ended is None and len(frame):
        ended = int(frame["ended_ns"].max())
    if began is None or ended is None:
        window = frame.iloc[:0]
    else:
        due = frame["intended_start_ns"]
        window = frame[(due >= began) & (due <= ended)]
    return PhaseSamples(frame, window, _nodes(mine), began, ended)


def _nodes(table: pa.Table) -> Nodes:
    import pyarrow.compute as pc  # noqa: PLC0415

    if table.num_rows == 0:
        return Nodes(np.array([], np.int64), None)
    succeeded = pc.equal(pc.cast(pc.list_flatten(table["node_states"]), "string"), NodeState.SUCCEEDED.label)
    times = pc.list_flatten(table["node_times_ms"]).filter(succeeded)
    cached = pc.list_flatten(table["node_cached"]).filter(succeeded).drop_null()
    return Nodes(times.drop_null().to_numpy().astype(np.int64), pc.sum(cached).as_py() if len(cached) else None)
