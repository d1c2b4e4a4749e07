"""Write a gate's report in each of its formats, and the files in its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO

from aether_load.errors import ResultsError
from aether_load.gate.junit import write_gate_junit
from aether_load.gate.report import GateReport
from aether_load.gate.text import write_gate_markdown, write_gate_text
from aether_load.outputs.output_path import is_standard_output, write_json, write_output, written
from aether_load.rundata.folder import RunFolder, write_whole


def _write_text(report: GateReport, out: TextIO) -> None:
    write_gate_text(report, [], out)


GATE_FORMATS: Mapping[str, Callable[[GateReport, TextIO], None]] = {
    "text": _write_text,
    "json": write_json,
    "markdown": write_gate_markdown,
    "junit": write_gate_junit,
}


def gate_formatted(report: GateReport, name: str) -> str:
    """Return a gate's report in the form of that name."""
    return written(GATE_FORMATS[name], report)


def write_gate(report: GateReport, folder: RunFolder, more: Mapping[str, Path] | None = None) -> list[Path]:
    """Write gate.json, gate.md and junit.xml, and each form of `more` where that says; raises ResultsError."""
    files = [("json", folder.gate), ("markdown", folder.gate_markdown), ("junit", folder.junit)]
    try:
        for form, path in files:
            write_whole(path, gate_formatted(report, form).encode())
        for form, path in (more or {}).items():
            write_output(path, gate_formatted(report, form).encode())
    except OSError as error:
        raise ResultsError(
            f"The gate's results could not be written ({error.strerror}: {error.filename}); the samples are safe. When "
            f"that is mended: aether-load report {folder.path}"
        ) from None
    shown = [path for path in (more or {}).values() if not is_standard_output(path)]
    return [folder.path, folder.gate_markdown, *shown]
