"""Follow every figure over all stored runs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aether_load.errors import UsageError, explained
from aether_load.text import terminal_text

if TYPE_CHECKING:
    from aether_load.compare.trend.trend import Trend

DESCRIPTION = (
    "Draw each metric of the summary over all runs of a results folder, and find the runs between which it changed. "
    "Writes trend.html, trend.md and trend.json there. Exit code 5 with too few runs. Needs the extra `trend`."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument(
        "folder", metavar="RESULTS", nargs="?", type=Path, default=Path("results"),
        help="a results folder, with summary.csv or runs/ (default: results)",
    )  # fmt: skip
    parser.add_argument(
        "--metric", action="append", metavar="NAME",
        help="a column of summary.csv to follow and to judge (default: every metric is followed, the main ones are "
        "judged); may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--fail-on-regression", action="store_true",
        help="exit code 4 when the newest change point of a judged metric is a loss beyond --margin, within "
        "--last-runs",
    )  # fmt: skip
    parser.add_argument(
        "--margin",
        type=float,
        default=0.05,
        metavar="SHARE",
        help="the loss that counts (default: 0.05, which is 5 %%)",
    )
    parser.add_argument(
        "--last-runs", type=int, default=10, metavar="N", help="runs since the change, at most (default: 10)"
    )
    parser.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="what goes to standard output"
    )
    parser.add_argument("--output-dir", type=Path, metavar="DIR", help="where the files go (default: RESULTS)")


def run(parsed: argparse.Namespace) -> int:
    """Write the files, print the trend, and return the exit code."""
    from aether_load.compare.trend.metrics import JUDGED, METRICS  # noqa: PLC0415 -- half a second of pandas
    from aether_load.compare.trend.text import WRITERS  # noqa: PLC0415
    from aether_load.compare.trend.trend import Terms, build_trend  # noqa: PLC0415

    if not parsed.margin >= 0:
        raise UsageError(f"--margin {parsed.margin}: a margin is a share of 0 or more, like 0.05.")
    if parsed.last_runs < 1:
        raise UsageError(f"--last-runs {parsed.last_runs}: at least 1 run is looked at.")
    for name in parsed.metric or ():
        if name not in METRICS:
            raise UsageError(f"--metric {name}: summary.csv has no such metric; there are {', '.join(METRICS)}.")
    judged = tuple(parsed.metric or JUDGED)
    terms = Terms(margin=parsed.margin, last_runs=parsed.last_runs, judged=judged)
    trend = build_trend(parsed.folder, parsed.metric or METRICS, terms)
    WRITERS[parsed.format](trend, sys.stdout)
    folder = parsed.output_dir or parsed.folder
    files = _write(trend, folder)
    if parsed.format == "text":
        print(f"\n{'  '.join(terminal_text(str(file)) for file in files)}")
    return int(trend.exit_code(fail_on_regression=parsed.fail_on_regression))


def _write(trend: Trend, folder: Path) -> list[Path]:
    from aether_load.compare.trend.page import trend_html  # noqa: PLC0415
    from aether_load.compare.trend.text import write_json, write_markdown  # noqa: PLC0415
    from aether_load.outputs.output_path import written  # noqa: PLC0415
    from aether_load.rundata.folder import write_whole  # noqa: PLC0415

    texts = {
        "trend.html": trend_html(trend),
        "trend.md": written(write_markdown, trend),
        "trend.json": written(write_json, trend),
    }
    with explained(f"{folder} cannot be written: ", end=". Say where with --output-dir."):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_whole(folder / name, text.encode())
    return [folder / name for name in texts]
