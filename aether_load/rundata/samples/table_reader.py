"""Read record files into columns, batch by batch, so that little beside the columns is in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import CYCLE_PREFIX, Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.records.record_format import ABSENT, REQUEST
from aether_load.rundata.records.record_reader import RecordBatch, Tables, look_up
from aether_load.rundata.records.record_set import RecordPart, RecordSet
from aether_load.rundata.samples.column import Column
from aether_load.rundata.samples.holds import Holds
from aether_load.rundata.samples.iterations import Iterations
from aether_load.rundata.samples.node_columns import NodeColumns, RowTable
from aether_load.rundata.samples.slowest import SlowestRecords, SlowRecord
from aether_load.rundata.samples.table import PhaseSamples

Values = NDArray[Any]

MOST_ROWS_IN_MEMORY = 16_000_000
"""Of larger runs the columns lie in files in the run's folder: of 50,000,000 requests they take 3.5 GB."""
_MOST_ERRORS = np.iinfo(np.int16).max
_ODD = np.uint64(0x9E3779B97F4A7C15)
_TYPES: dict[str, type] = {
    "request_index": np.int64, "worker": np.int16, "due_ns": np.int64, "sent_ns": np.int64, "ended_ns": np.int64,
    "dataset": np.int16, "outcome": np.int8, "server_total_ms": np.int32, "token_cost": np.int64,
    "answer_state": np.int8, "correct": np.int8, "node_times_ms": np.int32, "node_states": np.int8,
    "node_cached": np.int8, "execution_key": np.uint64, "name": np.int16, "sent_nodes": np.int32,
}  # fmt: skip

_AS_RECORDED = (
    "request_index", "worker", "due_ns", "sent_ns", "ended_ns", "outcome", "server_total_ms", "answer_state", "correct",
)  # fmt: skip
_OF_NODES = {"node_times_ms": "time_ms", "node_states": "state", "node_cached": "cached"}
_TOTALS = ("cycles_total", "levels_told_total", "levels_over_total", "levels_short_total")


class SamplesRead(msgspec.Struct, frozen=True):
    """The samples of each phase, how many rows there were, the files whose end is torn off, and what was refused.

    `slowest` has the slowest requests of each dataset.
    """

    phases: tuple[PhaseSamples, ...]
    rows: int
    slowest: tuple[SlowRecord, ...] = ()
    torn: tuple[str, ...] = ()
    damage: tuple[str, ...] = ()


def read_phases(
    parts: Sequence[RecordPart],
    records: Sequence[PhaseRecord],
    datasets: Sequence[str],
    node_ids: Sequence[str],
    level_of: Sequence[int],
) -> SamplesRead:
    """Read a run's samples; `level_of` has each node's level, in the manifest's order (all 0 where unknown).

    A phase that was cut off by force has no end of its window; then it is where its last answer came in.
    """
    rows_each = _rows_each(parts, len(records))
    folder = parts[0].path.parent if rows_each * len(records) > MOST_ROWS_IN_MEMORY else None
    growing = [GrowingPhase(len(level_of), rows_each, folder) for _ in records]
    holds, iterations = Holds(), Iterations()
    places = {record.name: place for place, record in enumerate(records)}
    columns_of = RecordColumns(datasets, node_ids, level_of)
    slowest = SlowestRecords(records, len(datasets))
    reader = RecordSet(parts)
    rows = nameless = 0
    for batch, tables in reader:
        holds.add(batch.holds)
        # A phase that is not wanted has no place, but a name.
        known = [ABSENT if name is None else places.get(name, len(records)) for name in tables.phases]
        iterations.add(batch.iterations, known, tables)
        phase = look_up(known, batch.requests["phase"])
        counts = np.bincount(phase + 1, minlength=len(records) + 2)
        rows, nameless = rows + len(phase) - int(counts[0]), nameless + int(counts[0])
        columns = columns_of(batch, tables)
        slowest.add(batch, tables, phase, columns["dataset"])
        for place in np.flatnonzero(counts[1:-1]):
            growing[place].add(columns, None if counts[place + 1] == len(phase) else phase == place)
    phases = tuple(
        msgspec.structs.replace(
            grown.finish(record, holds, columns_of.errors, columns_of.names), iterations=iterations.of_phase(place)
        )
        for place, (grown, record) in enumerate(zip(growing, records, strict=True))
    )
    damage = [*reader.damage]
    if nameless:
        damage.append(f"{nameless} rows are of phases whose names were in damaged blocks; they were refused")
    return SamplesRead(phases, rows, slowest.finish(holds), tuple(reader.torn), tuple(damage))


