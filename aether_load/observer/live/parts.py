"""The parts of each request's response latency, as analysis.decomposition has them, for a batch of fresh rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, levels_and_path
from aether_load.observer.live.time_bucket import PARTS
from aether_load.protocol import READABLE, Outcome

_IS_READABLE = np.array([outcome in READABLE for outcome in Outcome])
_START_DELAY, _OVERHEAD, _SCHEDULER, _BARRIER, _NODE_PATH, _UNDIVIDED, _UNANSWERED = range(len(PARTS))


def parts_by_request(
    rows: NDArray[np.void], node_times_ms: NDArray[np.int64], shape: DagShape | None, *, sequential: bool
) -> NDArray[np.float64]:
    """Return a row a request that was sent and a column a part, in ms; `node_times_ms` is one list, request by request.

    The parts of a request add up to its response latency.
    """
    table = np.zeros((len(rows), len(PARTS)))
    client_ms = (rows["ended_ns"] - rows["sent_ns"]) / 1e6
    server_ms = rows["server_total_ms"]
    readable = _IS_READABLE[rows["outcome"]]
    table[:, _START_DELAY] = (rows["sent_ns"] - rows["due_ns"]) / 1e6
    table[:, _OVERHEAD] = np.where(readable, client_ms - server_ms, 0.0)
    table[:, _UNANSWERED] = np.where(readable, 0.0, client_ms)
    divided = np.zeros(len(rows), np.bool_)
    if shape is not None:
        divided = (rows["outcome"] == Outcome.OK) & (rows["nodes"] == len(shape.ids))
        times = node_times_ms[np.repeat(divided, rows["nodes"])].reshape(-1, len(shape.ids))
        levels_ms, path_ms = levels_and_path(shape, times)
        if sequential:
            levels_ms = path_ms = times.sum(axis=1)
        table[divided, _SCHEDULER] = server_ms[divided] - levels_ms
        table[divided, _BARRIER] = levels_ms - path_ms
        table[divided, _NODE_PATH] = path_ms
    table[:, _UNDIVIDED] = np.where(readable & ~divided, server_ms, 0.0)
    return table
