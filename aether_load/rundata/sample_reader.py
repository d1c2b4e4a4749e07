"""A run's samples read back, whole or as far as a crash let them be written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from aether_load.rundata import arrow
from aether_load.rundata.clock import Clock
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.samples import ABSENT, SCHEMA

_COMPACT_ROWS = 65_536
_END_MARK_BYTES = 8
_INSTANTS = ("intended_start_ns", "sent_ns", "ended_ns")


class SamplePart(msgspec.Struct, frozen=True):
    """A file of samples; `clock` is the one that they are told by, None for the run's own.

    The end of a part `may_be_torn` where it is known that its worker was lost.
    """

    path: Path
    clock: Clock | None = None
    may_be_torn: bool = False


def sample_parts(folder: RunFolder, manifest: Manifest) -> tuple[SamplePart, ...]:
    """Return the files that a run's samples lie in: one, or one a worker as long as the run goes on.

    A run that was cut off while its parts were made one has both; the one was put there when it was whole.
    """
    parts = tuple(
        SamplePart(
            folder.samples_of(worker.worker),
            Clock(worker.clock) if worker.clock else None,
            may_be_torn=worker.loss is not None,
        )
        for worker in manifest.workers
        if folder.samples_of(worker.worker).is_file()
    )
    return (SamplePart(folder.samples),) if folder.samples.exists() or not parts else parts


class SampleReader:
    """The batches of a sample file, one after the other; `torn` tells afterwards whether the tail was cut off.

    A file without its end mark but ending at a whole batch counts as torn too: the writer did not get to say
    that this was all. A file that is missing or empty has no batch and is torn. Columns are those of the release
    that wrote the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn = True

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.torn = True
        if not self._path.is_file() or self._path.stat().st_size == 0:
            return
        # Not mapped: the pages of a file of millions of rows would all count as this process's memory.
        with pa.OSFile(str(self._path)) as source:
            try:
                stream = pa.ipc.open_stream(source)
            except pa.ArrowInvalid:
                return
            while True:
                behind_last = source.tell()
                try:
                    batch = stream.read_next_batch()
                except StopIteration:
                    # The reader takes the file's end for the stream's: only the mark, and all of it, tells.
                    self.torn = source.size() - behind_last != _END_MARK_BYTES
                    return
                except (pa.ArrowInvalid, OSError):
                    return
                yield batch


class PartReader:
    """The batches of all parts, by the run's clock; `torn` tells afterwards whether an end is missing unexplained."""

    def __init__(self, parts: Sequence[SamplePart]) -> None:
        self._parts = parts
        self.torn = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.torn = False
        for part in self._parts:
            reader = SampleReader(part.path)
            for batch in reader:
                yield batch if part.clock is None or part.clock.is_the_runs_own else _by_run(batch, part.clock)
            self.torn |= reader.torn and not part.may_be_torn


def _by_run(batch: pa.RecordBatch, clock: Clock) -> pa.RecordBatch:
    """Return a batch whose instants are told by the run's clock."""
    for name in _INSTANTS:
        told = arrow.filled(batch.column(name), ABSENT)
        absent = told == ABSENT
        batch = batch.set_column(batch.schema.get_field_index(name), name, arrow.numbers(clock.to_run(told), absent))
    return batch


def read_samples(path: Path) -> tuple[pa.Table, bool]:
    """Return every whole batch of a sample file as one table, and whether the file's tail was torn off.

    A column that the file's release did not write is null.
    """
    reader = SampleReader(path)
    batches = [_with_all_columns(batch) for batch in reader]
    return pa.Table.from_batches(batches, SCHEMA).unify_dictionaries(), reader.torn


def _with_all_columns(batch: pa.RecordBatch) -> pa.RecordBatch:
    if batch.schema.equals(SCHEMA):
        return batch
    known = set(batch.schema.names)
    columns = [
        batch.column(field.name) if field.name in known else pa.nulls(batch.num_rows, field.type) for field in SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=SCHEMA)


def compact(parts: Sequence[SamplePart], path: Path) -> None:
    """Write finished parts' many small batches as one file of few large ones, in one piece or not at all.

    As many rows as make a large batch are in memory at a time. Parts that are not that file are deleted then.
    """
    reader = PartReader(parts)
    smaller = path.with_suffix(".compact")
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    try:
        with pa.OSFile(str(smaller), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA, options=options) as stream:
            for group in _groups(reader):
                whole = pa.Table.from_batches(group, SCHEMA).unify_dictionaries().combine_chunks()
                stream.write_table(whole)
        if not reader.torn:
            smaller.replace(path)
            for part in parts:
                if part.path != path:
                    part.path.unlink()
    finally:
        smaller.unlink(missing_ok=True)


def _groups(reader: PartReader) -> Iterator[list[pa.RecordBatch]]:
    group: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        if group and rows + batch.num_rows > _COMPACT_ROWS:
            yield group
            group, rows = [], 0
        group.append(_with_all_columns(batch))
        rows += batch.num_rows
    if group:
        yield group
