"""A run's samples read back, whole or as far as a crash let them be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from aether_load.analysis.samples import SCHEMA

_COMPACT_ROWS = 65_536
_END_MARK_BYTES = 8


class SampleReader:
    """The batches of a sample file, one after the other; `torn` tells afterwards whether the tail was cut off.

    A file without its end mark but ending at a whole batch counts as torn too: the writer did not get to say
    that this was all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.torn = True
        with pa.memory_map(str(self._path)) as source:
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


def read_samples(path: Path) -> tuple[pa.Table, bool]:
    """Return every whole batch of a sample file as one table, and whether the file's tail was torn off."""
    if not path.is_file() or path.stat().st_size == 0:
        return SCHEMA.empty_table(), True
    reader = SampleReader(path)
    table = pa.Table.from_batches(list(reader), SCHEMA)
    return table.unify_dictionaries(), reader.torn


def compact(path: Path) -> None:
    """Rewrite a finished file's many small batches as few large ones, in one piece or not at all."""
    table, torn = read_samples(path)
    if torn:
        return
    smaller = path.with_suffix(".compact")
    try:
        with pa.OSFile(str(smaller), "wb") as sink, pa.ipc.new_stream(sink, SCHEMA) as stream:
            stream.write_table(table.combine_chunks(), max_chunksize=_COMPACT_ROWS)
        smaller.replace(path)
    finally:
        smaller.unlink(missing_ok=True)
