"""Read and check what `aether-load gate` is asked for, before anything is started."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aether_load.errors import UsageError
from aether_load.outputs.output_path import checked_outputs
from aether_load.rundata.folder import RunFolder
from aether_load.runtime_client import check_url
from aether_load.scenario.command_line.option_values import as_words
from aether_load.scenario.command_line.run_options import TLS_OPTIONS, add_target_options
from aether_load.scenario.command_line.scenario_options import add_scenario_options
from aether_load.scenario.duration import parse_duration
from aether_load.scenario.gate_plan import (
    DEFAULT_METRIC,
    DEFAULT_PAIRS,
    FEWEST_PAIRS,
    MOST_PAIRS,
    GateJob,
    GatePlan,
    gate_plan_mistake,
)

MOST_GATES = 1000
_PASSED_ON = (
    "scenario", "dataset", "dataset_source", "dataset_dir", "limit", "dag", "dag_nodes", "dag_file", "program", "seed",
    "bind", *TLS_OPTIONS,
)  # fmt: skip
"""Options of the load that hold no secret: those stand on Locust's command line, for all users of the machine."""


class GateOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The command line, checked. A side is at a URL or started by a command; `plan` has the URLs that are known.

    `words` are the options that the Locust of a gate takes over as they are.
    """

    plan: GatePlan
    base_command: str | None
    candidate_command: str | None
    start_limit_s: float
    gates: int
    results: Path
    files: dict[str, Path]
    words: tuple[str, ...]
    header: tuple[str, ...]
    set: tuple[str, ...]

    def job(self, plan: GatePlan) -> GateJob:
        """Return what the Locust of a gate is handed beside its command line."""
        return GateJob(plan=plan, header=self.header, set=self.set)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the gate's options to a parser."""
    _add_sides(parser)
    test = parser.add_argument_group("the comparison")
    test.add_argument(
        "--metric",
        action="append",
        metavar="METRIC",
        help=f"what is compared, e.g. 'response_latency_ms:p(95)'; may be given again (default: {DEFAULT_METRIC})",
    )
    possible = f"from {FEWEST_PAIRS + 1} to {MOST_PAIRS}"
    test.add_argument(
        "--pairs",
        type=int,
        default=DEFAULT_PAIRS,
        metavar="N",
        help=f"pairs of windows, {possible} (default: {DEFAULT_PAIRS}); the first one is dropped",
    )
    test.add_argument("--window", default="3s", metavar="DURATION", help="length of a window (default: 3s)")
    test.add_argument(
        "--margin", type=float, default=0.05, metavar="SHARE", help="half of the loss to be caught (default: 0.05)"
    )
    test.add_argument("--confidence", type=float, default=0.99, metavar="SHARE", help="of a regression (default: 0.99)")

    load = parser.add_argument_group("the load")
    add_scenario_options(load, "gate")
    load.add_argument("--phase", metavar="NAME", help="whose load is sent, where the scenario has several phases")
    add_target_options(load)

    output = parser.add_argument_group("results")
    output.add_argument("--results-dir", type=Path, default=Path("results"), metavar="DIR", help="default: results")
    output.add_argument("--output", type=Path, metavar="PATH", help="write the gate as JSON to this file too")
    output.add_argument("--markdown", type=Path, metavar="PATH", help="and as Markdown to this one")
    output.add_argument("--junit", type=Path, metavar="PATH", help="and as JUnit XML to this one")


def _add_sides(parser: argparse.ArgumentParser) -> None:
    sides = parser.add_argument_group("the two builds")
    sides.add_argument("--base", metavar="URL", help="the runtime as it was")
    sides.add_argument("--candidate", metavar="URL", help="the runtime that is to be let through")
    sides.add_argument(
        "--base-command", metavar="CMD", help="start the base with this; {port} in it is filled in, and {core}"
    )
    sides.add_argument("--candidate-command", metavar="CMD", help="start the candidate with this")
    sides.add_argument(
        "--candidate-program",
        metavar="PATH",
        help="compare this program with that of --program on one runtime, the base, and not two builds",
    )
    for side in ("base", "candidate"):
        sides.add_argument(f"--{side}-name", metavar="NAME", help=f"what the {side} is called, e.g. its commit")
    sides.add_argument(
        "--start-limit",
        default="60s",
        metavar="DURATION",
        help="how long a server may take until it is healthy (default: 60s)",
    )
    sides.add_argument(
        "--self-test", action="store_true", help="hold the base against itself, to learn what the gate is worth here"
    )
    sides.add_argument("--gates", type=int, metavar="N", help="how often a self-test does so (default: 1)")


