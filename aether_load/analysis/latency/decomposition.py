"""Divide the response latency of each request into parts that add up to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape, longest_paths
from aether_load.analysis.statistics.distribution import (
    Distribution,
    Percentile,
    ascending,
    distribution,
    percentile,
    rounded,
)
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples, pieces

TAIL_SAMPLES = 10

PartName = Literal[
    "start_delay", "sender_hold", "overhead", "scheduler", "barrier", "node_path", "undivided_server", "unanswered"
]
_PARTS: tuple[PartName, ...] = get_args(PartName)
_OF_DIVIDED = {"scheduler", "barrier", "node_path"}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of response latency, in the requests of a window.

    `mean_contribution_ms` is its sum over all requests that were sent, by their number: the contributions of all
    parts add up to the mean response latency, and so do the three shares, of the mean, of the tail (requests at or
    above the p99 of response latency) and of the variance (Cov(part, R) / Var(R)), to 1. `time_ms` is the
    distribution over the requests that have this part; its percentiles add up to nothing. The server cuts its
    times off, so that a value of a request below `resolution_ms` cannot be told from 0.
    """

    mean_contribution_ms: float
    mean_share: float | None
    tail_share: float | None
    variance_share: float | None
    resolution_ms: int
    time_ms: Distribution | None


class Decomposition(msgspec.Struct, frozen=True, kw_only=True):
    """Response latency of a window's requests, part by part; `reasons` says of each None why.

    With R from due to answered, C from sent to answered, T the server's total, for a request that succeeded:
    R = start delay (R - C) + sender hold H + overhead (C - T - H) + scheduler (T less the longest node of each level;
    in sequence, less all nodes) + barrier (those less the longest path through the dependencies) + node path. H is the
    most by which the sender may have read the answer late because its event loop was held, and no more than C - T. Of
    an answer whose nodes' times are not all known, T stays whole as `undivided_server`; of a request without a readable
    answer, C - H as `unanswered`. `parallel_speedup` is the sum of node times by T, `parallel_speedup_bound` by the
    longest path.
    """

    requests_total: int
    divided_requests_total: int
    response_latency_mean_ms: float | None
    response_latency_p99_ms: Percentile | None
    tail_requests_total: int
    start_delay: Part | None
    sender_hold: Part | None
    overhead: Part | None
    scheduler: Part | None
    barrier: Part | None
    node_path: Part | None
    undivided_server: Part | None
    unanswered: Part | None
    parallel_speedup: float | None
    parallel_speedup_bound: float | None
    reasons: dict[str, str]


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


PartMeans = dict[PartName, float]
"""Each part's mean contribution in ms; they add up to the mean response latency."""


class Divisions(msgspec.Struct, frozen=True):
    """A decomposition, each node's share of the longest paths, and the means of each group (None: it is empty)."""

    whole: Decomposition
    shares: PathShares | None
    of_groups: tuple[PartMeans | None, ...]


def decompose(
    samples: PhaseSamples,
    shape: DagShape | None,
    *,
    sequential: bool,
    groups: Sequence[NDArray[np.bool_]] = (),
) -> Divisions:
    """Return where the time of a window's requests went, and of each of some `groups` of them."""
    window = samples.in_window & samples.was_sent
    count = int(np.count_nonzero(window))
    if count == 0:
        return Divisions(_nothing("no request was sent in the window"), None, (None,) * len(groups))
    response = _between(samples.due_ns, samples.ended_ns, window)
    ordered = ascending(response)
    late_ms = samples.late_ns[window] / 1e6 if samples.late_ns.any() else None
    p99 = percentile(ordered, 0.99, at_least=None if late_ms is None else ascending(response - late_ms))
    # The percentile is rounded for its readers; the tail begins at the sample itself.
    tail = response >= ordered[max(1, int(np.ceil(0.99 * count))) - 1]
    del ordered
    in_tail = int(np.count_nonzero(tail))
    reasons: dict[str, str] = {}
    if in_tail < TAIL_SAMPLES:
        reasons["tail_share"] = f"{in_tail} requests at or above p99, of {TAIL_SAMPLES} needed"
    mean = rounded(response.mean())
    measure = _Measure(response, None if in_tail < TAIL_SAMPLES else tail, [group[window] for group in groups])
    total_ms = samples.server_total_ms[window]
    parts: dict[PartName, Part | None] = dict.fromkeys(_PARTS)
    # One after the other, because of ten million requests each column takes 80 MB.
    parts |= _client_parts(samples, window, measure, total_ms, late_ms)
    divided = _divide(samples, window, measure.tail, shape, sequential=sequential)
    parts |= _server_parts(samples, window, measure, total_ms, shape, divided, sequential=sequential)
    speedup, bound = _speedups(divided, total_ms)
    if divided is None:
        why = _why_undivided(samples, window, shape)
        reasons |= dict.fromkeys(("scheduler", "barrier", "node_path"), why)
    elif sequential:
        reasons["barrier"] = "nodes ran one after the other, so that no level waited for its slowest"
    for key, value in (("parallel_speedup", speedup), ("parallel_speedup_bound", bound)):
        if value is None:
            reasons[key] = reasons.get("node_path", "the server's times are all below a millisecond")
    whole = Decomposition(
        requests_total=count,
        divided_requests_total=int(np.count_nonzero(divided.which)) if divided else 0,
        response_latency_mean_ms=mean,
        response_latency_p99_ms=p99,
        tail_requests_total=in_tail,
        parallel_speedup=speedup,
        parallel_speedup_bound=bound,
        reasons=reasons,
        **parts,
    )
    return Divisions(whole, divided.shares if divided else None, measure.of_groups())


