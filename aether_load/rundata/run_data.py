"""Read everything that a run's folder holds, and say what of it is not whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from aether_load.errors import ResultsError
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import Lines, read_lines
from aether_load.rundata.manifest import Manifest, PhaseRecord
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.slowest import SlowRecord
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.rundata.samples.table_reader import read_phases
from aether_load.rundata.scrapes import RawScrape

T = TypeVar("T")


class RunData(msgspec.Struct, frozen=True):
    """A run's files as values: of each phase its samples, and the readings of server and sender.

    `torn` names the files whose end a crash cut off; `damage` says what is not as it was written.
    """

    phases: tuple[PhaseSamples, ...]
    scrapes: list[RawScrape]
    sender: list[SenderReading]
    server: list[ServerReading]
    rows: int
    slowest: tuple[SlowRecord, ...]
    torn: tuple[str, ...]
    damage: tuple[str, ...]


def read_run(
    folder: RunFolder, manifest: Manifest, level_of: Sequence[int], records: Sequence[PhaseRecord] | None = None
) -> RunData:
    """Read a run's folder; raises ResultsError where damage leaves not one row of it.

    `level_of` has each node's level; `records` are the phases that are wanted (None: all).
    """
    datasets = [identity.name for identity in manifest.datasets]
    wanted = manifest.phases if records is None else records
    read = read_phases(record_parts(folder, manifest), wanted, datasets, manifest.node_ids, level_of)
    if read.damage and not read.rows:
        raise ResultsError(
            f"No row of {folder.path} can be read ({read.damage[0]}). Nothing was written; what was reported before "
            "stays as it is."
        )

    def lines(path: Path, kind: type[T]) -> Lines[T]:
        totals = manifest.lines_total
        return read_lines(path, kind, None if totals is None else totals.get(path.name, 0))

    scrapes = lines(folder.scrapes, RawScrape)
    sender = lines(folder.sender, SenderReading)
    server = lines(folder.server, ServerReading)
    of_lines = ((folder.scrapes, scrapes), (folder.sender, sender), (folder.server, server))
    return RunData(
        phases=read.phases,
        scrapes=scrapes.values,
        sender=sender.values,
        server=server.values,
        rows=read.rows,
        slowest=read.slowest,
        torn=(*read.torn, *(path.name for path, found in of_lines if found.torn)),
        damage=(*read.damage, *scrapes.damage, *sender.damage, *server.damage),
    )
