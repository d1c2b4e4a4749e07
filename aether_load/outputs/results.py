"""Write a report to the files of a run and of its results folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from aether_load.analysis.phase.series import Series
from aether_load.analysis.report import Report, analyse
from aether_load.bounded import read_bounded
from aether_load.errors import ResultsError
from aether_load.outputs.benchmark_action import write_benchmark_files
from aether_load.outputs.junit import write_junit
from aether_load.outputs.markdown import write_markdown
from aether_load.outputs.output_path import is_standard_output, write_output, written
from aether_load.outputs.series_csv import write_series_csv
from aether_load.outputs.summary import append_summary, write_summary_csv
from aether_load.rundata.folder import RunFolder, write_whole
from aether_load.text import json_document

_MOST_REPORT_BYTES = 1 << 30


def write_results(
    report: Report, folder: RunFolder, series: Sequence[Series] | None = None, output: Path | None = None
) -> list[Path]:
    """Write everything that a run leaves behind and return where it lies; raises ResultsError.

    `series` has each phase second by second; where it is not given, it is made from the folder again. Running this
    again replaces this run's own files and the two of the latest run for github-action-benchmark, and touches no
    other run's. The report goes to `output` too. Pictures are not made here: see `page`.
    """
    if series is None:
        series = analyse(folder).series
    try:
        content = report_json(report)
        write_whole(folder.report, content)
        by_second = partial(write_series_csv, [phase.name for phase in report.phases])
        write_whole(folder.series, written(by_second, series).encode())
        for path, writer in (
            (folder.summary, write_summary_csv), (folder.markdown, write_markdown), (folder.junit, write_junit),
        ):  # fmt: skip
            write_whole(path, written(writer, report).encode())
        nightly = _write_nightly(folder.results, report, content)
        charted = write_benchmark_files(report, folder.results)
        if output is not None:
            write_output(output, content)
        # Last, because a summary of other columns is refused: everything else is written by then.
        everything = folder.results / "summary.csv"
        append_summary(everything, report)
    except OSError as error:
        raise ResultsError(
            f"The results could not be written ({error.strerror}: {error.filename}). {folder.what_is_left()}"
        ) from None
    more = [] if output is None or is_standard_output(output) else [output]
    return [folder.path, nightly, everything, *charted, *more]


def report_json(report: Report) -> bytes:
    """Return the report as JSON."""
    return json_document(report).encode()


def _write_nightly(results: Path, report: Report, content: bytes) -> Path:
    """Write `nightly_<date>.json`, or `_2`, `_3` … when other runs of that day hold those before it."""
    stem = f"nightly_{report.run.began_utc[:10]}"
    number = 1
    while True:
        path = results / (f"{stem}.json" if number == 1 else f"{stem}_{number}.json")
        if _run_id_in(path) == report.run.id:
            write_whole(path, content)
            return path
        if _create_whole(path, content):
            return path
        number += 1


def _run_id_in(path: Path) -> str | None:
    """Return the id of the run that a nightly file is of, or None when there is none or it is no such file."""
    try:
        plain = msgspec.json.decode(read_bounded(path, _MOST_REPORT_BYTES))
    except (OSError, msgspec.DecodeError, RecursionError):
        return None
    run = plain.get("run") if isinstance(plain, dict) else None
    return run.get("id") if isinstance(run, dict) else None


def _create_whole(path: Path, content: bytes) -> bool:
    """Create a file with all its content in one step; False when it is there already."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(content)
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    return True
