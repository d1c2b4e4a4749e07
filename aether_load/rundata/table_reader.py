"""A sample file read into columns, batch by batch, so that little beside the columns is in memory at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aether_load.protocol import CYCLE_PREFIX, NodeState, Outcome
from aether_load.rundata.arrow import Column, filled, filled_flags, halves_of_16
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.sample_reader import PartReader, SamplePart
from aether_load.rundata.samples import ABSENT, ANSWER_STATES
from aether_load.rundata.table import PhaseSamples

_LARGEST_MS = np.iinfo(np.int32).max
_MOST_ERRORS = np.iinfo(np.int16).max
_ODD = np.uint64(0x9E3779B97F4A7C15)
_TYPES: dict[str, type] = {
    "request_index": np.int64, "worker": np.int16, "due_ns": np.int64, "sent_ns": np.int64, "ended_ns": np.int64,
    "dataset": np.int16, "outcome": np.int8, "server_total_ms": np.int64, "token_cost": np.int64,
    "answer_state": np.int8, "correct": np.int8, "node_times_ms": np.int32, "node_states": np.int8,
    "node_cached": np.int8, "execution_key": np.uint64,
}  # fmt: skip


class SamplesRead(msgspec.Struct, frozen=True):
    """The samples of each phase, how many rows the file held, and whether its tail was torn off."""

    phases: tuple[PhaseSamples, ...]
    rows: int
    torn: bool


def read_phases(
    parts: Sequence[SamplePart], records: Sequence[PhaseRecord], datasets: Sequence[str], level_of: Sequence[int]
) -> SamplesRead:
    """Read a run's samples; `level_of` has each node's level, in the manifest's order (all 0 where unknown).

    A phase that was cut off by force has no end of its window; then it is where its last answer came in.
    """
    growing = [_Growing(len(level_of)) for _ in records]
    batches = _Batches({record.name: place for place, record in enumerate(records)}, datasets, level_of)
    reader = PartReader(parts)
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        phase = batches.phases(batch)
        columns = batches.columns(batch)
        for place in np.unique(phase):
            if place != ABSENT:
                growing[place].add(columns, phase == place)
    phases = tuple(grown.finish(record, batches.errors) for grown, record in zip(growing, records, strict=True))
    return SamplesRead(phases, rows, reader.torn)


class _Growing:
    """One phase's columns while they grow."""

    def __init__(self, node_count: int) -> None:
        self._nodes = node_count
        self._columns = {name: _Column(kind) for name, kind in _TYPES.items()}
        self._totals = dict.fromkeys(("is_cycle", "levels_told", "levels_over", "levels_short"), 0)
        self._errors: Counter[tuple[int, int]] = Counter()

    def add(self, columns: Mapping[str, Column], which: NDArray[np.bool_]) -> None:
        everything = bool(which.all())
        for name, column in self._columns.items():
            column.append((columns[name] if everything else columns[name][which]).reshape(-1))
        for name in self._totals:
            self._totals[name] += int(columns[name][which].sum())
        told = which & (columns["error"] != ABSENT)
        if told.any():
            pairs = np.stack([columns["outcome"][told], columns["error"][told]])
            for (outcome, error), count in zip(*_counted(pairs), strict=True):
                self._errors[int(outcome), int(error)] += int(count)

    def finish(self, record: PhaseRecord, errors: Sequence[str]) -> PhaseSamples:
        whole = {name: column.finish() for name, column in self._columns.items()}
        for name in ("node_times_ms", "node_states", "node_cached"):
            whole[name] = whole[name].reshape(len(whole["due_ns"]), self._nodes)
        began, ended = record.window_began_ns, record.window_ended_ns
        if began is not None and ended is None and len(whole["ended_ns"]):
            ended = int(whole["ended_ns"].max())
        return PhaseSamples(
            **whole,
            cycles_total=self._totals["is_cycle"],
            errors=tuple(
                (Outcome(outcome).label, errors[error], count) for (outcome, error), count in self._errors.most_common()
            ),
            levels_told_total=self._totals["levels_told"],
            levels_over_total=self._totals["levels_over"],
            levels_short_total=self._totals["levels_short"],
            window_began_ns=began,
            window_ended_ns=ended,
        )


