"""Read what a run recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.samples_arrow import read_samples
from processes import Finished


def samples_of(finished: Finished) -> list[dict[str, Any]]:
    """Every request of a run that has ended, in the order of their numbers, as samples.arrow has them."""
    answer: list[dict[str, Any]] = samples_table(finished.run_folder).to_pylist()
    return answer


def samples_table(run_folder: Path) -> pa.Table:
    """The table that a run wrote at its end, in the order of its requests' numbers."""
    with pa.OSFile(str(run_folder / "samples.arrow")) as file:
        return pa.ipc.open_stream(file).read_all().sort_by("request_index")


def records_table(run_folder: Path) -> pa.Table:
    """The same table of the record files of a run, whether it has ended or not."""
    folder = RunFolder(run_folder)
    return read_samples(record_parts(folder, folder.read_manifest())).table.sort_by("request_index")