def _client_parts(
    samples: PhaseSamples,
    window: NDArray[np.bool_],
    measure: _Measure,
    total_ms: NDArray[np.int32],
    late_ms: NDArray[np.float64] | None,
) -> dict[PartName, Part]:
    """Return the parts outside the server."""
    readable = samples.readable[window]
    parts: dict[PartName, Part] = {}
    parts["start_delay"] = measure("start_delay", _between(samples.due_ns, samples.sent_ns, window), None, 0)
    client = _between(samples.sent_ns, samples.ended_ns, window)
    np.subtract(client, total_ms, out=client, where=readable)
    if late_ms is None:
        parts["sender_hold"] = measure("sender_hold", client[:0], np.zeros(len(client), np.bool_), 0)
    else:
        hold = np.minimum(late_ms, np.maximum(client, 0.0))
        parts["sender_hold"] = measure("sender_hold", hold[hold > 0], hold > 0, 0)
        client -= hold
    parts["unanswered"] = measure("unanswered", client[~readable], ~readable, 0)
    parts["overhead"] = measure("overhead", _of(client, readable), readable, 1)
    return parts


def _server_parts(
    samples: PhaseSamples,
    window: NDArray[np.bool_],
    measure: _Measure,
    total_ms: NDArray[np.int32],
    shape: DagShape | None,
    divided: Divided | None,
    *,
    sequential: bool,
) -> dict[PartName, Part]:
    """Return the parts of the server's own time, which stays whole where not all of its nodes' times are known."""
    parts: dict[PartName, Part] = {}
    left = samples.readable[window]
    if divided is not None:
        assert shape is not None
        which = divided.which
        floors = int(samples.sent_nodes[window][which].max()) if sequential else shape.levels
        within = divided.nodes_ms if sequential else divided.levels_ms
        path = within if sequential else divided.path_ms
        parts["scheduler"] = measure("scheduler", _of(total_ms, which) - within, which, floors)
        parts["node_path"] = measure("node_path", path, which, floors)
        if not sequential:
            parts["barrier"] = measure("barrier", within - path, which, floors)
        left &= ~which
    parts["undivided_server"] = measure("undivided_server", total_ms[left], left, 1)
    return parts


def _speedups(divided: Divided | None, total_ms: NDArray[np.int32]) -> tuple[float | None, float | None]:
    """Return all nodes' time by the server's total time, and by the longest paths; None where there is none."""
    if divided is None:
        return None, None
    nodes_ms = divided.nodes_ms.sum()
    return _ratio(nodes_ms, total_ms.sum(where=divided.which)), _ratio(nodes_ms, divided.path_ms.sum())


def part_means(decomposition: Decomposition) -> PartMeans | None:
    """Return each part's mean contribution, None without a request."""
    return {name: part.mean_contribution_ms for name, part in parts_of(decomposition)} or None


def parts_of(decomposition: Decomposition) -> Iterator[tuple[PartName, Part]]:
    """Yield the parts that there are, by name, in the order in which a request passes them."""
    for name in _PARTS:
        part = getattr(decomposition, name)
        if part is not None:
            yield name, part


