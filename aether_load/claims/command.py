"""`aether-load claims`, from its options to its exit code."""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import msgspec

from aether_load.bounded import read_bounded
from aether_load.claims.figures import RunFigures, read_figures
from aether_load.claims.latex import write_claims_latex
from aether_load.claims.options import ClaimsOptions, read_options
from aether_load.claims.page import write_claims_page
from aether_load.claims.report import ClaimsReport, build_claims_report
from aether_load.claims.text import write_claims_markdown, write_claims_text
from aether_load.errors import AetherLoadError, ExitCode, ResultsError, UsageError
from aether_load.gate.driver import run_locust
from aether_load.gate.signals import interrupt_on_signals
from aether_load.outputs.output_path import is_standard_output, write_json, write_output, written
from aether_load.redaction import sentence_of
from aether_load.rundata.folder import write_whole
from aether_load.rundata.locate import runs_in

_WRITERS: Mapping[str, Callable[[ClaimsReport, TextIO], None]] = {
    "json": write_json,
    "markdown": write_claims_markdown,
    "latex": write_claims_latex,
}
_NAMES = {"json": "claims.json", "markdown": "claims.md", "latex": "claims.tex"}
_PAGE = "claims.html"
_ENDS = {int(ExitCode.USAGE), int(ExitCode.TARGET), int(ExitCode.INTERRUPTED)}
_MOST_BYTES = 64 << 20


def run(parsed: argparse.Namespace) -> int:
    """Measure the claims, or read what was measured, and return the exit code."""
    options = read_options(parsed)
    interrupt_on_signals()
    if options.folder is not None:
        folder, code = options.folder, int(ExitCode.PASSED)
    else:
        folder = _make_folder(options.results)
        code = _drive(options, folder)
    figures = _read(folder)
    if not figures:
        if options.folder is None:
            _remove_empty(folder)
        if code == int(ExitCode.PASSED):
            raise UsageError(f"{folder} holds no run that can be read.")
        return code
    scenarios = options.scenarios if options.folder is None else _planned(folder) or options.scenarios
    report = build_claims_report(options.file, figures, scenarios)
    _write(report, folder, options)
    if options.folder is not None and report.ended_as == "interrupted":
        return int(ExitCode.INTERRUPTED)
    return code


def _make_folder(results: Path) -> Path:
    folder = results / f"claims-{datetime.now(UTC).strftime('%Y%m%dT%H%M%SZ')}-{secrets.token_hex(2)}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}. Say where with --results-dir.") from None
    return folder


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        (folder / "runs").rmdir()
    with suppress(OSError):
        folder.rmdir()


def _drive(options: ClaimsOptions, folder: Path) -> int:
    """Run one scenario after the other until one cannot begin, or somebody interrupts; return the exit code.

    A run that failed, or is undecided or invalid, is reported with its figures and ends nothing.
    """
    last = int(ExitCode.PASSED)
    for number, (name, words) in enumerate(zip(options.scenarios, options.words, strict=True), 1):
        sys.stderr.write(f"aether-load: claims, run {number} of {len(options.scenarios)}: {name}\n")
        try:
            code = run_locust("eval.py", words, folder, None)
        except KeyboardInterrupt:
            return int(ExitCode.INTERRUPTED)
        if code in _ENDS:
            return code
        if code == int(ExitCode.FAILED):
            last = code
    return last


def _read(folder: Path) -> list[RunFigures]:
    """Return the runs of a folder that can be read; it is said of the others why they cannot."""
    found = []
    for run_folder in runs_in(folder):
        try:
            found.append(read_figures(run_folder))
        except AetherLoadError as error:
            sys.stderr.write(f"aether-load: {run_folder.path.name} is left out: {sentence_of(error)}\n")
    return found


def _planned(folder: Path) -> tuple[str, ...]:
    """Return the scenarios that a folder was to hold, as far as its claims.json says so."""
    try:
        return msgspec.json.decode(read_bounded(folder / _NAMES["json"], _MOST_BYTES), type=_Planned).scenarios
    except (OSError, msgspec.MsgspecError):
        return ()


class _Planned(msgspec.Struct):
    scenarios: tuple[str, ...] = ()


def _write(report: ClaimsReport, folder: Path, options: ClaimsOptions) -> None:
    files = [folder / name for name in _NAMES.values()]
    try:
        for form, name in _NAMES.items():
            write_whole(folder / name, written(_WRITERS[form], report).encode())
        if options.page:
            write_claims_page(folder / _PAGE, report)
            files.insert(0, folder / _PAGE)
        for form, path in options.files.items():
            write_output(path, written(_WRITERS[form], report).encode())
    except OSError as error:
        raise ResultsError(
            f"The claims could not be written ({error.strerror}: {error.filename}); the runs are safe. When that is "
            f"mended: aether-load claims --report {folder}"
        ) from None
    shown = [path for path in options.files.values() if not is_standard_output(path)]
    out = sys.stderr if len(shown) < len(options.files) else sys.stdout
    write_claims_text(report, [*files, *shown], out)
