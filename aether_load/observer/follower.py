"""Read a run's records as they are written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_reader import RecordBatch, RecordReader, Tables
from aether_load.rundata.records.record_set import by_run
from aether_load.rundata.worker_clock import WorkerClock


class Follower:
    """Yields each record once; files of workers that join later are found when they appear."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._readers: dict[Path, RecordReader] = {}
        self._clocks: dict[Path, WorkerClock] = {}

    def learn(self, manifest: Manifest) -> None:
        """Take in what the clocks of the workers say by now."""
        self._clocks = {
            self._folder.records_of(worker.worker): WorkerClock(worker.clock)
            for worker in manifest.workers
            if worker.clock
        }

    def read(self) -> Iterator[tuple[RecordBatch, Tables]]:
        """Yield what has been written since the last time, by the run's clock."""
        for path in sorted(self._folder.path.glob("records*.bin")):
            reader = self._readers.get(path)
            if reader is None:
                reader = self._readers[path] = RecordReader(path, follow=True)
            for batch in reader:
                yield by_run(batch, self._clocks.get(path)), reader.tables