def _rows_each(parts: Sequence[RecordPart], phases: int) -> int:
    """Return how many rows each phase has if all have as many; memory that is not written to costs nothing."""
    rows = sum(part.path.stat().st_size for part in parts if part.path.is_file()) // REQUEST.size
    return rows // max(1, phases) + 1


class GrowingPhase:
    """One phase's columns while they grow; they have room for `rows` at first, in a file if there is a `folder`."""

    def __init__(self, node_count: int, rows: int = 0, folder: Path | None = None) -> None:
        self._nodes = node_count
        self._columns = {
            name: Column(kind, rows * (node_count if name in _OF_NODES else 1), folder) for name, kind in _TYPES.items()
        }
        self._totals = dict.fromkeys(_TOTALS, 0)
        self._errors: Counter[tuple[int, int]] = Counter()

    def add(self, columns: Mapping[str, Values], which: NDArray[np.bool_] | None = None) -> None:
        """Append the rows of some columns, or those `which` are meant."""
        for name, column in self._columns.items():
            column.append((columns[name] if which is None else columns[name][which]).reshape(-1))
        for name in self._totals:
            self._totals[name] += int((columns[name] if which is None else columns[name][which]).sum())
        told = columns["error"] != ABSENT if which is None else which & (columns["error"] != ABSENT)
        if told.any():
            pairs = np.stack([columns["outcome"][told], columns["error"][told]])
            for (outcome, error), count in zip(*_counted(pairs), strict=True):
                self._errors[int(outcome), int(error)] += int(count)

    def __len__(self) -> int:
        return len(self._columns["due_ns"])

    def widen(self, node_count: int) -> None:
        """Make room for the nodes of a DAG that the run has taken on; requests so far have none of them."""
        for name in _OF_NODES:
            self._columns[name].widen(self._nodes, node_count)
        self._nodes = node_count

    def thin(self) -> None:
        """Keep every second request."""
        for name, column in self._columns.items():
            column.thin(self._nodes if name in _OF_NODES else 1)

    def snapshot(self, record: PhaseRecord, holds: Holds, names: tuple[str, ...] = ()) -> PhaseSamples:
        """Return the samples so far, which are valid until more are added."""
        columns = {name: column.view() for name, column in self._columns.items()}
        return self._samples(columns, record, holds, (), names)

    def finish(self, record: PhaseRecord, holds: Holds, errors: Sequence[str], names: tuple[str, ...]) -> PhaseSamples:
        """Return all samples; nothing can be added afterwards. `errors` and `names` are texts by their places."""
        columns = {name: column.finish() for name, column in self._columns.items()}
        return self._samples(columns, record, holds, errors, names)

    def _samples(
        self,
        whole: dict[str, Any],
        record: PhaseRecord,
        holds: Holds,
        errors: Sequence[str],
        names: tuple[str, ...],
    ) -> PhaseSamples:
        for name in _OF_NODES:
            whole[name] = whole[name].reshape(len(whole["due_ns"]), self._nodes)
        began, ended = record.window_began_ns, record.window_ended_ns
        if began is not None and ended is None and len(whole["ended_ns"]):
            ended = int(whole["ended_ns"].max())
        held = holds.within(began, ended)
        return PhaseSamples(
            **(whole | self._totals),
            late_ns=holds.late_ns(whole["worker"], whole["sent_ns"], whole["ended_ns"]),
            holds_total=len(held),
            held_ns_total=int(held.sum()),
            longest_hold_ns=int(held.max(initial=0)),
            names=names,
            errors=tuple(
                (Outcome(outcome).label, errors[error], count)
                for (outcome, error), count in self._errors.most_common()
                if errors
            ),
            window_began_ns=began,
            window_ended_ns=ended,
        )


