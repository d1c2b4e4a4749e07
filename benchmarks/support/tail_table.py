"""Print the turns of `tail.py`: medians, their ratios to hey, and which bars are met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import NamedTuple

from support.latency_turns import Load, Turn

OURS, HEY = "aether-load", "hey"
_COLUMNS = (
    ("rate/s", "rate_rps", 8, 0),
    ("p50 ms", "p50_ms", 8, 2),
    ("p99 ms", "p99_ms", 8, 2),
    ("p99.9 ms", "p99_9_ms", 9, 2),
)
"""Head, key, width and digits of each figure that is compared with hey's."""
_MORE_COLUMNS = (
    ("delay p50", "start_delay_p50_ms", 10, 3),
    ("delay p99", "start_delay_p99_ms", 10, 3),
    ("CPU us", "cpu_us", 8, 1),
    ("observer", "observer_us", 9, 1),
)
_DELAY_BARS_MS = {1000: 0.8, 10_000: 2.0}
Turns = Mapping[Load, Mapping[str, Sequence[Turn]]]


class Bar(NamedTuple):
    """What a median may be at most, or at least."""

    what: str
    value: float | None
    limit: float
    at_least: bool = False

    @property
    def sentence(self) -> str:
        """Return the figure, the limit, and whether it is met."""
        limit = f"at {'least' if self.at_least else 'most'} {self.limit:g}"
        if self.value is None:
            return f"  -        {self.what}: {limit}, not known"
        is_met = self.value >= self.limit if self.at_least else self.value <= self.limit
        return f"  {'met    ' if is_met else 'NOT met'}  {self.what}: {self.value:.3f}, {limit}"


def print_table(turns: Turns) -> None:
    """Print a table for each load."""
    heads = [f"{head:>{width}}" for head, _, width, _ in _COLUMNS]
    heads += ["   to hey:", *(f"{head.split()[0]:>8}" for head, _, _, _ in _COLUMNS)]
    heads += [f"{head:>{width}}" for head, _, width, _ in _MORE_COLUMNS]
    for load, of_load in turns.items():
        print(f"\n{load.name}\n{'client':13}{'requests':>9}{''.join(heads)}{'failed':>7}{'server late':>12}")
        for name, found in of_load.items():
            print(_row(turns, load, name, found))
    print(
        "\nmedians over the rounds; -: not measured by this client, or too few requests for this percentile\n"
        "delay: start delay of open load, ms; CPU us, observer: CPU time a request of the sending process and of the\n"
        "observer; server late: p99 of how late the server itself was, us"
    )
    repeated = sum(turn["tries"] - 1 for of_load in turns.values() for found in of_load.values() for turn in found)
    print(f"turns repeated because the machine held up the server: {repeated}")


def _row(turns: Turns, load: Load, name: str, found: Sequence[Turn]) -> str:
    cells = [_cell(_median(found, key), width, digits) for _, key, width, digits in _COLUMNS]
    cells += [" " * 10, *(_cell(_ratio_to_hey(turns, load, name, key), 8, 3) for _, key, _, _ in _COLUMNS)]
    cells += [_cell(_median(found, key), width, digits) for _, key, width, digits in _MORE_COLUMNS]
    late = _median([turn["server_lateness"] for turn in found], "p99_us")
    requests, failures = (sum(turn[key] for turn in found) for key in ("requests", "failures"))
    return f"{name:13}{requests:9d}{''.join(cells)}{failures:7d}{_cell(late, 12, 0)}"


def print_bars(turns: Turns) -> None:
    """Print the bars for our client, and whether each is met."""
    print("\nbars for aether-load, medians over the rounds; they decide nothing here")
    for load, of_load in turns.items():
        if OURS not in of_load:
            continue
        bars = [
            Bar(f"{load.name}: p99 to hey's", _ratio_to_hey(turns, load, OURS, "p99_ms"), 1.05),
            Bar(f"{load.name}: p99.9 to hey's", _ratio_to_hey(turns, load, OURS, "p99_9_ms"), 1.15),
        ]
        if not load.is_open:
            ratio = _ratio_to_hey(turns, load, OURS, "rate_rps")
            bars.append(Bar(f"{load.name}: rate to hey's", ratio, 0.99, at_least=True))
        elif (limit_ms := _DELAY_BARS_MS.get(load.rate_rps)) is not None:
            delay_ms = _median(of_load[OURS], "start_delay_p99_ms")
            bars.append(Bar(f"{load.name}: start delay p99 in ms", delay_ms, limit_ms))
        for bar in bars:
            print(bar.sentence)
        if codes := sorted({turn["exit_code"] for turn in of_load[OURS]} - {0}):
            print(f"  aether-load ended with exit code {', '.join(map(str, codes))} ({load.name})")


def _ratio_to_hey(turns: Turns, load: Load, name: str, key: str) -> float | None:
    """Return the median of a figure's ratios to that of hey's closed turn at the same rate in the same round.

    Open load keeps to its rate, which is no figure to compare.
    """
    if load.is_open and key == "rate_rps":
        return None
    closed = next((other for other in turns if other.rate_rps == load.rate_rps and not other.is_open), None)
    beside = [] if closed is None else turns[closed].get(HEY, [])
    ratios = [
        turn[key] / other[key]
        for turn, other in zip(turns[load][name], beside, strict=False)
        if turn[key] is not None and other[key]
    ]
    return median(ratios) if ratios else None


def _median(found: Sequence[Turn], key: str) -> float | None:
    known = [turn[key] for turn in found if turn[key] is not None]
    return median(known) if known else None


def _cell(value: float | None, width: int, digits: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>{width}}"
