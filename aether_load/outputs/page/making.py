"""Make a run's page, at once or after the results are on the screen, with or without its charts as files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aether_load.outputs.charts.drawing import DrawingProcess
from aether_load.rundata.folder import RunFolder
from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.analysis.report import Report


def make_page(folder: RunFolder, report: Report, *, charts: bool = False) -> list[Path]:
    """Make a run's report.html, and with `charts` the files in charts/; return where the page lies.

    What prevents it costs the run neither its results nor its verdict: it is said, and the list is empty.
    """
    if not _written(folder, report):
        return []
    if charts:
        _say(folder, DrawingProcess(_command(folder)).wait())
    return [folder.page]


class PageWork:
    """A page that is made bit by bit, whenever `is_over` is asked."""

    def __init__(self, folder: RunFolder, report: Report, *, charts: bool) -> None:
        """Begin with nothing: the page is made at the first question."""
        self._folder, self._charts = folder, charts
        self._report: Report | None = report
        self._drawing: DrawingProcess | None = None

    def is_over(self) -> bool:
        """Go on with the work; tell whether the page is made, or is not going to be."""
        if self._report is not None:
            report, self._report = self._report, None
            if _written(self._folder, report) and self._charts:
                self._drawing = DrawingProcess(_command(self._folder))
        if self._drawing is None:
            return True
        if not self._drawing.is_over:
            return False
        _say(self._folder, self._drawing.wait())
        return True


def _command(folder: RunFolder) -> list[str]:
    return [sys.executable, "-m", "aether_load.outputs.page", str(folder.path)]


def _written(folder: RunFolder, report: Report) -> bool:
    from aether_load.outputs.page.html import write_page  # noqa: PLC0415 -- Jinja is for those who make a page

    try:
        write_page(folder, report)
    except Exception as error:  # noqa: BLE001 -- a page must not cost a run its results
        _say(folder, terminal_text(f"{type(error).__name__}: {error}"))
        return False
    return True


def _say(folder: RunFolder, why: str | None) -> None:
    """Say why a page, or its charts, could not be made."""
    if why is not None:
        sys.stderr.write(
            f"aether-load: {folder.page.name} could not be made in full ({why}); every other result is written. When "
            f"that is mended: aether-load report {terminal_text(str(folder.path))}\n"
        )
