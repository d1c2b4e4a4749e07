"""What is made of a run when its last answer is in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.rundata.folder import RunFolder


def write_all(folder: RunFolder, output: Path | None, *, page: bool) -> tuple[Report, list[Path]]:
    """Analyse a run and write its results, and its page if wanted; return the report and the files."""
    # Loaded only now: the analysis has no business in a process that sends.
    from aether_load.analysis.report import analyse  # noqa: PLC0415
    from aether_load.outputs.page import make_page  # noqa: PLC0415
    from aether_load.outputs.results import write_results  # noqa: PLC0415

    analysis = analyse(folder)
    files = write_results(analysis.report, folder, analysis.series, output)
    if page:
        files += make_page(folder)
    return analysis.report, files
