"""Make a run's results again from its folder."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aether_load.errors import ResultsError, UsageError, explained

if TYPE_CHECKING:
    from aether_load.rundata.folder import RunFolder

DESCRIPTION = (
    "Make a run's results again from its folder: report.html, report.json and the others there, its nightly JSON and "
    "its rows in results/summary.csv. Other runs' files are not touched."
)
_FORMATS = ("text", "json", "csv", "markdown", "junit")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("folder", metavar="RUN", help="a folder in results/runs/, its name, or latest")
    parser.add_argument(
        "--format",
        choices=_FORMATS,
        help="what goes to standard output: a text for the terminal (the default), or the report as JSON, CSV, "
        "Markdown or JUnit XML",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="write the report to exactly this file too, as JSON or as --format says, in place of what is there",
    )
    parser.add_argument(
        "--threshold",
        action="append",
        metavar="CONDITION",
        help="hold the run against this condition too, beside its scenario's thresholds; may be given several times",
    )
    parser.add_argument("--no-page", action="store_true", help="leave report.html as it is")
    parser.add_argument(
        "--charts", action="store_true", help="draw the page's charts as SVG and PNG too, in charts/; takes seconds"
    )


def run(parsed: argparse.Namespace) -> int:
    """Make the results, print the report, and return the run's exit code."""
    from aether_load.analysis.report import analyse  # noqa: PLC0415 -- half a second of pyarrow
    from aether_load.analysis.verdict.thresholds import asked_of_run  # noqa: PLC0415
    from aether_load.outputs.formats import formatted  # noqa: PLC0415
    from aether_load.outputs.output_path import check_output, is_standard_output, write_output  # noqa: PLC0415
    from aether_load.outputs.page.making import make_page  # noqa: PLC0415
    from aether_load.outputs.results import write_results  # noqa: PLC0415
    from aether_load.outputs.terminal import write_summary  # noqa: PLC0415
    from aether_load.rundata.locate import find_run  # noqa: PLC0415

    if parsed.output is not None:
        check_output(parsed.output)
    folder = find_run(parsed.folder)
    manifest = folder.read_manifest()
    if manifest.gate is not None:
        return _report_gate(folder, parsed)
    analysis = analyse(folder, asked_of_run(manifest, parsed.threshold or (), f"in {folder.manifest}"))
    report = analysis.report
    refusal = None
    try:
        files = write_results(report, folder, analysis.series)
    except ResultsError as error:
        if not folder.report.exists():
            raise
        # What could not be written is said last; what can be shown of the run is shown.
        refusal, files = error, [folder.path]
    if parsed.charts or not parsed.no_page:
        files += make_page(folder, report, charts=parsed.charts)
    if parsed.output is not None:
        with explained(f"--output {parsed.output}: it could not be written: ", kind=ResultsError):
            write_output(parsed.output, formatted(report, parsed.format or "json").encode())
        files += [] if is_standard_output(parsed.output) else [parsed.output]
    # Whoever reads the report from standard output gets nothing else there.
    out = sys.stderr if is_standard_output(parsed.output) else sys.stdout
    if parsed.format in {None, "text"}:
        write_summary(report, files, out, verbose=True)
    elif not is_standard_output(parsed.output):
        out.write(formatted(report, parsed.format))
    if refusal is not None:
        raise refusal
    return report.verdict.exit_code


def _report_gate(folder: RunFolder, parsed: argparse.Namespace) -> int:
    from aether_load.gate.output import GATE_FORMATS, write_gate  # noqa: PLC0415
    from aether_load.gate.report import build_gate_report  # noqa: PLC0415
    from aether_load.gate.text import write_gate_text  # noqa: PLC0415
    from aether_load.outputs.output_path import is_standard_output  # noqa: PLC0415

    if parsed.threshold:
        raise UsageError(f"--threshold {parsed.threshold[0]}: {folder.path} is a gate's run, which has no thresholds.")
    form = parsed.format or "text"
    if form not in GATE_FORMATS:
        raise UsageError(f"--format {form}: a gate has {', '.join(GATE_FORMATS)}.")
    report = build_gate_report(folder)
    more = {} if parsed.output is None else {"json" if form == "text" else form: parsed.output}
    files = write_gate(report, folder, more)
    if form == "text":
        write_gate_text(report, files, sys.stderr if is_standard_output(parsed.output) else sys.stdout)
    elif not is_standard_output(parsed.output):
        GATE_FORMATS[form](report, sys.stdout)
    return report.verdict.exit_code
