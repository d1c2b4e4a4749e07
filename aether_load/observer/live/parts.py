"""Divide the response latency of fresh rows into parts, as analysis.latency.decomposition does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, levels_and_path
from aether_load.observer.live.time_bucket import PARTS
from aether_load.protocol import READABLE, Outcome
from aether_load.rundata.records.record_format import ABSENT

_IS_READABLE = np.array([outcome in READABLE for outcome in Outcome])
_START_DELAY, _OVERHEAD, _SCHEDULER, _BARRIER, _NODE_PATH, _UNDIVIDED, _UNANSWERED = range(len(PARTS))


def parts_by_request(
    rows: NDArray[np.void],
    node_times_ms: NDArray[np.integer[Any]],
    sent_nodes: NDArray[np.int64],
    shape: DagShape | None,
    *,
    sequential: bool,
) -> NDArray[np.float64]:
    """Return a row a request that was sent and a column a part, in ms, which add up to its response latency.

    `node_times_ms` has a row a request and a column a node; `sent_nodes` is how many nodes each request's DAG has.
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
        measured = np.count_nonzero(node_times_ms != ABSENT, axis=1)
        divided = (rows["outcome"] == Outcome.OK) & (measured == sent_nodes)
        times = node_times_ms[divided]
        levels_ms, path_ms = levels_and_path(shape, times)
        if sequential:
            levels_ms = path_ms = np.maximum(times, 0).sum(axis=1)
        table[divided, _SCHEDULER] = server_ms[divided] - levels_ms
        table[divided, _BARRIER] = levels_ms - path_ms
        table[divided, _NODE_PATH] = path_ms
    table[:, _UNDIVIDED] = np.where(readable & ~divided, server_ms, 0.0)
    return table
