"""Read everything that a run's folder holds, and say what of it is not whole."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import read_lines
from aether_load.rundata.manifest import Manifest, PhaseRecord
from aether_load.rundata.process_usage import SenderReading, ServerReading
from aether_load.rundata.record_set import record_parts
from aether_load.rundata.scrapes import RawScrape
from aether_load.rundata.table import PhaseSamples
from aether_load.rundata.table_reader import read_phases


class RunData(msgspec.Struct, frozen=True):
    """A run's files as values: of each phase its samples, and the readings of server and sender.

    `torn` tells that a crash cut off the end of the records. `damage` names what is not as it was written.
    """

    phases: tuple[PhaseSamples, ...]
    scrapes: list[RawScrape]
    sender: list[SenderReading]
    server: list[ServerReading]
    rows: int
    torn: bool
    damage: tuple[str, ...]


def read_run(
    folder: RunFolder, manifest: Manifest, level_of: Sequence[int], records: Sequence[PhaseRecord] | None = None
) -> RunData:
    """Read a run's folder; `level_of` has each node's level, `records` the phases that are wanted (None: all)."""
    datasets = [identity.name for identity in manifest.datasets]
    wanted = manifest.phases if records is None else records
    read = read_phases(record_parts(folder, manifest), wanted, datasets, level_of)
    totals = manifest.lines_total or {}

    scrapes = read_lines(folder.scrapes, RawScrape, totals.get(folder.scrapes.name))
    sender = read_lines(folder.sender, SenderReading, totals.get(folder.sender.name))
    server = read_lines(folder.server, ServerReading, totals.get(folder.server.name))
    return RunData(
        phases=read.phases,
        scrapes=scrapes.values,
        sender=sender.values,
        server=server.values,
        rows=read.rows,
        torn=read.torn,
        damage=(*read.damage, *scrapes.damage, *sender.damage, *server.damage),
    )
