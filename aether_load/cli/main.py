"""The command `aether-load`: results made again, the simulated runtime, the scenarios that ship."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from aether_load._version import __version__
from aether_load.errors import AetherLoadError, ExitCode, UsageError

if TYPE_CHECKING:
    from aether_load.rundata.folder import RunFolder

_FORMATS = ("text", "json", "csv", "markdown", "junit")


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes are one sentence and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError in place of printing the whole usage."""
        raise UsageError(f"{message}; see {self.prog} --help.")


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    try:
        if words[:1] == ["lm-eval"]:
            return _lm_eval(words[1:])
        parsed = _parser().parse_args(words)
        code: int = parsed.run(parsed)
    except AetherLoadError as error:
        sys.stderr.write(f"aether-load: {error}\n")
        return int(error.exit_code)
    except KeyboardInterrupt:
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; nothing more can be said there, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.PASSED)
    return code


def _parser() -> Parser:
    from aether_load.gate import options as gate_options  # noqa: PLC0415 -- only for its options
    from aether_load.scenario.options import add_scenario_options  # noqa: PLC0415
    from aether_load.simulator import cli as simulator_cli  # noqa: PLC0415 -- only for its options

    parser = Parser(
        prog="aether-load",
        description="The load-testing harness of the Aether runtime. The load itself is run by Locust: "
        "locust -f locustfiles/eval.py --headless",
    )
    parser.add_argument("--version", action="version", version=f"aether-load {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=Parser)

    report = commands.add_parser(
        "report",
        help="make a run's results again from its folder",
        description="Make a run's results again from its folder: report.html, report.json and the others there, its "
        "nightly JSON and its rows in results/summary.csv. Other runs' files are not touched.",
    )
    report.add_argument("folder", metavar="RUN", type=Path, help="a folder in results/runs/")
    report.add_argument(
        "--format",
        choices=_FORMATS,
        default=None,
        help="what goes to standard output: a text for the terminal (the default), or the report as JSON, CSV, "
        "Markdown or JUnit XML",
    )
    report.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="write the report to exactly this file too, as JSON or as --format says, in place of what is there",
    )
    report.add_argument(
        "--threshold",
        action="append",
        metavar="CONDITION",
        help="hold the run against this condition too, beside its scenario's thresholds; may be given several times",
    )
    report.add_argument(
        "--no-page", action="store_true", help="leave report.html and charts/ as they are; drawing takes seconds"
    )
    report.set_defaults(run=_report)

    compare = commands.add_parser(
        "compare",
        help="show runs side by side",
        description="Show runs side by side, by phase and dataset, with intervals, and draw them in "
        "results/comparison_charts/. Runs of other scenarios, kinds of target or machines are shown too, but not "
        "ranked (exit code 5).",
    )
    compare.add_argument("folders", metavar="RUN", type=Path, nargs="+", help="folders in results/runs/; the first is "
                         "what the others are held against")  # fmt: skip
    compare.add_argument(
        "--format", choices=("text", "markdown", "json"), default="text", help="what goes to standard output"
    )
    compare.add_argument(
        "--results-dir", type=Path, metavar="DIR", help="where comparison_charts/ goes (default: the first run's)"
    )
    compare.set_defaults(run=_compare)

    gate = commands.add_parser(
        "gate",
        help="hold a candidate build against its base",
        description="Send one load to two builds of a runtime in turns, and say whether the candidate lost more than "
        "noise and a margin: exit code 0 it did not, 4 it did, 5 that is not decided. docs/gate.md has the method.",
    )
    gate_options.add_arguments(gate)
    gate.set_defaults(run=_gate)

    scenarios = commands.add_parser(
        "scenarios",
        help="list the scenarios that ship, or show one as resolved",
        description="List the scenarios that ship, or show one with every default filled in.",
    )
    scenarios.add_argument("words", nargs="*", metavar="show NAME|PATH", help="show this one as JSON")
    add_scenario_options(scenarios, "eval")
    scenarios.set_defaults(run=_scenarios)

    key = commands.add_parser(
        "answer-key",
        help="write the right answers of a scenario's prompts, for aether-load simulate --answer-key",
        description="Write the right answers of a scenario's prompts as JSON lines, for aether-load simulate "
        "--answer-key FILE --accuracy P.",
    )
    add_scenario_options(key, "eval")
    key.add_argument("--output", "-o", type=Path, metavar="FILE", help="where to (default: standard output)")
    key.set_defaults(run=_answer_key)

    commands.add_parser(
        "lm-eval",
        help="run lm-eval with the model aether_stub",
        add_help=False,
    )

    simulate = commands.add_parser(
        "simulate",
        help="run the simulated runtime",
        description="Run a simulated Aether runtime, to try the harness on.",
    )
    simulator_cli.add_arguments(simulate)
    simulate.set_defaults(run=simulator_cli.run)
    return parser


