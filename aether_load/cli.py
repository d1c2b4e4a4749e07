"""The command `aether-load`: results made again, the simulated runtime, the scenarios that ship."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import NoReturn

from aether_load import AetherLoadError, ExitCode, UsageError, __version__


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
    from aether_load.simulator import cli as simulator_cli  # noqa: PLC0415 -- only for its options
    from aether_load.workload.options import add_scenario_options  # noqa: PLC0415

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
        description="Make a run's results again from its folder: report.json and summary.csv there, its nightly JSON "
        "and its row in results/summary.csv. Other runs' files are not touched.",
    )
    report.add_argument("folder", metavar="RUN", type=Path, help="a folder in results/runs/")
    report.set_defaults(run=_report)

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
        from aether_load.aether_stub import run_lm_eval  # noqa: PLC0415 -- lm-eval's start takes seconds
    except ModuleNotFoundError as error:
        if error.name != "lm_eval":
            raise
        raise UsageError("lm-eval is not installed: pip install 'aether-load[lm-eval]'.") from None
    return run_lm_eval(words)


def _report(parsed: argparse.Namespace) -> int:
    from aether_load.analysis.postprocess import write_results  # noqa: PLC0415 -- half a second of pyarrow and scipy
    from aether_load.analysis.report import analyse  # noqa: PLC0415
    from aether_load.analysis.run import RunFolder  # noqa: PLC0415
    from aether_load.analysis.terminal import write_summary  # noqa: PLC0415

    folder = RunFolder.open(parsed.folder)
    analysis = analyse(folder)
    report = analysis.report
    write_summary(report, write_results(report, folder, analysis.series), sys.stdout)
    return report.verdict.exit_code


def _answer_key(parsed: argparse.Namespace) -> int:
    from aether_load.workload.answer_key import write_answer_key  # noqa: PLC0415
    from aether_load.workload.loading import load_prompts  # noqa: PLC0415
    from aether_load.workload.options import scenario_from  # noqa: PLC0415

    prompts, _ = load_prompts(scenario_from(parsed))
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

    from aether_load.workload.options import scenario_from  # noqa: PLC0415
    from aether_load.workload.scenario import (  # noqa: PLC0415
        load_scenario,
        shipped_scenarios,
        to_plain,
    )

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
