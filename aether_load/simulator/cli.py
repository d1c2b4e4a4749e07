"""The command line of the simulator."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from aether_load.errors import ExitCode
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.engine.latency import parse_latency
from aether_load.simulator.fault_kinds import AnyFault, NodeFailure, Stall, parse_fault
from aether_load.simulator.options import Options
from aether_load.simulator.server import serve

_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options to a parser."""
    serving = parser.add_argument_group("serving")
    serving.add_argument("--generation", choices=("v1", "v2"), default="v2", help="runtime to simulate (default: v2)")
    serving.add_argument("--bind", default="127.0.0.1", metavar="ADDRESS", help="address (default: 127.0.0.1)")
    serving.add_argument("--port", type=int, default=3000, help="port, 0 for any free one (default: 3000)")
    serving.add_argument("--exit-with-parent", action="store_true", help="end when standard input ends")
    serving.add_argument("--seed", type=int, default=0, help="seed of everything that is drawn (default: 0)")

    timing = parser.add_argument_group("timing (default: the runtime's own)")
    timing.add_argument(
        "--latency",
        type=_checked(parse_latency),
        metavar="KIND:VALUES",
        help="time of a completion: constant:50ms, uniform:10ms,90ms, normal:50ms,10ms, "
        "lognormal:50ms,0.5 (median, sigma) or trace:FILE; nothing else then takes any time",
    )
    timing.add_argument(
        "--token-latency",
        type=_checked(parse_duration),
        default=0.0,
        metavar="DURATION",
        help="time added for each output token, like 0.2ms",
    )
    timing.add_argument("--slots", type=int, metavar="N", help="nodes that run at once; the others queue")

    answers = parser.add_argument_group("answers (default: the mock's fixed text)")
    answers.add_argument("--answer", metavar="TEXT", help="always say this")
    answers.add_argument("--answer-key", type=Path, metavar="FILE", help="JSONL of match and answer; reply letters")
    answers.add_argument(
        "--accuracy", type=float, default=1.0, metavar="P", help="share of right letters with --answer-key (default: 1)"
    )

    faults = parser.add_argument_group("faults")
    faults.add_argument(
        "--fail-rate", type=_checked(_rate), metavar="P", help="share of completions that fail, from 0 to 1"
    )
    faults.add_argument(
        "--stall", type=_checked(_stall), action="append", default=[], metavar="FOR@AFTER", help="stall, like 1s@10s"
    )
    faults.add_argument(
        "--fault",
        type=_checked(parse_fault),
        action="append",
        default=[],
        metavar="KIND:KEY=VALUE,…",
        help="a fault, like close:at=body,share=0.1; may be given again",
    )

    record = parser.add_argument_group("record and control")
    record.add_argument(
        "--control", action="store_true", help="serve /_sim/record and /_sim/faults to clients on this machine"
    )
    record.add_argument("--record", type=Path, metavar="FILE", help="write a JSON line for each request that ended")
    record.add_argument(
        "--record-limit", type=int, default=200_000, metavar="N", help="requests kept for GET /_sim/record"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the simulator until it is told to end; UsageError for options that do not go together."""
    faults: list[AnyFault] = [*arguments.stall, *arguments.fault]
    if arguments.fail_rate:
        faults.append(NodeFailure(share=arguments.fail_rate))
    options = Options(
        bind=arguments.bind,
        port=arguments.port,
        generation=arguments.generation,
        latency=arguments.latency,
        token_latency=arguments.token_latency,
        slots=arguments.slots,
        seed=arguments.seed,
        answer=arguments.answer,
        answer_key=arguments.answer_key,
        accuracy=arguments.accuracy,
        faults=tuple(faults),
        control=arguments.control,
        record=arguments.record,
        record_limit=arguments.record_limit,
        exit_with_parent=arguments.exit_with_parent,
    )
    asyncio.run(serve(options))
    return ExitCode.PASSED


def _checked(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Let argparse show the sentence of a ValueError."""

    def convert(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r} is no share; write a number from 0 to 1")
    return rate


def _stall(text: str) -> Stall:
    lasting, _, after = text.partition("@")
    return Stall(lasting=lasting, after=after or "0s")
