"""Read the simulator's command line."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from aether_load.errors import ExitCode
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.engine.latency import parse_latency
from aether_load.simulator.fault_kinds import AnyFault, NodeFailure, Stall, parse_fault
from aether_load.simulator.options import Options
from aether_load.simulator.server import serve

_T = TypeVar("_T")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the simulator's options; those that are not given leave no value, and Options has the defaults."""

    def group(title: str) -> Callable[..., Any]:
        return parser.add_argument_group(title, argument_default=argparse.SUPPRESS).add_argument

    add = group("serving")
    add("--generation", choices=("v1", "v2"), help="runtime to simulate (default: v2)")
    add("--bind", metavar="ADDRESS", help="address (default: 127.0.0.1)")
    add("--port", type=int, help="port, 0 for any free one (default: 3000)")
    add("--exit-with-parent", action="store_true", help="end when standard input ends")
    add("--seed", type=int, help="seed of everything that is drawn (default: 0)")

    add = group("timing (default: the runtime's own)")
    kinds = "constant:50ms, uniform:10ms,90ms, normal:50ms,10ms, lognormal:50ms,0.5 (median, sigma) or trace:FILE"
    latency = f"time of a completion: {kinds}; nothing else then takes any time"
    add("--latency", type=_checked(parse_latency), metavar="KIND:VALUES", help=latency)
    added = "time added for each output token, like 0.2ms"
    add("--token-latency", type=_checked(parse_duration), metavar="DURATION", help=added)
    add("--slots", type=int, metavar="N", help="nodes that run at once; the others queue")

    add = group("answers (default: the mock's fixed text)")
    add("--answer", type=_checked(_text), metavar="TEXT", help="always say this")
    add("--answer-key", type=Path, metavar="FILE", help="JSONL of match and answer; reply letters")
    add("--accuracy", type=float, metavar="P", help="share of right letters with --answer-key (default: 1)")

    add = group("faults")
    faults = {"action": "append", "dest": "faults"}
    share = "share of completions that fail, from 0 to 1"
    add("--fail-rate", type=_checked(_node_failure), metavar="P", help=share, **faults)
    add("--stall", type=_checked(_stall), metavar="FOR@AFTER", help="stall, like 1s@10s", **faults)
    fault = "a fault, like close:at=body,share=0.1; may be given again"
    add("--fault", type=_checked(_fault), metavar="KIND:KEY=VALUE,…", help=fault, **faults)

    add = group("record and control")
    add("--record", type=Path, metavar="FILE", help="write a JSON line for each request that ended")
    add("--control", action="store_true", help="serve /_sim/record and /_sim/faults to programs on this machine")
    add("--record-limit", type=int, metavar="N", help="requests kept for GET /_sim/record (default: 200000)")


def read_options(arguments: argparse.Namespace) -> Options:
    """Return the options that were given; raises UsageError for options that do not go together."""
    names = Options.__dataclass_fields__
    return Options(**{name: value for name, value in vars(arguments).items() if name in names})


def run(arguments: argparse.Namespace) -> int:
    """Run the simulator until it is told to end; raises UsageError when it cannot start."""
    asyncio.run(serve(read_options(arguments)))
    return ExitCode.PASSED


def _checked(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    """Let argparse show the sentence of a ValueError."""

    def convert(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return convert


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{text!r} is not UTF-8; write it in UTF-8") from None
    return text


def _fault(text: str) -> AnyFault:
    return parse_fault(_text(text))


def _node_failure(text: str) -> NodeFailure:
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise ValueError(f"{text!r} is no share; write a number from 0 to 1")
    return NodeFailure(share=rate)


def _stall(text: str) -> Stall:
    lasting, _, after = text.partition("@")
    return Stall(lasting=lasting, after=after or "0s")
