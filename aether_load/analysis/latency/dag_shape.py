"""Derive from a DAG's dependencies what its nodes' times mean: levels and the longest path."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import NodeShape


class DagShape(msgspec.Struct, frozen=True):
    """A DAG's nodes by place: ids, the places of those that each waits for, its level, and an order to walk them.

    A node's level is the longest way to it from a root, counted from 0, as the runtime counts (`node_levels`).
    """

    ids: tuple[str, ...]
    waits_for: tuple[tuple[int, ...], ...]
    level_of: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def levels(self) -> int:
        """Return how many levels there are."""
        return max(self.level_of) + 1


class Paths(msgspec.Struct, frozen=True):
    """Of many requests, in ms: the sum of each level's longest node, the longest path, and which nodes were on it.

    `weight` has a row a request and a column a node: 1 on the longest path, 0 beside it; where several paths are
    equally long, each fork shares evenly, so that the weighted times of a row always add up to its path.
    """

    levels_ms: NDArray[np.int64]
    path_ms: NDArray[np.int64]
    weight: NDArray[np.float64]


def dag_shape(nodes: Sequence[NodeShape]) -> DagShape | None:
    """Return the shape of a DAG, or None for one with a cycle or without nodes, which no runtime runs.

    A dependency on a node that is not there is passed over, as the runtime does.
    """
    places = {node.id: place for place, node in enumerate(nodes)}
    waits_for = tuple(tuple(sorted({places[id_] for id_ in node.depends_on if id_ in places})) for node in nodes)
    level_of: dict[int, int] = {}
    left = list(range(len(nodes)))
    while left:
        ready = [place for place in left if all(needed in level_of for needed in waits_for[place])]
        if not ready:
            return None
        for place in ready:
            level_of[place] = max((level_of[needed] + 1 for needed in waits_for[place]), default=0)
        left = [place for place in left if place not in level_of]
    if not level_of:
        return None
    return DagShape(
        ids=tuple(node.id for node in nodes),
        waits_for=waits_for,
        level_of=tuple(level_of[place] for place in range(len(nodes))),
        order=tuple(level_of),
    )


def levels_and_path(shape: DagShape, times_ms: NDArray[np.integer]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the sum of each level's longest node and the longest path, for node times as in `longest_paths`."""
    columns = _columns(shape, times_ms)
    return _levels(shape, columns), np.maximum.reduce(_finish(shape, columns))


def longest_paths(shape: DagShape, times_ms: NDArray[np.integer]) -> Paths:
    """Return the levels, the longest path and which nodes were on it, for whole node times with a row a request.

    The time of a node that is not of the request's DAG is `ABSENT`, which is below zero: no longest path has it.
    """
    columns = _columns(shape, times_ms)
    finish = _finish(shape, columns)
    path = np.maximum.reduce(finish)
    weight = np.zeros((len(times_ms), len(shape.ids)))
    _share(weight, 1.0, range(len(shape.ids)), finish, path)
    for place in reversed(shape.order):
        if shape.waits_for[place]:
            began = finish[place] - columns[place]
            _share(weight, weight[:, place].copy(), shape.waits_for[place], finish, began)
    return Paths(_levels(shape, columns), path, weight)


def _columns(shape: DagShape, times_ms: NDArray[np.integer]) -> list[NDArray[np.int64]]:
    return [np.ascontiguousarray(times_ms[:, place], np.int64) for place in range(len(shape.ids))]


def _levels(shape: DagShape, columns: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return the sum of each level's longest node."""
    levels = np.zeros(len(columns[0]), np.int64)
    for level in range(shape.levels):
        own = [columns[place] for place in range(len(shape.ids)) if shape.level_of[place] == level]
        # Of a request whose DAG has no node on a level, that level takes no time.
        levels += np.maximum(np.maximum.reduce(own), 0)
    return levels


def _finish(shape: DagShape, columns: Sequence[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
    """Return of each node when it is done, were it to begin as soon as those that it waits for are."""
    finish = list(columns)
    for place in shape.order:
        if shape.waits_for[place]:
            finish[place] = columns[place] + np.maximum.reduce([finish[needed] for needed in shape.waits_for[place]])
    return finish


def _share(
    weight: NDArray[np.float64],
    what: NDArray[np.float64] | float,
    among: Sequence[int] | range,
    finish: Sequence[NDArray[np.int64]],
    latest: NDArray[np.int64],
) -> None:
    """Give `what` in equal parts to those of `among` that finished latest."""
    last = [finish[place] == latest for place in among]
    many = np.sum(last, axis=0)
    for place, is_last in zip(among, last, strict=True):
        weight[:, place] += np.where(is_last, what / many, 0.0)


def shape_of(node_ids: Sequence[str], nodes: Sequence[NodeShape]) -> DagShape | None:
    """Return the shape of a run's nodes; what is said of other nodes than those that its samples list is not used."""
    if [node.id for node in nodes] != list(node_ids):
        return dag_shape(nodes_alone(node_ids))
    return dag_shape(nodes)


def nodes_alone(ids: Sequence[str]) -> tuple[NodeShape, ...]:
    """Return the shape that can be told where only ids were written down: that of a single node, or none."""
    return (NodeShape(ids[0]),) if len(ids) == 1 else ()
