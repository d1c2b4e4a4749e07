"""Follow the nodes of requests whose nodes all succeeded: their levels, their longest paths, each node's share."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, longest_paths
from aether_load.analysis.statistics.distribution import rounded
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples, pieces


class PathShares(msgspec.Struct, frozen=True):
    """Of each node, the part that it has of the node paths' time: of all divided requests, and of those in the tail.

    `on_path` is how often it was on the path, of the requests whose DAG has it. None where the time adds up to nothing,
    the tail is too small, or no such request was divided.
    """

    of_all: tuple[float | None, ...]
    of_tail: tuple[float | None, ...]
    on_path: tuple[float | None, ...]


class Divided(msgspec.Struct, frozen=True):
    """What the nodes' times of the divided requests come to, request by request, in ms."""

    which: NDArray[np.bool_]
    levels_ms: NDArray[np.integer]
    path_ms: NDArray[np.integer]
    nodes_ms: NDArray[np.integer]
    shares: PathShares


def divide(
    samples: PhaseSamples,
    window: NDArray[np.bool_],
    tail: NDArray[np.bool_] | None,
    shape: DagShape | None,
    *,
    sequential: bool,
) -> Divided | None:
    """Return the paths of the window's requests whose nodes all succeeded, chunk by chunk; None when there are none."""
    which = _are_divisible(samples, window)
    count = int(np.count_nonzero(which))
    if shape is None or count == 0 or samples.node_times_ms.shape[1] != len(shape.ids):
        return None
    mine = window.copy()
    mine[window] = which
    in_tail = selected(tail, which) if tail is not None else np.zeros(count, np.bool_)
    most_ms = int(samples.node_times_ms.max(initial=0)) * len(shape.ids)
    kind: type[np.int32 | np.int64] = np.int32 if most_ms <= np.iinfo(np.int32).max else np.int64
    levels, path, nodes = (np.empty(count, kind) for _ in range(3))
    time_all, time_tail, often, present = (np.zeros(len(shape.ids)) for _ in range(4))
    end = 0
    for rows in pieces(len(samples)):
        times = samples.node_times_ms[rows][mine[rows]]
        part = slice(end, end := end + len(times))
        paths = longest_paths(shape, times)
        is_there = times != ABSENT
        weight = is_there.astype(np.float64) if sequential else paths.weight
        levels[part], path[part] = paths.levels_ms, paths.path_ms
        nodes[part] = times.sum(axis=1, dtype=np.int64, where=is_there)
        spent = weight * times
        present += is_there.sum(axis=0)
        time_all += spent.sum(axis=0)
        time_tail += spent[in_tail[part]].sum(axis=0)
        often += weight.sum(axis=0)
    shares = PathShares(
        tuple(ratio(time, time_all.sum()) for time in time_all),
        tuple(ratio(time, time_tail.sum()) for time in time_tail),
        tuple(rounded(on / of) if of else None for on, of in zip(often, present, strict=True)),
    )
    return Divided(which, levels, path, nodes, shares)


def _are_divisible(samples: PhaseSamples, window: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which of a window's requests succeeded with a time of every node."""
    which: NDArray[np.bool_] = (samples.outcome == Outcome.OK)[window] & samples.all_succeeded[window]
    return which


def why_undivided(samples: PhaseSamples, window: NDArray[np.bool_], shape: DagShape | None) -> str:
    """Return why `divide` finds nothing to divide."""
    if shape is None:
        return "the run does not say how its nodes depend on each other"
    if not np.any(_are_divisible(samples, window)):
        return "no request of the window succeeded, so that not all of its nodes' times are known"
    return "the samples do not have the nodes that the manifest names"


def selected(values: NDArray[Any], which: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Return the values of some requests, without a copy where that is all of them."""
    return values if which is None or which.all() else values[which]


def ratio(part: float, whole: float) -> float | None:
    """Return a share rounded to six digits, None of a whole that is nothing."""
    return round(float(part) / float(whole), 6) if whole > 0 else None
