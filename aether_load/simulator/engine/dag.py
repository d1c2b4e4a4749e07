"""Compute the shape of a DAG: its levels, its cycles."""

from __future__ import annotations

import graphlib
from collections.abc import Sequence

from aether_load.simulator.wire import NodeV2


class CycleError(Exception):
    """The dependencies form a cycle; the text is the runtime's sentence."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"Cycle detected in DAG involving node '{node_id}'")


class DuplicateIdError(Exception):
    """Two nodes have one id; the runtime then breaks off without an answer."""


def levels_of(nodes: Sequence[NodeV2]) -> tuple[list[list[NodeV2]], dict[str, int]]:
    """Group nodes by the longest way from a root, each level in the request's order, and tell each node's level.

    A dependency on a node that is not there does not count. Raises CycleError, and after it DuplicateIdError.
    """
    if len(nodes) == 1 and not nodes[0].dependencies:  # most requests, and the fastest
        return [[nodes[0]]], {nodes[0].id: 0}
    depth = dict.fromkeys((node.id for node in nodes), 0)
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter()
    for node in nodes:
        sorter.add(node.id, *(needed for needed in set(node.dependencies) if needed in depth))
    try:
        sorter.prepare()
    except graphlib.CycleError as cycle:
        raise CycleError(cycle.args[1][0]) from None
    if len(depth) < len(nodes):
        raise DuplicateIdError
    levels: list[list[NodeV2]] = []
    while ready := sorter.get_ready():
        depth.update(dict.fromkeys(ready, len(levels)))
        levels.append([])
        sorter.done(*ready)
    for node in nodes:
        levels[depth[node.id]].append(node)
    return levels, depth
