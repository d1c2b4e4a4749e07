"""Put the nodes of requests of different DAGs into the node columns of their run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import Tables, look_up

Column = NDArray[Any]


class NodeColumns:
    """The node columns of a run: which of them the nodes of each DAG belong to.

    Where a file does not say what its first DAG is, that has the run's first nodes.
    """

    def __init__(self, node_ids: Sequence[str]) -> None:
        self._place_of = {node_id: place for place, node_id in enumerate(node_ids)}
        self._all = list(range(len(node_ids)))

    @property
    def width(self) -> int:
        """Return how many columns there are."""
        return len(self._all)

    def sizes(self, rows: NDArray[np.void], tables: Tables) -> NDArray[np.int64]:
        """Return how many nodes the DAG of each request has; all that the run has where that is not known."""
        found = look_up([self.width if ids is None else len(ids) for ids in tables.dags], rows["dag"])
        found[found == ABSENT] = self.width
        return found

    def most(self, tables: Tables) -> int:
        """Return how many nodes a request has at most."""
        return max((self.width if ids is None else len(ids) for ids in tables.dags), default=self.width)

    def table(self, rows: NDArray[np.void], tables: Tables) -> RowTable:
        """Return where the nodes of some requests go; the nodes that the run does not list go nowhere."""
        columns = [[self._place_of.get(node_id, ABSENT) for node_id in ids or ()] for ids in tables.dags] or [[]]
        if not tables.dags or tables.dags[0] is None:
            columns[0] = self._all
        if all(own == self._all for own in columns) and len(columns) > rows["dag"].max(initial=0):
            return RowTable(rows["nodes"], self.width)
        return RowTable(rows["nodes"], self.width, _by_dag(rows, columns))


def nodes_of(rows: NDArray[np.void], tables: Tables) -> tuple[list[str], NDArray[np.int64]]:
    """Return ids of nodes, and of each node of each request, one after the other, the place of its own.

    It is `ABSENT` where the file does not say what the request's DAG is; there is nothing where it says so of none.
    """
    if not tables.dags:
        return [], np.empty(0, np.int64)
    known: dict[str, int] = {}
    columns = [[known.setdefault(node_id, len(known)) for node_id in ids or ()] for ids in tables.dags]
    return list(known), _by_dag(rows, columns)


def _by_dag(rows: NDArray[np.void], columns: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """Return of each node of each request what its DAG has for it in `columns`, `ABSENT` for nothing."""
    # A further DAG without nodes stands for those that are not known.
    lengths = np.array([*map(len, columns), 0], np.int64)
    starts = np.cumsum(lengths) - lengths
    flat = np.array([place for own in columns for place in own] + [ABSENT], np.int64)
    cited = rows["dag"].astype(np.int64)
    cited[(cited < 0) | (cited >= len(columns))] = len(columns)
    row, within = _each_value(rows["nodes"])
    of_row = cited[row]
    return flat[np.where(within < lengths[of_row], starts[of_row] + within, len(flat) - 1)]


def _each_value(lengths: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return of each value, where each row has so many one after the other, its row and its place in that."""
    counts = lengths.astype(np.int64)
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)


class RowTable:
    """Puts values that stand one after the other into a table of `width` columns, `ABSENT` where a row has none.

    Each value goes to its own of the `columns`, or the n-th of a row to the n-th column. One without a column is left
    out.
    """

    def __init__(self, lengths: NDArray[np.integer[Any]], width: int, columns: NDArray[np.int64] | None = None) -> None:
        self._shape = len(lengths), width
        self._is_whole = columns is None and bool((lengths == width).all())
        if self._is_whole:
            return
        row, within = _each_value(lengths)
        column = within if columns is None else columns
        self._inner = (column >= 0) & (column < width)
        self._place = (row * width + column)[self._inner]

    def __call__(self, values: Column) -> Column:
        """Return the table of some values."""
        if self._is_whole:
            return values.reshape(self._shape)
        table = np.full(self._shape[0] * self._shape[1], ABSENT, values.dtype)
        table[self._place] = values[self._inner]
        return table.reshape(self._shape)
