"""Define where the records of a run go: into its one file, or into one for each worker."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import gevent

from aether_load.load.process.loop_watch import LoopWatch
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_writer import RecordWriter


class RecordSink(Protocol):
    """Where a run's records go, from wherever they come."""

    def write_out(self) -> None:
        """Hand everything there is to the operating system; raises OSError, with nothing lost, when it refuses."""

    def end(self) -> None:
        """Accept no further records."""

    def close(self) -> None:
        """Close the files; everything is written, or was rescued."""

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the run's own disk refused elsewhere; return each file and whose tail it is; raises OSError."""

    def rows_total(self) -> dict[str, int]:
        """Return how many rows each file has, or would have if the disk had taken them."""


class OwnRecords:
    """The records of this process, on their way into the run's one file."""

    def __init__(self, buffer: RecordBuffer, path: Path) -> None:
        """Create the file; raises OSError."""
        self._buffer = buffer
        self._writer = RecordWriter(buffer, path)
        self._loop_watch = LoopWatch(buffer)

    def write_out(self) -> None:
        """Write what the buffer holds; users have their turn between two blocks."""
        self._buffer.seal()
        while self._writer.write_block():
            gevent.sleep(0)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def end(self) -> None:
        """Stop watching the event loop, and accept no further records."""
        self._loop_watch.close()
        self._buffer.finish()

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the disk refused to a file elsewhere, as the continuation of the run's own."""
        return [(path, self._writer.path.name)] if self._writer.rescue(path) else []

    def rows_total(self) -> dict[str, int]:
        """Return how many requests were recorded."""
        return {self._writer.path.name: self._buffer.rows_total}