def read_options(parsed: argparse.Namespace, command: Sequence[str]) -> GateOptions:
    """Return what the command line asks for; raises UsageError for what does not fit together."""
    _check_sides(parsed)
    base, candidate = parsed.base, parsed.candidate
    if parsed.self_test or parsed.candidate_program is not None:
        candidate = base
    program = None if parsed.candidate_program is None else str(Path(parsed.candidate_program).resolve())
    plan = GatePlan(
        base=check_url(base, "--base") if base is not None else "",
        candidate=check_url(candidate, "--candidate") if candidate is not None else "",
        self_test=parsed.self_test,
        phase=parsed.phase,
        candidate_program=program,
        metrics=tuple(parsed.metric or (DEFAULT_METRIC,)),
        pairs=parsed.pairs,
        window_s=_duration("--window", parsed.window),
        margin=parsed.margin,
        confidence=parsed.confidence,
        command=tuple(command),
        base_name=parsed.base_name,
        candidate_name=parsed.base_name if parsed.self_test else parsed.candidate_name,
    )
    if (mistake := gate_plan_mistake(plan)) is not None:
        raise UsageError(mistake)
    if plan.base and plan.base == plan.candidate and not plan.self_test and program is None:
        raise UsageError(f"--base and --candidate are both {plan.base}; for a build against itself say --self-test.")
    RunFolder.check_room(parsed.results_dir)
    files = checked_outputs({"json": parsed.output, "markdown": parsed.markdown, "junit": parsed.junit})
    return GateOptions(
        plan=plan,
        base_command=parsed.base_command,
        candidate_command=parsed.base_command if parsed.self_test else parsed.candidate_command,
        start_limit_s=_duration("--start-limit", parsed.start_limit),
        gates=parsed.gates or 1,
        results=parsed.results_dir,
        files=files,
        words=tuple(as_words(parsed, _PASSED_ON)),
        header=tuple(parsed.header or ()),
        set=tuple(parsed.set or ()),
    )


def _check_sides(parsed: argparse.Namespace) -> None:
    for side in ("base", "candidate"):
        if getattr(parsed, side) is not None and getattr(parsed, f"{side}_command") is not None:
            raise UsageError(f"--{side} and --{side}-command contradict each other: leave one away.")
    has_base = parsed.base is not None or parsed.base_command is not None
    has_candidate = parsed.candidate is not None or parsed.candidate_command is not None
    if parsed.gates is not None and not parsed.self_test:
        raise UsageError("--gates: only a --self-test is done several times.")
    if parsed.gates is not None and not 1 <= parsed.gates <= MOST_GATES:
        raise UsageError(f"--gates {parsed.gates}: from 1 to {MOST_GATES} are possible.")
    if parsed.self_test and (has_candidate):
        raise UsageError("--self-test holds the base against itself: leave --candidate away.")
    if parsed.candidate_program is not None:
        if has_candidate or parsed.self_test:
            option = "--self-test" if parsed.self_test else "--candidate"
            raise UsageError(f"--candidate-program compares two programs on one runtime: leave {option} away.")
        if not has_base:
            raise UsageError("say on which runtime the two programs are compared: --base URL or --base-command CMD.")
        has_candidate = True
    if not has_base:
        raise UsageError("say what the candidate is compared with: --base URL or --base-command CMD.")
    if not has_candidate and not parsed.self_test:
        raise UsageError("say what is to be let through: --candidate URL or --candidate-command CMD.")


def _duration(option: str, text: str) -> float:
    try:
        seconds = float(parse_duration(text))
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}.") from None
    if seconds <= 0:
        raise UsageError(f"{option} {text}: it must be above zero.")
    return seconds
