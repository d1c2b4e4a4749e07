"""Explain the slowest requests of a run: where the time of each one went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, longest_paths
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.frames.samples import categories
from aether_load.protocol import READABLE, Outcome
from aether_load.rundata.manifest import Manifest

_PARTS = tuple(PART_NAMES)
SLOWEST_COLUMNS: Mapping[str, str] = {
    "response_latency_ms": "from due to answered; the parts add up to it",
    "phase": "name of the phase",
    "name": "the row of the report that counts it: the request's own name, else its dataset",
    "largest_part": "the part that took longest",
    "slowest_node": "the node that took longest; NA: no node's time is known",
    "slowest_node_ms": "its time",
    "outcome": "`ok` or how it failed",
    "start_delay_ms": "from due to sent",
    "sender_hold_ms": "the most by which its answer may have been read late",
    "overhead_ms": "outside the server: network, HTTP, waiting in the runtime",
    "scheduler_ms": "the runtime's own work between nodes",
    "barrier_ms": "levels waiting for their slowest node",
    "node_path_ms": "the longest path through the nodes",
    "undivided_server_ms": "server time of a request whose nodes did not all succeed",
    "unanswered_ms": "time of a request without a readable answer",
    "due_utc": "when it was due",
    "worker": "number of the sending process; with `request_index` it names the request",
    "request_index": "number of the request in its process",
    "dataset": "name of the dataset",
    "prompt_id": "dataset and row of the prompt",
    "execution_id": "the runtime's id of the execution",
}
"""Each column of `Run.slowest()`, in order."""

_KEYS = ["worker", "request_index"]


def slowest_frame(
    samples: pd.DataFrame, nodes: pd.DataFrame, manifest: Manifest, shape: DagShape | None, count: int
) -> pd.DataFrame:
    """Return the `count` requests with the longest response latency, of those due in a window and sent.

    The parts are those of the report's decomposition, of one request each.
    """
    sent = samples[samples["in_window"] & samples["sent_ns"].notna()]
    worst = sent.nlargest(count, "response_latency_us", keep="first").reset_index(drop=True)
    times_ms, sent_nodes = _times(worst, nodes, manifest)
    sequential = {record.name for record in manifest.phases if record.sequential}
    parts = _parts(worst, times_ms, sent_nodes, shape, worst["phase"].isin(sequential).to_numpy(np.bool_))
    for name in _PARTS:
        worst[f"{name}_ms"] = parts[name]
    worst["response_latency_ms"] = _ms(worst, "due_ns", "ended_ns")
    table = np.stack([parts[name] for name in _PARTS], axis=1)
    worst["largest_part"] = categories(table.argmax(axis=1), [PART_NAMES[name] for name in _PARTS])
    slowest = times_ms.max(axis=1, initial=-1)
    place = np.where(slowest >= 0, times_ms.argmax(axis=1), -1) if times_ms.size else np.full(len(worst), -1)
    worst["slowest_node"] = categories(place, manifest.node_ids)
    worst["slowest_node_ms"] = pd.array(slowest, pd.Int64Dtype())
    worst.loc[slowest < 0, "slowest_node_ms"] = pd.NA
    return worst[[*SLOWEST_COLUMNS]]


def _times(worst: pd.DataFrame, nodes: pd.DataFrame, manifest: Manifest) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the nodes' times, a row a request and a column a node, and how many nodes each request has.

    The time is -1 where a node did not succeed, or is not of the request's DAG.
    """
    mine = worst[_KEYS].assign(row=np.arange(len(worst))).merge(nodes, on=_KEYS)
    sent_nodes = np.bincount(mine["row"].to_numpy(np.int64), minlength=len(worst))
    own = mine[(mine["state"] == "succeeded") & mine["time_ms"].notna() & (mine["node"].cat.codes >= 0)]
    times = np.full((len(worst), len(manifest.node_ids)), -1, np.int64)
    times[own["row"].to_numpy(np.int64), own["node"].cat.codes.to_numpy()] = own["time_ms"].to_numpy(np.int64)
    return times, sent_nodes


def _parts(
    worst: pd.DataFrame,
    times_ms: NDArray[np.int64],
    sent_nodes: NDArray[np.int64],
    shape: DagShape | None,
    sequential: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """Return each part of response latency in ms, 0 where a request does not have it."""
    parts: dict[str, NDArray[np.float64]] = {name: np.zeros(len(worst)) for name in _PARTS}
    total = worst["server_total_ms"].to_numpy(np.float64, na_value=0.0)
    readable = worst["outcome"].isin([outcome.label for outcome in READABLE]).to_numpy(np.bool_)
    client = _ms(worst, "sent_ns", "ended_ns") - np.where(readable, total, 0.0)
    hold = np.minimum(worst["sender_hold_us"].to_numpy(np.float64) / 1e3, np.maximum(client, 0.0))
    parts["start_delay"] = _ms(worst, "due_ns", "sent_ns")
    parts["sender_hold"] = hold
    parts["overhead"] = np.where(readable, client - hold, 0.0)
    parts["unanswered"] = np.where(readable, 0.0, client - hold)
    divided = (worst["outcome"] == Outcome.OK.label).to_numpy(np.bool_)
    divided = divided & (sent_nodes > 0) & ((times_ms >= 0).sum(axis=1) == sent_nodes)
    if shape is None or len(shape.ids) != times_ms.shape[1]:
        divided[:] = False
    parts["undivided_server"] = np.where(readable & ~divided, total, 0.0)
    if shape is not None and divided.any():
        paths = longest_paths(shape, times_ms[divided])
        one_by_one = sequential[divided]
        within = np.where(one_by_one, np.maximum(times_ms[divided], 0).sum(axis=1), paths.levels_ms)
        path = np.where(one_by_one, within, paths.path_ms)
        parts["scheduler"][divided] = total[divided] - within
        parts["barrier"][divided] = within - path
        parts["node_path"][divided] = path
    return parts


def _ms(frame: pd.DataFrame, early: str, late: str) -> NDArray[np.float64]:
    took: NDArray[Any] = frame[late].to_numpy(np.int64) - frame[early].to_numpy(np.int64)
    return took / 1e6
