"""The sample table: a row a request, columns typed, appended while the load runs and read again afterwards."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from aether_load.protocol import NodeState, Outcome
from aether_load.rundata import arrow
from aether_load.rundata.growing_file import GrowingFile

ABSENT = -1
"""Stands in a typed buffer for what was not measured; it leaves the buffer as null."""
CHUNK_ROWS = 500
"""Rows a batch at most: building a larger one takes so long that latencies in flight would show it."""

ANSWER_STATES = ("answered", "unanswered", "mock")
_MOST_DISTINCT_TEXTS = 1000
_MOST_PHASES = 30_000
_LONGEST_TEXT = 300
_OTHER_TEXT = "(one of too many different texts)"


def _category(index: pa.DataType) -> pa.DataType:
    return pa.dictionary(index, pa.string())


SCHEMA = pa.schema(
    [
        ("phase", _category(pa.int16())),
        ("worker", pa.int16()),
        ("request_index", pa.int64()),
        ("prompt_id", _category(pa.int32())),
        ("dataset", _category(pa.int16())),
        ("intended_start_ns", pa.int64()),
        ("sent_ns", pa.int64()),
        ("ended_ns", pa.int64()),
        ("service_latency_us", pa.int64()),
        ("response_latency_us", pa.int64()),
        ("outcome", _category(pa.int8())),
        ("http_status", pa.int16()),
        ("server_total_ms", pa.int64()),
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


_ROW = struct.Struct("<qqqqqqiihhhhhhbbb16s")
ROW_TYPE = np.dtype(
    [
        ("request_index", "<i8"), ("due_ns", "<i8"), ("sent_ns", "<i8"), ("ended_ns", "<i8"),
        ("server_total_ms", "<i8"), ("token_cost", "<i8"), ("prompt", "<i4"), ("nodes", "<i4"), ("phase", "<i2"),
        ("worker", "<i2"), ("http_status", "<i2"), ("answer", "<i2"), ("error", "<i2"), ("levels", "<i2"),
        ("outcome", "i1"), ("answer_state", "i1"), ("correct", "i1"), ("execution_id", "V16"),
    ]
)  # fmt: skip
_NODE = struct.Struct("<qbb")
NODE_TYPE = np.dtype([("time_ms", "<i8"), ("state", "i1"), ("cached", "i1")])
_LEVEL = struct.Struct("<q")
_LEVEL_TYPE = np.dtype("<i8")


class TextColumn:
    """Texts that recur, each kept once; past `most` different ones the rest share a place."""

    def __init__(self, most: int = _MOST_DISTINCT_TEXTS) -> None:
        self._places: dict[str, int] = {}
        self._most = most

    def place(self, text: str | None) -> int:
        """Return the place of `text`, or `ABSENT` for None."""
        if text is None:
            return ABSENT
        found = self._places.get(text)
        if found is None:
            text = text[:_LONGEST_TEXT] if len(self._places) < self._most else _OTHER_TEXT
            found = self._places.setdefault(text, len(self._places))
        return found

    def texts(self) -> pa.Array:
        """Return the texts so far, each at its place."""
        return arrow.texts(self._places)


class SampleBuffer:
    """Columns that grow by a request at a time; nothing of a request outlives its numbers.

    The prompts are known before the load, and so a batch refers to them instead of repeating them; phases,
    answers and errors are added as they come up.
    """

    def __init__(self, prompt_ids: Sequence[str], datasets: Sequence[str]) -> None:
        """Take for each prompt its id and its dataset."""
        names = list(dict.fromkeys(datasets))
        self._prompt_ids = arrow.texts(prompt_ids)
        self._dataset_names = arrow.texts(names)
        self._dataset_of_prompt = np.array([names.index(name) for name in datasets], np.int16)
        self._outcomes = arrow.texts(outcome.label for outcome in Outcome)
        self._node_states_names = arrow.texts(state.label for state in NodeState)
        self._answer_states = arrow.texts(ANSWER_STATES)
        self.phases = TextColumn(_MOST_PHASES)
        self.answers = TextColumn()
        self.errors = TextColumn()
        self._rows = bytearray()
        self._nodes = bytearray()
        self._levels = bytearray()
        self.watch: Callable[[np.ndarray, np.ndarray], None] | None = None
        """Who looks at rows and nodes in bulk when they are taken, if anybody does."""

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def add_node(self, time_ms: int, state: int, cached: int) -> None:
        """Append a node of the request whose row comes next; `ABSENT` for what was not measured."""
        self._nodes += _NODE.pack(time_ms, state, cached)

    def add_level(self, time_ms: int) -> None:
        """Append a level of the request whose row comes next."""
        self._levels += _LEVEL.pack(time_ms)

    def add_row(
        self,
        request_index: int,
        due_ns: int,
        sent_ns: int,
        ended_ns: int,
        server_total_ms: int,
        token_cost: int,
        prompt: int,
        nodes: int,
        phase: int,
        worker: int,
        http_status: int,
        answer: int,
        error: int,
        outcome: int,
        answer_state: int,
        correct: int,
        execution_id: bytes,
        levels: int = 0,
    ) -> None:
        """Append a request, behind its nodes and levels; `ABSENT` for what was not measured, no bytes for no id.

        One packed row takes a third of the time that an append a column takes.
        """
        self._rows += _ROW.pack(
            request_index, due_ns, sent_ns, ended_ns, server_total_ms, token_cost, prompt, nodes, phase, worker,
            http_status, answer, error, levels, outcome, answer_state, correct, execution_id,
        )  # fmt: skip

    def take(self) -> pa.RecordBatch | None:
        """Return the oldest rows, at most `CHUNK_ROWS` of them, and forget them; None when there are none."""
        length = min(len(self), CHUNK_ROWS) * _ROW.size
        if not length:
            return None
        rows = np.frombuffer(bytes(self._rows[:length]), ROW_TYPE)
        del self._rows[:length]
        length = int(rows["nodes"].sum()) * _NODE.size
        nodes = np.frombuffer(bytes(self._nodes[:length]), NODE_TYPE)
        del self._nodes[:length]
        length = int(rows["levels"].sum()) * _LEVEL.size
        levels = np.frombuffer(bytes(self._levels[:length]), _LEVEL_TYPE)
        del self._levels[:length]
        if self.watch is not None:
            self.watch(rows, nodes)
        return self._batch(rows, nodes, levels)

    def _batch(self, rows: np.ndarray, nodes: np.ndarray, levels: np.ndarray) -> pa.RecordBatch:
        prompt, sent, ended, due = rows["prompt"], rows["sent_ns"], rows["ended_ns"], rows["due_ns"]
        dropped = sent == ABSENT
        counts = rows["nodes"]
        unread = counts == 0
        return pa.RecordBatch.from_arrays(
            [
                _named(rows["phase"], self.phases.texts()),
                arrow.numbers(rows["worker"]),
                arrow.numbers(rows["request_index"]),
                _named(prompt, self._prompt_ids),
                _named(self._dataset_of_prompt[prompt], self._dataset_names),
                arrow.numbers(due),
                arrow.numbers(sent, dropped),
                arrow.numbers(ended, dropped),
                arrow.numbers((ended - sent) // 1000, dropped),
                arrow.numbers((ended - due) // 1000, dropped),
                _named(rows["outcome"], self._outcomes),
                _nullable(rows["http_status"]),
                _nullable(rows["server_total_ms"]),
                arrow.lists(counts, _nullable(nodes["time_ms"]), unread),
                arrow.lists(counts, _named(nodes["state"], self._node_states_names), unread),
                arrow.lists(counts, _flags(nodes["cached"]), unread),
                _nullable(rows["token_cost"]),
                _named(rows["answer_state"], self._answer_states),
                _named(rows["answer"], self.answers.texts()),
                _flags(rows["correct"]),
                _identifiers(rows["execution_id"]),
                _named(rows["error"], self.errors.texts()),
                arrow.lists(rows["levels"], arrow.numbers(levels), rows["levels"] == 0),
            ],
            schema=SCHEMA,
        )


def _identifiers(raw: np.ndarray) -> pa.Array:
    """Return 16 bytes each; all zero stands for none."""
    whole = np.ascontiguousarray(raw)
    absent = np.equal(whole.view(np.uint8).reshape(-1, 16).max(axis=1), 0)
    return arrow.bytes_of_16(whole, absent)


def _nullable(values: np.ndarray) -> pa.Array:
    return arrow.numbers(values, values == ABSENT)


def _flags(values: np.ndarray) -> pa.Array:
    return arrow.flags(values == 1, values == ABSENT)


def _named(places: np.ndarray, names: pa.Array) -> pa.Array:
    return pa.DictionaryArray.from_arrays(_nullable(places), names)


class SampleStream:
    """Batches as an Arrow IPC stream, which grows at the end of `data`."""

    def __init__(self, data: bytearray) -> None:
        options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
        self._stream = pa.ipc.new_stream(pa.PythonFile(_Sink(data), mode="w"), SCHEMA, options=options)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch."""
        self._stream.write_batch(batch)

    def close(self) -> None:
        """Add the mark of the stream's end."""
        self._stream.close()


class SampleFile:
    """An Arrow IPC stream in a file that grows while the load runs, and always ends at a whole batch."""

    def __init__(self, path: Path) -> None:
        self._file = GrowingFile(path)
        self._stream = SampleStream(self._file.waiting)

    def append(self, batch: pa.RecordBatch) -> None:
        """Add a batch to what waits to be written."""
        self._stream.append(batch)

    def close(self) -> None:
        """Write the stream's end and what still waits."""
        try:
            self._stream.close()
            self.write_out()
        finally:
            self._file.close()

    def rescue(self, path: Path) -> None:
        """Write what the file's own disk refused to a file elsewhere, as the stream's continuation in bytes."""
        self._file.rescue(path)

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        self._file.write_out()


class _Sink:
    """A file object over a bytearray, for the stream writer."""

    closed = False

    def __init__(self, buffer: bytearray) -> None:
        self._buffer = buffer

    def write(self, data: bytes) -> int:
        self._buffer += data
        return len(data)

    def writable(self) -> bool:
        return True

    def flush(self) -> None:
        """Nothing is held back here."""

    def close(self) -> None:
        """Keep what was written for the file."""
