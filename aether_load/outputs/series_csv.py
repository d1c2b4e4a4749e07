"""Write the phases of a run second by second as CSV."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from typing import TextIO

from aether_load.analysis.phase.series import COLUMNS, Series, in_window
from aether_load.text import csv_cell


def write_series_csv(names: Sequence[str], phases: Sequence[Series], out: TextIO) -> None:
    """Write the steps of all phases, a row a step; what was not measured is an empty field."""
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["phase", "run_second", "in_window", *COLUMNS])
    for name, series in zip(names, phases, strict=True):
        columns = [getattr(series, column) for column in COLUMNS]
        for row in zip(*columns, strict=True):
            second = row[0]
            writer.writerow([csv_cell(name), round(series.began_s + second, 3), int(in_window(series, second)), *row])
