"""Compute the CPU share and memory of a process from its readings, the sender's or the server's."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from aether_load.rundata.process_usage import SenderReading, ServerReading

SHORTEST_NS = 500_000_000
"""Between two readings of a process's CPU time; closer ones lie in a scheduling quantum or two and say nothing."""


class ServerProcess(msgspec.Struct, frozen=True, kw_only=True):
    """The target's processes over a window, where it runs on this machine; a CPU share of 1 is one core in full.

    They are the processes that listen at the target's address, by `names`: behind a proxy, the proxy.
    """

    cpu_share_mean: float
    cpu_share_max: float
    resident_max_bytes: int
    processes: int
    names: tuple[str, ...]


def server_process_over(
    readings: Sequence[ServerReading], began_ns: int | None, ended_ns: int | None
) -> tuple[ServerProcess | None, str | None]:
    """Return what the target's processes took between two instants, or None and why."""
    if not readings:
        return None, "the target's process was not looked for"
    if began_ns is None or ended_ns is None:
        return None, "the phase ended before its window opened"
    inside = [reading for reading in readings if began_ns <= reading.at_ns <= ended_ns]
    read = [reading for reading in inside if reading.cpu_s is not None]
    if len(read) < 2 or read[-1].at_ns - read[0].at_ns < SHORTEST_NS:
        reasons = [reading.reason for reading in readings if reading.reason and reading.at_ns <= ended_ns]
        return None, reasons[-1] if reasons else "the target's process was not read twice, half a second apart"
    mean, largest = cpu_shares(read)
    if mean < 0:
        return None, "the target's processes were replaced by others inside the window"
    if mean == 0:
        return None, "the target's process took less CPU time than its system counts, which goes in steps of 10 ms"
    return ServerProcess(
        cpu_share_mean=round(mean, 4),
        cpu_share_max=round(largest, 4),
        resident_max_bytes=max(reading.resident_bytes or 0 for reading in read),
        processes=max(reading.processes or 0 for reading in read),
        names=read[-1].names,
    ), None


def cpu_shares(readings: Sequence[SenderReading | ServerReading]) -> tuple[float, float]:
    """Return the mean share of a core over all readings of a process, and the largest from one to the next."""
    # A process that came or went breaks the row.
    shares = [
        share
        for early, late in pairwise(readings)
        if late.at_ns - early.at_ns >= SHORTEST_NS and (share := cpu_share(early, late)) >= 0
    ]
    mean = cpu_share(readings[0], readings[-1])
    return mean, max(shares, default=mean)


def cpu_share(early: SenderReading | ServerReading, late: SenderReading | ServerReading) -> float:
    """Return the share of a core that a process took between two readings; below 0 where another took its place."""
    return ((late.cpu_s or 0.0) - (early.cpu_s or 0.0)) / ((late.at_ns - early.at_ns) / 1e9)