class _Measure:
    """Makes parts of the times of the requests `which` have a part (None: all), and their means in each group."""

    def __init__(
        self, response: NDArray[np.float64], tail: NDArray[np.bool_] | None, groups: Sequence[NDArray[np.bool_]] = ()
    ) -> None:
        self._groups = [(group, int(np.count_nonzero(group))) for group in groups]
        self._means: list[PartMeans] = [{} for _ in groups]
        self._response, self._mean, self._sum = response, float(response.mean()), float(response.sum())
        self.tail = tail
        self._tail_sum = float(response[tail].sum()) if tail is not None else 0.0
        self._squares = sum(float(np.square(response[rows] - self._mean).sum()) for rows in pieces(len(response)))
        self._count = len(response)

    def _product(self, times: NDArray[Any], response: NDArray[np.float64]) -> float:
        """Return the sum of times by how much each response latency is above the mean."""
        return sum(float(times[rows] @ (response[rows] - self._mean)) for rows in pieces(len(times)))

    def __call__(
        self, name: PartName, times: NDArray[Any], which: NDArray[np.bool_] | None, resolution_ms: int
    ) -> Part:
        total = float(times.sum())
        for (group, count), means in zip(self._groups, self._means, strict=True):
            mine = _of(group, which)
            # Of a group of which no request was divided, the parts of divided ones are left out, as in a phase.
            if count and (name not in _OF_DIVIDED or mine.any()):
                means[name] = round(float(times[mine].sum()) / count, 6)
        # What all requests share to the last ns has no variance to explain, only rounding errors.
        varies = self._squares > 1e-9 * self._count
        return Part(
            mean_contribution_ms=round(total / self._count, 6),
            mean_share=_ratio(total, self._sum),
            tail_share=_ratio(times[_of(self.tail, which)].sum(), self._tail_sum) if self.tail is not None else None,
            variance_share=round(self._product(times, _of(self._response, which)) / self._squares, 6)
            if varies
            else None,
            resolution_ms=resolution_ms,
            time_ms=distribution(times),
        )

    def of_groups(self) -> tuple[PartMeans | None, ...]:
        """Return the part means of each group, in the order in which a request passes the parts."""
        return tuple({name: means[name] for name in _PARTS if name in means} or None for means in self._means)


def _divide(
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
    in_tail = _of(tail, which) if tail is not None else np.zeros(count, np.bool_)
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
        tuple(_ratio(time, time_all.sum()) for time in time_all),
        tuple(_ratio(time, time_tail.sum()) for time in time_tail),
        tuple(rounded(on / of) if of else None for on, of in zip(often, present, strict=True)),
    )
    return Divided(which, levels, path, nodes, shares)


def _are_divisible(samples: PhaseSamples, window: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Tell which of a window's requests succeeded with a time of every node."""
    which: NDArray[np.bool_] = (samples.outcome == Outcome.OK)[window] & samples.all_succeeded[window]
    return which


def _why_undivided(samples: PhaseSamples, window: NDArray[np.bool_], shape: DagShape | None) -> str:
    if shape is None:
        return "the run does not say how its nodes depend on each other"
    if not np.any(_are_divisible(samples, window)):
        return "no request of the window succeeded, so that not all of its nodes' times are known"
    return "the samples do not have the nodes that the manifest names"


def _between(early_ns: NDArray[np.int64], late_ns: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the time between two instants of some requests, in ms."""
    took = np.empty(int(np.count_nonzero(which)))
    end = 0
    for rows in pieces(len(which)):
        mine = which[rows]
        ns = late_ns[rows][mine] - early_ns[rows][mine]
        np.divide(ns, 1e6, out=took[end : (end := end + len(ns))])
    return took


def _of(values: NDArray[Any], which: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Return the values of some requests, without a copy where that is all of them."""
    return values if which is None or which.all() else values[which]


def _ratio(part: float, whole: float) -> float | None:
    return round(float(part) / float(whole), 6) if whole > 0 else None


def _nothing(reason: str) -> Decomposition:
    keys = [field for field in Decomposition.__struct_fields__ if not field.endswith("_total") and field != "reasons"]
    return Decomposition(
        requests_total=0,
        divided_requests_total=0,
        tail_requests_total=0,
        reasons=dict.fromkeys(keys, reason),
        **dict.fromkeys(keys),
    )
