"""Report each node of the DAG: its times, its states, its cache hits, and its share of the longest paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from aether_load.analysis.latency.dag_shape import DagShape
from aether_load.analysis.latency.divided import PathShares
from aether_load.analysis.statistics.distribution import Distribution, Share, distribution, wilson
from aether_load.protocol import NodeShape, NodeState
from aether_load.rundata.samples.table import PhaseSamples

_PATH_SHARES = {"path_share": "of_all", "tail_path_share": "of_tail", "on_path_share": "on_path"}
_NO_TIME = "the paths' times add up to less than a millisecond"


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One node in the answers to the requests of a window; `reasons` says of each None why.

    A node of a compiled program has its `function` and its `source`, the line that calls it; others have neither.
    `level` counts from 0, as the runtime does. `node_time_ms` is of the runs that succeeded, whole ms that the
    server said, cut off. `cached_share` is of those that said whether they came from the cache. `path_share` is the
    node's part of the time on the longest dependency paths (all nodes, where they ran one after the other), over
    requests that succeeded; `tail_path_share` the same over those at or above the p99 of response latency;
    `on_path_share` is how often it lay on that path.
    """

    id: str
    function: str | None = None
    source: str | None = None
    level: int | None
    waits_for: tuple[str, ...] | None
    states: dict[str, int]
    node_time_ms: Distribution | None
    cached_share: Share | None
    path_share: float | None
    tail_path_share: float | None
    on_path_share: float | None
    reasons: dict[str, str]

    @property
    def title(self) -> str:
        """Return the id, with the function and the line of the source where the node is of a program."""
        origin = ", ".join(part for part in (self.function, self.source) if part is not None)
        return f"{self.id} ({origin})" if origin else self.id


def node_reports(
    samples: PhaseSamples,
    ids: Sequence[str],
    shapes: Sequence[NodeShape],
    shape: DagShape | None,
    shares: PathShares | None,
    why_not: Mapping[str, str],
) -> tuple[NodeReport, ...]:
    """Return the report of each node of the DAGs that were sent, in the manifest's order.

    `why_not` has the decomposition's reasons.

    `shapes` are the manifest's nodes, as far as it has any.
    """
    origins = {origin.id: origin for origin in shapes}
    window = samples.in_window
    reports = []
    for place, id_ in enumerate(ids):
        if samples.lacks_node(place):
            continue
        states, origin = samples.node_states[window, place], origins.get(id_)
        succeeded = states == NodeState.SUCCEEDED
        cached = samples.node_cached[window, place][succeeded]
        told = int(np.count_nonzero(cached >= 0))
        times = distribution(samples.node_times_ms[window, place][succeeded])
        cached_share = wilson(int(np.count_nonzero(cached == 1)), told)
        reasons = {}
        if times is None:
            reasons["node_time_ms"] = "it succeeded in no request of the window"
        if cached_share is None:
            reasons["cached_share"] = "no answer said whether it came from the cache"
        path = {name: getattr(shares, of)[place] if shares else None for name, of in _PATH_SHARES.items()}
        for name in (name for name, value in path.items() if value is None):
            too_small = why_not.get("tail_share", _NO_TIME) if name == "tail_path_share" else _NO_TIME
            reasons[name] = why_not.get("node_path") or too_small
        if shape is None:
            reasons["level"] = reasons["waits_for"] = "the run does not say how its nodes depend on each other"
        reports.append(
            NodeReport(
                id=id_,
                function=origin.function if origin else None,
                source=origin.source if origin else None,
                level=shape.level_of[place] if shape else None,
                waits_for=tuple(shape.ids[needed] for needed in shape.waits_for[place]) if shape else None,
                states={state.label: int(np.count_nonzero(states == state)) for state in NodeState},
                node_time_ms=times,
                cached_share=cached_share,
                reasons=reasons,
                **path,
            )
        )
    return tuple(reports)
