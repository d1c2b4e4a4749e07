"""Name the formats of a report, each with the function that writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TextIO

from aether_load.analysis.report import Report
from aether_load.outputs.junit import write_junit
from aether_load.outputs.markdown import write_markdown
from aether_load.outputs.output_path import write_json, written
from aether_load.outputs.summary import write_summary_csv
from aether_load.outputs.terminal import write_summary


def _write_text(report: Report, out: TextIO) -> None:
    write_summary(report, [], out, verbose=True)


FORMATS: Mapping[str, Callable[[Report, TextIO], None]] = {
    "text": _write_text,
    "json": write_json,
    "csv": write_summary_csv,
    "markdown": write_markdown,
    "junit": write_junit,
}


def formatted(report: Report, name: str) -> str:
    """Return a report in the form of that name."""
    return written(FORMATS[name], report)