class _Column:
    """An array that grows at its end where it lies: joining pieces would need the memory twice."""

    def __init__(self, kind: type) -> None:
        self._values: Column = np.empty(0, kind)
        self._length = 0

    def append(self, values: Column) -> None:
        length = self._length + len(values)
        if length > len(self._values):
            self._values.resize(max(length, len(self._values) * 5 // 4), refcheck=False)
        self._values[self._length : length] = values
        self._length = length

    def finish(self) -> Column:
        self._values.resize(self._length, refcheck=False)
        self._values.flags.writeable = False
        return self._values


class _Batches:
    """Reads batches into columns; each vocabulary of texts is looked through once, as it grows."""

    def __init__(self, phases: dict[str, int], datasets: Sequence[str], level_of: Sequence[int]) -> None:
        self._phases = phases
        self._datasets = {name: place for place, name in enumerate(datasets)}
        self._outcomes = {outcome.label: int(outcome) for outcome in Outcome}
        self._states = {state.label: int(state) for state in NodeState}
        self._answer_states = {name: place for place, name in enumerate(ANSWER_STATES)}
        self._level_of = tuple(level_of)
        self._known: dict[str, tuple[pa.Array, NDArray[np.int16]]] = {}
        self.errors: list[str] = []
        self._error_places: dict[str, int] = {}

    def phases(self, batch: pa.RecordBatch) -> Column:
        """Return each row's phase by its place among the records."""
        return self._places(batch.column("phase"), "phase", self._phases.get)

    def columns(self, batch: pa.RecordBatch) -> dict[str, Column]:
        """Return a batch's columns, and of each row whether its answer's levels contradict the rest of it."""
        length, nodes = batch.num_rows, len(self._level_of)
        found = {
            "request_index": filled(batch.column("request_index")),
            "worker": filled(batch.column("worker")),
            "due_ns": filled(batch.column("intended_start_ns")),
            "sent_ns": filled(batch.column("sent_ns")),
            "ended_ns": filled(batch.column("ended_ns")),
            "dataset": self._places(batch.column("dataset"), "dataset", self._datasets.get),
            "outcome": self._places(batch.column("outcome"), "outcome", self._outcomes.get),
            "server_total_ms": filled(batch.column("server_total_ms")),
            "token_cost": filled(batch.column("token_cost")),
            "answer_state": self._places(batch.column("answer_state"), "answer_state", self._answer_states.get),
            "correct": filled_flags(batch.column("correct")),
            "execution_key": _keys(batch.column("execution_id")),
        }
        times, states, cached = (batch.column(name) for name in ("node_times_ms", "node_states", "node_cached"))
        dense = _Dense(times, length, nodes)
        found["node_times_ms"] = dense(np.minimum(filled(times.flatten()), _LARGEST_MS))
        found["node_states"] = dense(self._places(states.flatten(), "node_states", self._states.get))
        found["node_cached"] = dense(filled_flags(cached.flatten()))
        is_cycle = self._places(batch.column("error"), "error", lambda text, _: text.startswith(CYCLE_PREFIX)) == 1
        found["error"] = self._places(batch.column("error"), "error_text", self._error)
        found["is_cycle"] = is_cycle & (found["outcome"] == Outcome.ABORTED)
        return found | self._levels(batch, found)

    def _error(self, text: str, _absent: int) -> int:
        """Return an error text's place among all that were read; beyond the most that a column holds, the last one."""
        if text not in self._error_places and len(self.errors) < _MOST_ERRORS:
            self._error_places[text] = len(self.errors)
            self.errors.append(text)
        return self._error_places.get(text, _MOST_ERRORS - 1)

    def _places(self, column: pa.DictionaryArray, name: str, place: Callable[[str, int], Any]) -> Column:
        """Return a dictionary array as what `place` says of its words; null is `ABSENT`."""
        known = self._known.get(name)
        words = column.dictionary
        if known is None or not known[0].equals(words):
            known = words, np.array([*(int(place(word, ABSENT)) for word in words.to_pylist()), ABSENT], np.int16)
            self._known[name] = known
        return known[1][filled(column.indices)]

    def _levels(self, batch: pa.RecordBatch, found: Mapping[str, Column]) -> dict[str, Column]:
        """Tell of each row whether levels were told, add up to more than the total, or are below one of their nodes."""
        told = np.zeros(batch.num_rows, np.bool_)
        if "level_times_ms" not in batch.schema.names:
            return {"levels_told": told, "levels_over": told, "levels_short": told}
        lists = batch.column("level_times_ms")
        depth = max(self._level_of, default=0) + 1
        levels = _Dense(lists, batch.num_rows, depth)(filled(lists.flatten()))
        told = levels[:, 0] != ABSENT
        over = told & (np.maximum(levels, 0).sum(axis=1) > found["server_total_ms"])
        short = np.zeros(batch.num_rows, np.bool_)
        for place, level in enumerate(self._level_of):
            short |= (levels[:, level] != ABSENT) & (found["node_times_ms"][:, place] > levels[:, level])
        return {"levels_told": told, "levels_over": over, "levels_short": told & short}


def _counted(pairs: Column) -> tuple[Column, Column]:
    """Return the pairs that occur, one a row, and how often each does."""
    different, counts = np.unique(pairs, axis=1, return_counts=True)
    return different.T, counts


def _keys(identifiers: pa.FixedSizeBinaryArray) -> NDArray[np.uint64]:
    """Return a number for each id of 16 bytes, 0 for null.

    Half of the memory that the ids take; two of ten million random ids share a number once in 400,000 runs.
    """
    halves = halves_of_16(identifiers)
    keys: NDArray[np.uint64] = halves[:, 0] * _ODD + halves[:, 1]
    return keys


class _Dense:
    """Puts the flattened values of lists into a table of `width` columns, `ABSENT` where a list is shorter."""

    def __init__(self, lists: pa.ListArray, length: int, width: int) -> None:
        self._shape = length, width
        lengths = filled(lists.value_lengths(), 0).astype(np.int64)
        self._whole = bool((lengths == width).all())
        if not self._whole:
            row = np.repeat(np.arange(length), lengths)
            within = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
            self._inner = within < width
            self._place = (row * width + within)[self._inner]

    def __call__(self, values: Column) -> Column:
        if self._whole:
            return values.reshape(self._shape)
        table = np.full(self._shape[0] * self._shape[1], ABSENT, values.dtype)
        table[self._place] = values[self._inner]
        return table.reshape(self._shape)
