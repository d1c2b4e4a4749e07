"""Read all record files of a run as one, by the run's clock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import RecordBatch, RecordReader, Tables
from aether_load.rundata.records.record_size import check_size
from aether_load.rundata.worker_clock import WorkerClock

_INSTANTS = {
    "requests": ("due_ns", "sent_ns", "ended_ns"),
    "holds": ("began_ns", "ended_ns", "caught_up_ns"),
    "iterations": ("began_ns", "ended_ns"),
}


class RecordPart(msgspec.Struct, frozen=True):
    """One sender's record file; `clock` is the one that its instants are of, None for the run's own.

    `expected` is how many rows it had when the run ended in order. It is `cut_off` where its worker was lost.
    """

    path: Path
    clock: WorkerClock | None = None
    expected: int | None = None
    cut_off: bool = False


def record_parts(folder: RunFolder, manifest: Manifest) -> tuple[RecordPart, ...]:
    """Return the record files of a run: one of its own, or one for each worker.

    Raises ResultsError for a file that no run writes, before anything of it is read.
    """
    totals = manifest.rows_total or {}
    parts = tuple(
        RecordPart(
            path,
            WorkerClock(worker.clock) if worker.clock else None,
            expected=totals.get(path.name),
            cut_off=worker.loss is not None,
        )
        for worker in manifest.workers
        if (path := folder.records_of(worker.worker)).is_file() or path.name in totals
    )
    if not parts or folder.records.exists() or folder.records.name in totals:
        parts = (RecordPart(folder.records, expected=totals.get(folder.records.name)),)
    for part in parts:
        check_size(part.path, part.expected, len(manifest.node_ids))
    return parts


class RecordSet:
    """The batches of all parts, each with the tables that it cites.

    The names of the files whose end is `torn`, and `damage`, are complete when all was read.
    """

    def __init__(self, parts: Sequence[RecordPart]) -> None:
        self._parts = parts
        self.torn: list[str] = []
        self.damage: list[str] = []

    def __iter__(self) -> Iterator[tuple[RecordBatch, Tables]]:
        """Yield a batch and the tables of its file; raises UsageError for another version of the format."""
        self.torn, self.damage = [], []
        for part in self._parts:
            reader = RecordReader(part.path, part.expected, cut_off=part.cut_off)
            for batch in reader:
                yield by_run(batch, part.clock), reader.tables
            if reader.torn and not part.cut_off:
                self.torn.append(part.path.name)
            self.damage += reader.damage


def by_run(batch: RecordBatch, clock: WorkerClock | None) -> RecordBatch:
    """Return a batch whose instants are of the run's clock."""
    if clock is None or clock.is_the_runs_own:
        return batch
    moved = {section: getattr(batch, section).copy() for section in _INSTANTS}
    for section, names in _INSTANTS.items():
        for name in names:
            told = moved[section][name]
            moved[section][name] = np.where(told == ABSENT, ABSENT, clock.to_run(told))
    return msgspec.structs.replace(batch, **moved)
