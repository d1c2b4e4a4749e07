"""The shape of a DAG: its levels, its cycles."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aether_load.simulator.wire import NodeV2


class CycleError(Exception):
    """The dependencies run in a circle; the text is the runtime's sentence."""

    def __init__(self, node_id: str) -> None:
        super().__init__(f"Cycle detected in DAG involving node '{node_id}'")


class DuplicateIdError(Exception):
    """Two nodes of one id, on which the runtime breaks off without an answer."""


def levels_of(nodes: Sequence[NodeV2]) -> tuple[list[list[NodeV2]], dict[str, int]]:
    """Group nodes by the longest way from a root, each level in the request's order, and tell each node's level.

    A dependency on a node that is not there does not count. CycleError comes before DuplicateIdError.
    """
    if len(nodes) == 1 and not nodes[0].dependencies:  # most requests, and the fastest
        return [[nodes[0]]], {nodes[0].id: 0}
    depth = _depths(nodes)
    if len(depth) < len(nodes):
        raise DuplicateIdError
    levels: list[list[NodeV2]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for node in nodes:
        levels[depth[node.id]].append(node)
    return levels, depth


def _depths(nodes: Sequence[NodeV2]) -> dict[str, int]:
    if not any(node.dependencies for node in nodes):
        return dict.fromkeys((node.id for node in nodes), 0)
    needs: dict[str, set[str]] = {node.id: set() for node in nodes}
    for node in nodes:
        needs[node.id].update(needed for needed in node.dependencies if needed in needs)
    needed_by: dict[str, list[str]] = {name: [] for name in needs}
    for name, needed in needs.items():
        for other in needed:
            needed_by[other].append(name)
    waits_for = {name: len(needed) for name, needed in needs.items()}
    depth = {name: 0 for name, count in waits_for.items() if not count}
    ready = list(depth)
    for name in ready:
        for other in needed_by[name]:
            depth[other] = max(depth.get(other, 0), depth[name] + 1)
            waits_for[other] -= 1
            if not waits_for[other]:
                ready.append(other)
    if len(ready) < len(needs):
        raise CycleError(_on_a_circle(needs, set(needs).difference(ready)))
    return {name: depth[name] for name in needs}


def _on_a_circle(needs: dict[str, set[str]], left: set[str]) -> str:
    """Walk up from a node that never got ready until one comes a second time: that one is on a circle."""
    name = next(name for name in needs if name in left)
    seen: set[str] = set()
    while name not in seen:
        seen.add(name)
        name = min(needs[name] & left)
    return name