def _lm_eval(words: list[str]) -> int:
    """Hand everything behind `lm-eval` to lm-eval, its --help too."""
    try:
        from aether_load.evaluation.aether_stub import run_lm_eval  # noqa: PLC0415 -- lm-eval's start takes seconds
    except ModuleNotFoundError as error:
        if error.name != "lm_eval":
            raise
        raise UsageError("lm-eval is not installed: pip install 'aether-load[lm-eval]'.") from None
    return run_lm_eval(words)


def _gate(parsed: argparse.Namespace) -> int:
    from aether_load.gate.command import run  # noqa: PLC0415 -- half a second of pyarrow and scipy

    return run(parsed)


def _report(parsed: argparse.Namespace) -> int:
    from aether_load.analysis.report import analyse  # noqa: PLC0415
    from aether_load.analysis.verdict.thresholds import asked_of_run  # noqa: PLC0415
    from aether_load.errors import ResultsError  # noqa: PLC0415
    from aether_load.outputs.formats import formatted  # noqa: PLC0415 -- half a second of pyarrow and scipy
    from aether_load.outputs.output_path import check_output  # noqa: PLC0415
    from aether_load.outputs.page import make_page  # noqa: PLC0415
    from aether_load.outputs.results import write_results  # noqa: PLC0415
    from aether_load.outputs.terminal import write_summary  # noqa: PLC0415
    from aether_load.rundata.folder import RunFolder, write_whole  # noqa: PLC0415

    if parsed.output is not None:
        check_output(parsed.output)
    folder = RunFolder.open(parsed.folder)
    manifest = folder.read_manifest()
    if manifest.gate is not None:
        return _report_gate(folder, parsed)
    analysis = analyse(folder, asked_of_run(manifest, parsed.threshold or ()))
    report = analysis.report
    refusal = None
    try:
        files = write_results(report, folder, analysis.series)
    except ResultsError as error:
        if not folder.report.exists():
            raise
        # What could not be written is said last; what can be shown of the run is shown.
        refusal, files = error, [folder.path]
    if not parsed.no_page:
        files += make_page(folder)
    if parsed.output is not None:
        write_whole(parsed.output, formatted(report, parsed.format or "json").encode())
        files.append(parsed.output)
    if parsed.format in {None, "text"}:
        write_summary(report, files, sys.stdout)
    else:
        sys.stdout.write(formatted(report, parsed.format))
    if refusal is not None:
        raise refusal
    return report.verdict.exit_code


def _report_gate(folder: RunFolder, parsed: argparse.Namespace) -> int:
    from aether_load.gate.output import GATE_FORMATS, write_gate  # noqa: PLC0415
    from aether_load.gate.report import build_gate_report  # noqa: PLC0415
    from aether_load.gate.text import write_gate_text  # noqa: PLC0415

    if parsed.threshold:
        raise UsageError(f"--threshold {parsed.threshold[0]}: {folder.path} is a gate's run, which has no thresholds.")
    form = parsed.format or "text"
    if form not in GATE_FORMATS:
        raise UsageError(f"--format {form}: a gate has {', '.join(GATE_FORMATS)}.")
    report = build_gate_report(folder)
    more = {} if parsed.output is None else {"json" if form == "text" else form: parsed.output}
    files = write_gate(report, folder, more)
    if form == "text":
        write_gate_text(report, files, sys.stdout)
    else:
        GATE_FORMATS[form](report, sys.stdout)
    return report.verdict.exit_code