class RecordColumns:
    """Turns batches of records into columns."""

    def __init__(self, datasets: Sequence[str], node_ids: Sequence[str], level_of: Sequence[int]) -> None:
        """Take the run's datasets and nodes in the manifest's order, and each node's level."""
        self.list_nodes(node_ids, level_of)
        self._datasets = {name: place for place, name in enumerate(datasets)}
        self._errors: dict[str, int] = {}
        self._names: dict[str, int] = {}

    def list_nodes(self, node_ids: Sequence[str], level_of: Sequence[int]) -> None:
        """Take these nodes as the run's from now on."""
        self._nodes = NodeColumns(node_ids)
        self._level_of = tuple(level_of)

    def __call__(self, batch: RecordBatch, tables: Tables) -> dict[str, Values]:
        """Return a batch's columns, and of each row whether its answer's levels contradict the rest of it."""
        rows, nodes = batch.requests, batch.nodes
        dense = self._nodes.table(rows, tables)
        found = {name: rows[name] for name in _AS_RECORDED}
        found["token_cost"] = rows["tokens"]
        found |= {name: dense(nodes[column]) for name, column in _OF_NODES.items()}
        found["sent_nodes"] = self._nodes.sizes(rows, tables).astype(np.int32)
        found["dataset"] = look_up(self._dataset_of_prompt(tables), rows["prompt"]).astype(np.int16)
        found["execution_key"] = _keys(rows["execution_id"])
        found["cycles_total"] = _cycles(rows, tables)
        found["error"] = look_up([self._error(text) for text in tables.errors], rows["error"])
        found["name"] = look_up([self._name(text) for text in tables.names], rows["name"])
        return found | self._levels(batch, found)

    def _error(self, text: str | None) -> int:
        """Return an error text's place among all that were read; beyond the most that a column holds, the last one."""
        if text is None:
            return ABSENT
        if len(self._errors) >= _MOST_ERRORS:
            return self._errors.get(text, _MOST_ERRORS - 1)
        return self._errors.setdefault(text, len(self._errors))

    def _name(self, text: str | None) -> int:
        return ABSENT if text is None else self._names.setdefault(text, len(self._names))

    @property
    def errors(self) -> tuple[str, ...]:
        """Return the texts of errors by their places."""
        return tuple(self._errors)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of requests by their places."""
        return tuple(self._names)

    def _dataset_of_prompt(self, tables: Tables) -> Sequence[int]:
        """Return the place of each prompt's dataset among the manifest's."""
        places = [ABSENT if name is None else self._datasets.get(name, ABSENT) for name in [*tables.datasets, None]]
        return [ABSENT if link >= len(places) else places[link] for link in tables.dataset_of_prompt]

    def _levels(self, batch: RecordBatch, found: Mapping[str, Values]) -> dict[str, Values]:
        """Tell of each row whether levels were told, add up to more than the total, or are below one of their nodes."""
        rows = batch.requests
        depth = max(self._level_of, default=0) + 1
        levels = RowTable(rows["levels"], depth)(batch.levels)
        told = levels[:, 0] != ABSENT
        over = told & (np.maximum(levels, 0).sum(axis=1, dtype=np.int64) > found["server_total_ms"])
        short = np.zeros(len(rows), np.bool_)
        for place, level in enumerate(self._level_of):
            short |= (levels[:, level] != ABSENT) & (found["node_times_ms"][:, place] > levels[:, level])
        return {"levels_told_total": told, "levels_over_total": over, "levels_short_total": told & short}


def _counted(pairs: Values) -> tuple[Values, Values]:
    """Return the pairs that occur, one a row, and how often each does."""
    different, counts = np.unique(pairs, axis=1, return_counts=True)
    return different.T, counts


def _keys(identifiers: NDArray[np.void]) -> NDArray[np.uint64]:
    """Return a number for each id of 16 bytes, 0 for one of zeros.

    Half of the memory that the ids take; two of ten million random ids share a number once in 400,000 runs.
    """
    halves = np.ascontiguousarray(identifiers).view("<u8").reshape(-1, 2)
    keys: NDArray[np.uint64] = halves[:, 0] * _ODD + halves[:, 1]
    return keys


def _cycles(rows: NDArray[np.void], tables: Tables) -> NDArray[np.bool_]:
    """Tell of each row whether the runtime refused its DAG because of a cycle."""
    tells_cycle = [text is not None and text.startswith(CYCLE_PREFIX) for text in tables.errors]
    if not any(tells_cycle):
        return np.zeros(len(rows), np.bool_)
    cycles: NDArray[np.bool_] = (look_up(tells_cycle, rows["error"]) == 1) & (rows["outcome"] == Outcome.ABORTED)
    return cycles
