"""Write a run's requests as samples.arrow, a table that pandas, DuckDB and others read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.records.record_format import ABSENT, ANSWER_STATES
from aether_load.rundata.records.record_reader import RecordBatch, Tables, look_up
from aether_load.rundata.records.record_set import RecordPart, RecordSet
from aether_load.rundata.samples.holds import Holds
from aether_load.rundata.samples.node_columns import nodes_of


def _category(index: pa.DataType) -> pa.DataType:
    return pa.dictionary(index, pa.string())


SCHEMA = pa.schema(
    [
        ("phase", _category(pa.int16())),
        ("worker", pa.int16()),
        ("request_index", pa.int64()),
        ("prompt_id", _category(pa.int32())),
        ("dataset", _category(pa.int16())),
        ("request_name", _category(pa.int16())),
        ("intended_start_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("ended_ns", pa.int64()),
        ("service_latency_us", pa.int64()),
        ("response_latency_us", pa.int64()),
        ("outcome", _category(pa.int8())),
        ("http_status", pa.int16()),
        ("server_total_ms", pa.int64()),
        ("node_ids", pa.list_(_category(pa.int16()))),
        ("node_times_ms", pa.list_(pa.int64())),
        ("node_states", pa.list_(_category(pa.int8()))),
        ("node_cached", pa.list_(pa.bool_())),
        ("token_cost", pa.int64()),
        ("answer_state", _category(pa.int8())),
        ("answer", _category(pa.int16())),
        ("correct", pa.bool_()),
        ("execution_id", pa.binary(16)),
        ("error", _category(pa.int16())),
        ("level_times_ms", pa.list_(pa.int64())),
    ]
)
_OUTCOMES = [outcome.label for outcome in Outcome]
_NODE_STATES = [state.label for state in NodeState]
_LOST = "(lost to damage)"


def write_samples(parts: Sequence[RecordPart], path: Path) -> None:
    """Write all records as one Arrow IPC stream, whole or not at all; raises OSError.

    About 65,000 rows are in memory at a time.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    try:
        # Not pyarrow's own file, whose name has to be UTF-8.
        with unfinished.open("wb") as sink, pa.ipc.new_stream(sink, SCHEMA, options=options) as stream:
            vocabularies = _Vocabularies()
            for batch, tables in RecordSet(parts):
                stream.write_batch(vocabularies.batch(batch, tables))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class SamplesTable(msgspec.Struct, frozen=True):
    """All requests as one table, and the holds of their senders.

    `torn` names the files whose end is cut off; `damage` says what was refused or is missing.
    """

    table: pa.Table
    holds: Holds
    torn: tuple[str, ...]
    damage: tuple[str, ...]


def read_samples(parts: Sequence[RecordPart]) -> SamplesTable:
    """Return all records that are whole; raises UsageError for another version of the format."""
    records, vocabularies, holds = RecordSet(parts), _Vocabularies(), Holds()
    batches = []
    for batch, tables in records:
        holds.add(batch.holds)
        batches.append(vocabularies.batch(batch, tables))
    table = pa.Table.from_batches(batches, SCHEMA).unify_dictionaries()
    return SamplesTable(table, holds, tuple(records.torn), tuple(records.damage))


class _Vocabularies:
    """One dictionary a column over all files, since a stream's dictionaries only grow."""

    def __init__(self) -> None:
        self._places: dict[str, dict[str, int]] = {
            name: {} for name in ("phase", "prompt_id", "dataset", "request_name", "node_id", "answer", "error")
        }

    def batch(self, batch: RecordBatch, tables: Tables) -> pa.RecordBatch:
        """Return a batch as Arrow has it."""
        rows, nodes = batch.requests, batch.nodes
        sent, ended, due = rows["sent_ns"], rows["ended_ns"], rows["due_ns"]
        dropped = sent == ABSENT
        counts = rows["nodes"]
        node_ids, node_places = nodes_of(rows, tables)
        named_counts = counts if node_ids else np.zeros_like(counts)
        return pa.RecordBatch.from_arrays(
            [
                self._named("phase", tables.phases, rows["phase"], pa.int16()),
                _numbers(rows["worker"]),
                _numbers(rows["request_index"]),
                self._named("prompt_id", tables.prompts, rows["prompt"], pa.int32()),
                self._named("dataset", tables.datasets, look_up(tables.dataset_of_prompt, rows["prompt"]), pa.int16()),
                self._named("request_name", tables.names, rows["name"], pa.int16()),
                _numbers(due),
                _numbers(sent, dropped),
                _numbers(ended, dropped),
                _numbers((ended - sent) // 1000, dropped),
                _numbers((ended - due) // 1000, dropped),
                _category_of(rows["outcome"], _OUTCOMES),
                _nullable(rows["http_status"]),
                _nullable(rows["server_total_ms"].astype(np.int64)),
                _lists(named_counts, self._named("node_id", node_ids, node_places, pa.int16())),
                _lists(counts, _nullable(nodes["time_ms"].astype(np.int64))),
                _lists(counts, _category_of(nodes["state"], _NODE_STATES)),
                _lists(counts, _flags(nodes["cached"])),
                _nullable(rows["tokens"]),
                _category_of(rows["answer_state"], ANSWER_STATES),
                self._named("answer", tables.answers, rows["answer"], pa.int16()),
                _flags(rows["correct"]),
                _identifiers(rows["execution_id"]),
                self._named("error", tables.errors, rows["error"], pa.int16()),
                _lists(rows["levels"], _numbers(batch.levels.astype(np.int64))),
            ],
            schema=SCHEMA,
        )

    def _named(
        self, column: str, texts: Sequence[str | None], places: NDArray[np.integer], kind: pa.DataType
    ) -> pa.DictionaryArray:
        """Return places of one file's table as places of the column's own dictionary."""
        known = self._places[column]
        mapped = [known.setdefault(_LOST if text is None else text, len(known)) for text in texts]
        found = look_up(mapped, places)
        if ((found == ABSENT) & (places != ABSENT)).any():
            found[(found == ABSENT) & (places != ABSENT)] = known.setdefault(_LOST, len(known))
        return pa.DictionaryArray.from_arrays(_nullable(found).cast(kind), pa.array(list(known), pa.string()))


def _identifiers(raw: NDArray[np.void]) -> pa.Array:
    """Return 16 bytes each; all zero stands for none."""
    whole = np.ascontiguousarray(raw)
    is_there = whole.view(np.uint64).reshape(-1, 2).any(axis=1)
    validity = pa.array(is_there, mask=~is_there).buffers()[0]
    return pa.Array.from_buffers(pa.binary(16), len(whole), [validity, pa.py_buffer(whole)])


def _numbers(values: NDArray[np.integer], absent: NDArray[np.bool_] | None = None) -> pa.Array:
    return pa.array(np.ascontiguousarray(values), mask=absent)


def _nullable(values: NDArray[np.integer]) -> pa.Array:
    return _numbers(values, values == ABSENT)


def _flags(values: NDArray[np.integer]) -> pa.Array:
    return pa.array(values == 1, mask=values == ABSENT)


def _category_of(places: NDArray[np.integer], names: Sequence[str]) -> pa.Array:
    return pa.DictionaryArray.from_arrays(_nullable(places), pa.array(names, pa.string()))


def _lists(lengths: NDArray[np.integer], values: pa.Array) -> pa.Array:
    """Return `values` cut into lists of these lengths, null where a list is empty."""
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.ListArray.from_arrays(pa.array(ends), values, mask=pa.array(lengths == 0))