def _compare(parsed: argparse.Namespace) -> int:
    from aether_load.analysis.report import build_report  # noqa: PLC0415
    from aether_load.compare.charts import FOLDER, comparison_charts, write_charts  # noqa: PLC0415
    from aether_load.compare.comparison import compare  # noqa: PLC0415 -- half a second of pyarrow and scipy
    from aether_load.compare.text import WRITERS  # noqa: PLC0415
    from aether_load.rundata.folder import RunFolder  # noqa: PLC0415

    folders = [RunFolder.open(path) for path in parsed.folders]
    paths = [folder.path for folder in folders]
    if len(paths) < 2:
        raise UsageError("compare: one run is nothing to compare; name two or more folders of results/runs/.")
    for path in paths:
        if paths.count(path) > 1:
            raise UsageError(f"compare: {path} is named twice.")
    reports = [build_report(folder) for folder in folders]
    comparison = compare(reports)
    WRITERS[parsed.format](comparison, sys.stdout)
    charts = (parsed.results_dir or folders[0].results) / FOLDER
    try:
        write_charts(charts, comparison, comparison_charts(comparison, reports))
        if parsed.format == "text":
            print(f"\ncharts: {charts}")
    except ImportError:
        sys.stderr.write("aether-load: no charts were drawn: install vl-convert-python, which draws them.\n")
    except OSError as error:
        raise UsageError(f"{charts} cannot be written: {error.strerror}. Say where with --results-dir.") from None
    return int(ExitCode.PASSED if comparison.comparable else ExitCode.INVALID)


def _answer_key(parsed: argparse.Namespace) -> int:
    from aether_load.dag.dag import asked_columns  # noqa: PLC0415
    from aether_load.datasets.answer_key import write_answer_key  # noqa: PLC0415
    from aether_load.datasets.loading import load_prompts  # noqa: PLC0415
    from aether_load.scenario.options import scenario_from  # noqa: PLC0415

    scenario = scenario_from(parsed)
    prompts, _ = load_prompts(scenario, asked_columns(scenario.workload))
    if parsed.output is None:
        write_answer_key(prompts, sys.stdout.buffer)
        return int(ExitCode.PASSED)
    try:
        with parsed.output.open("wb") as out:
            written = write_answer_key(prompts, out)
    except OSError as error:
        raise UsageError(f"--output {parsed.output}: cannot be written: {error.strerror}.") from None
    print(f"{written} answers written to {parsed.output}")
    return int(ExitCode.PASSED)


def _scenarios(parsed: argparse.Namespace) -> int:
    import msgspec  # noqa: PLC0415 -- the simulator's start does not need what follows

    from aether_load.scenario.load import load_scenario, shipped_scenarios, to_plain  # noqa: PLC0415
    from aether_load.scenario.options import scenario_from  # noqa: PLC0415

    words = parsed.words[1:] if parsed.words[:1] == ["show"] else parsed.words
    if len(words) > 1 or (parsed.words and not words):
        raise UsageError(f"scenarios {' '.join(parsed.words)}: say which one, as in: aether-load scenarios show eval")
    if not words:
        for name, path in shipped_scenarios().items():
            print(f"{name:12} {load_scenario(path).purpose}")
    else:
        parsed.scenario = words[0]
        scenario = scenario_from(parsed)
        print(msgspec.json.format(msgspec.json.encode(to_plain(scenario)), indent=2).decode())
    return int(ExitCode.PASSED)


if __name__ == "__main__":
    sys.exit(main())
