"""A run's samples read back, whole or as far as a crash let them be written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from aether_load.analysis.samples import SCHEMA

_COMPACT_ROWS = 65_536


class SampleReader:
    """The batches of a sample file, one after the other; `torn` tells afterwards whether the tail was cut off.

    A file without its end mark but ending at a whole batch counts as torn too: the writer did not get to say
    that this was all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.torn = False

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        self.torn = not self._ends_with_mark()
        with pa.memory_map(str(self._path)) as source:
            try:
                stream = pa.ipc.open_stream(source)
            except pa.ArrowInvalid:
                self.torn = True
                return
            while True:
                try:
                    yield stream.read_next_batch()
                except StopIteration:
                    return
                except (pa.ArrowInvalid, OSError):
                    self.torn = True
                    return

    def _ends_with_mark(self) -> bool:
        """Tell whether the stream's last eight bytes are the end mark of the Arrow IPC format."""
        size = self._path.stat().st_size
        with self._path.open("rb") as file:
            file.seek(max(0, size - 8))
            return file.read() == b"\xff\xff\xff\xff\x00\x00\x00\x00"


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
