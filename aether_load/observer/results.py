"""Compute a run's report from its folder and write all results."""

from __future__ import annotations

import io
from pathlib import Path

from aether_load.analysis.report import Report, analyse
from aether_load.outputs.results import write_results
from aether_load.outputs.terminal import NARROWEST, WIDEST, write_summary
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.samples_arrow import write_samples


def write_all(folder: RunFolder, output: Path | None) -> tuple[Report, list[Path]]:
    """Write report, tables and samples.arrow; return the report and the files. Raises ResultsError or OSError."""
    analysis = analyse(folder)
    files = write_results(analysis.report, folder, analysis.series, output)
    write_samples(record_parts(folder, folder.read_manifest()), folder.samples)
    return analysis.report, files


def summary_text(report: Report, files: list[Path], *, verbose: bool, width: int | None) -> str:
    """Return the summary, for a terminal of that width, or (None) for where no terminal is."""
    text = io.StringIO()
    fitting = width and min(WIDEST, max(NARROWEST, width))
    write_summary(report, files, text, verbose=verbose, width=fitting, is_terminal=width is not None)
    return text.getvalue()
