"""Show runs side by side."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aether_load.errors import ExitCode, UsageError, explained
from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.rundata.folder import RunFolder

DESCRIPTION = (
    "Show runs side by side, a row a figure and a column a run, and draw them in results/comparison_charts/. Runs of "
    "other scenarios, kinds of target or machines are shown too, but not ranked (exit code 5)."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "folders",
        metavar="RUN",
        nargs="+",
        help="folders in results/runs/, their names, latest, or a folder of runs, of which those of the newest one's "
        "scenario are taken; the first is the base",
    )
    parser.add_argument("--datasets", action="store_true", help="a row for each dataset too, not only for all of them")
    parser.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="what goes to standard output"
    )
    parser.add_argument(
        "--results-dir", type=Path, metavar="DIR", help="where comparison_charts/ goes (default: the first run's)"
    )


def run(parsed: argparse.Namespace) -> int:
    """Print and draw the comparison; return INVALID when the runs may not be ranked."""
    from aether_load.analysis.report import build_report  # noqa: PLC0415 -- half a second of pyarrow
    from aether_load.compare.charts import FOLDER, comparison_charts, write_charts  # noqa: PLC0415
    from aether_load.compare.comparison import compare  # noqa: PLC0415
    from aether_load.compare.text import WRITERS  # noqa: PLC0415
    from aether_load.rundata.locate import find_runs  # noqa: PLC0415

    folders = [run for name in parsed.folders for run in _meant(find_runs([name]))]
    paths = [folder.path for folder in folders]
    if len(paths) < 2:
        raise UsageError("compare: one run is nothing to compare; name two or more folders of results/runs/.")
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"compare: {path} is named twice.")
    reports = [build_report(folder) for folder in folders]
    comparison = compare(reports, datasets=parsed.datasets)
    WRITERS[parsed.format](comparison, sys.stdout)
    charts = (parsed.results_dir or folders[0].results) / FOLDER
    with explained(f"{charts} cannot be written: ", end=". Say where with --results-dir."):
        why = write_charts(charts, comparison, comparison_charts(comparison, reports))
    if why is not None:
        sys.stderr.write(f"aether-load: no charts were drawn ({why}).\n")
    elif parsed.format == "text":
        print(f"\ncharts: {terminal_text(str(charts))}")
    return int(ExitCode.PASSED if comparison.comparable else ExitCode.INVALID)


def _meant(runs: Sequence[RunFolder]) -> Sequence[RunFolder]:
    """Return what a name means: one run, or of a folder of runs those of its newest one's scenario.

    Raises UsageError for the run of a gate; in a folder of runs it is left out, which is said.
    """
    if len(runs) == 1:
        if runs[0].read_manifest().gate is not None:
            raise UsageError(f"compare: {runs[0].path} is a gate's run: read it with aether-load report.")
        return runs
    manifests = [run.read_manifest() for run in runs]
    scenarios = [None if one.gate is not None else str(one.scenario["name"]) for one in manifests]
    newest = next((name for name in reversed(scenarios) if name is not None), None)
    left_out = Counter("a gate" if name is None else name for name in scenarios if name != newest)
    if left_out:
        of = ", ".join(f"{count} of {name}" for name, count in sorted(left_out.items()))
        sys.stderr.write(f"aether-load: compared are the runs of {newest}; left out: {terminal_text(of)}.\n")
    return [run for run, name in zip(runs, scenarios, strict=True) if name is not None and name == newest]
