"""Draw the times of the simulated provider: seeded distributions, and traces."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from aether_load.errors import explained
from aether_load.simulator.durations import parse_duration
from aether_load.simulator.files import read_lines

Sampler = Callable[[], float]

_MAX_SIGMA = 10
GRAMMAR = "constant:50ms, uniform:10ms,90ms, normal:50ms,10ms, lognormal:50ms,0.5 or trace:FILE"


@dataclass(frozen=True, slots=True)
class Latency:
    """A distribution of node times; `values` are its parameters, or a trace's times, in seconds (sigma is a number)."""

    kind: str
    values: tuple[float, ...]

    def sampler(self, seed: int) -> Sampler:
        """Return a function that draws the next time in seconds; a trace is replayed from its start, over and over."""
        draws = random.Random(f"{seed}/latency")
        first, second = (*self.values, 0.0)[:2]
        match self.kind:
            case "constant":
                return lambda: first
            case "uniform":
                return lambda: draws.uniform(first, second)
            case "normal":
                return lambda: max(0.0, draws.gauss(first, second))
            case "lognormal":
                return lambda: draws.lognormvariate(math.log(first), second)
            case _:
                return cycle(self.values).__next__


def parse_latency(text: str) -> Latency:
    """Read `kind:parameters` of `--latency`; raises ValueError with a sentence."""
    kind, _, rest = text.partition(":")
    if kind == "trace":
        return Latency("trace", _read_trace(rest))
    parts = [part.strip() for part in rest.split(",")]
    if len(parts) != {"constant": 1, "uniform": 2, "normal": 2, "lognormal": 2}.get(kind):
        raise ValueError(f"{text!r} is no latency; write one of {GRAMMAR}")
    if kind == "lognormal":
        median, sigma = parse_duration(parts[0]), _sigma(parts[1])
        if median <= 0:
            raise ValueError(f"{text!r}: the median of a lognormal latency must be above 0")
        return Latency(kind, (median, sigma))
    values = tuple(parse_duration(part) for part in parts)
    if kind == "uniform" and values[0] > values[1]:
        raise ValueError(f"{text!r}: the first bound of a uniform latency must not be above the second")
    return Latency(kind, values)


def _sigma(text: str) -> float:
    try:
        sigma = float(text)
    except ValueError:
        sigma = math.nan
    if not 0 <= sigma <= _MAX_SIGMA:
        raise ValueError(f"{text!r} is no sigma of a lognormal latency; write a number like 0.5, at most {_MAX_SIGMA}")
    return sigma


def _read_trace(name: str) -> tuple[float, ...]:
    """Read one duration a line; a bare number is milliseconds. Ignore blank lines and lines that begin with #."""
    try:
        lines = read_lines(Path(name))
    except (OSError, ValueError) as error:
        raise ValueError(f"the latency trace {name!r} cannot be read: {error}") from error
    times = []
    for number, raw in enumerate(lines, start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        with explained(f"{name}, line {number}: ", ValueError, ValueError, end=""):
            times.append(parse_duration(f"{line}ms" if line[-1].isdigit() else line))
    if not times:
        raise ValueError(f"the latency trace {name!r} has no times; write one a line, like 52ms")
    return tuple(times)
