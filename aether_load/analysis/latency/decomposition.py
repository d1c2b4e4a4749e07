"""Divide the response latency of each request into parts that add up to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.dag_shape import DagShape
from aether_load.analysis.latency.divided import Divided, PathShares, divide, ratio, selected, why_undivided
from aether_load.analysis.statistics.distribution import (
    Distribution,
    Percentile,
    ascending,
    distribution,
    percentile,
    rounded,
)
from aether_load.rundata.samples.table import PhaseSamples, pieces
from aether_load.scenario.metrics import PARTS, PartName

TAIL_SAMPLES = 10

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
    # One after the other, because of ten million requests each column takes 80 MB.
    _measure_client(samples, window, measure, total_ms, late_ms)
    divided = divide(samples, window, measure.tail, shape, sequential=sequential)
    _measure_server(samples, window, measure, total_ms, shape, divided, sequential=sequential)
    speedup, bound = _speedups(divided, total_ms)
    if divided is None:
        why = why_undivided(samples, window, shape)
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
        **measure.parts,
    )
    return Divisions(whole, divided.shares if divided else None, measure.of_groups())


def _measure_client(
    samples: PhaseSamples,
    window: NDArray[np.bool_],
    measure: _Measure,
    total_ms: NDArray[np.int32],
    late_ms: NDArray[np.float64] | None,
) -> None:
    readable = samples.readable[window]
    measure("start_delay", _between(samples.due_ns, samples.sent_ns, window), None, 0)
    client = _between(samples.sent_ns, samples.ended_ns, window)
    np.subtract(client, total_ms, out=client, where=readable)
    if late_ms is None:
        measure("sender_hold", client[:0], np.zeros(len(client), np.bool_), 0)
    else:
        hold = np.minimum(late_ms, np.maximum(client, 0.0))
        measure("sender_hold", hold[hold > 0], hold > 0, 0)
        client -= hold
    measure("unanswered", client[~readable], ~readable, 0)
    measure("overhead", selected(client, readable), readable, 1)


def _measure_server(
    samples: PhaseSamples,
    window: NDArray[np.bool_],
    measure: _Measure,
    total_ms: NDArray[np.int32],
    shape: DagShape | None,
    divided: Divided | None,
    *,
    sequential: bool,
) -> None:
    """Measure the parts of the server's own time, which stays whole where not all of its nodes' times are known."""
    left = samples.readable[window]
    if divided is not None:
        assert shape is not None
        which = divided.which
        floors = int(samples.sent_nodes[window][which].max()) if sequential else shape.levels
        within = divided.nodes_ms if sequential else divided.levels_ms
        path = within if sequential else divided.path_ms
        measure("scheduler", selected(total_ms, which) - within, which, floors)
        measure("node_path", path, which, floors)
        if not sequential:
            measure("barrier", within - path, which, floors)
        left &= ~which
    measure("undivided_server", total_ms[left], left, 1)


def _speedups(divided: Divided | None, total_ms: NDArray[np.int32]) -> tuple[float | None, float | None]:
    """Return all nodes' time by the server's total time, and by the longest paths; None where there is none."""
    if divided is None:
        return None, None
    nodes_ms = divided.nodes_ms.sum()
    return ratio(nodes_ms, total_ms.sum(where=divided.which)), ratio(nodes_ms, divided.path_ms.sum())


def part_means(decomposition: Decomposition) -> PartMeans | None:
    """Return each part's mean contribution, None without a request."""
    return {name: part.mean_contribution_ms for name, part in parts_of(decomposition)} or None


def parts_of(decomposition: Decomposition) -> Iterator[tuple[PartName, Part]]:
    """Yield the parts that there are, by name, in the order in which a request passes them."""
    for name in PARTS:
        part = getattr(decomposition, name)
        if part is not None:
            yield name, part


class _Measure:
    """Makes `parts` of the times of the requests `which` have a part (None: all), and their means in each group."""

    def __init__(
        self, response: NDArray[np.float64], tail: NDArray[np.bool_] | None, groups: Sequence[NDArray[np.bool_]] = ()
    ) -> None:
        self._groups = [(group, int(np.count_nonzero(group))) for group in groups]
        self._means: list[PartMeans] = [{} for _ in groups]
        self.parts: dict[PartName, Part | None] = dict.fromkeys(PARTS)
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
    ) -> None:
        total = float(times.sum())
        for (group, count), means in zip(self._groups, self._means, strict=True):
            mine = selected(group, which)
            # Of a group of which no request was divided, the parts of divided ones are left out, as in a phase.
            if count and (name not in _OF_DIVIDED or mine.any()):
                means[name] = round(float(times[mine].sum()) / count, 6)
        # What all requests share to the last ns has no variance to explain, only rounding errors.
        varies = self._squares > 1e-9 * self._count
        self.parts[name] = Part(
            mean_contribution_ms=round(total / self._count, 6),
            mean_share=ratio(total, self._sum),
            tail_share=ratio(times[selected(self.tail, which)].sum(), self._tail_sum)
            if self.tail is not None
            else None,
            variance_share=round(self._product(times, selected(self._response, which)) / self._squares, 6)
            if varies
            else None,
            resolution_ms=resolution_ms,
            time_ms=distribution(times),
        )

    def of_groups(self) -> tuple[PartMeans | None, ...]:
        """Return the part means of each group, in the order in which a request passes the parts."""
        return tuple({name: means[name] for name in PARTS if name in means} or None for means in self._means)


def _between(early_ns: NDArray[np.int64], late_ns: NDArray[np.int64], which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the time between two instants of some requests, in ms."""
    took = np.empty(int(np.count_nonzero(which)))
    end = 0
    for rows in pieces(len(which)):
        mine = which[rows]
        ns = late_ns[rows][mine] - early_ns[rows][mine]
        np.divide(ns, 1e6, out=took[end : (end := end + len(ns))])
    return took


def _nothing(reason: str) -> Decomposition:
    keys = [field for field in Decomposition.__struct_fields__ if not field.endswith("_total") and field != "reasons"]
    return Decomposition(
        requests_total=0,
        divided_requests_total=0,
        tail_requests_total=0,
        reasons=dict.fromkeys(keys, reason),
        **dict.fromkeys(keys),
    )
