"""Report what may make a sender measure itself: its CPU and memory, and the times in which its event loop was held."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from aether_load.analysis.server.server_process import SHORTEST_NS, cpu_shares
from aether_load.rundata.process_usage import MASTER, SenderReading
from aether_load.rundata.samples.table import PhaseSamples

_READ_WITHIN_NS = 50_000_000
"""The reading at a window's end is taken a little after it."""


class Sender(msgspec.Struct, frozen=True, kw_only=True):
    """The sending process over a phase; a CPU share of 1 is one core in full, which is all that a process can use.

    Of several it is the busiest one; `processes_total` is how many there were, and `master_cpu_share_max` their
    master's, None where there was none.
    """

    cpu_share_mean: float
    cpu_share_max: float
    resident_max_bytes: int
    processes_total: int = 1
    master_cpu_share_max: float | None = None


def sender_over(readings: Sequence[SenderReading], began_ns: int | None, ended_ns: int | None) -> Sender | None:
    """Return the sender's part between two instants, or None without two readings there, half a second apart.

    The largest share is that of the busiest second, from one reading to the next.
    """
    if began_ns is None or ended_ns is None:
        return None
    inside = [reading for reading in readings if began_ns <= reading.at_ns <= ended_ns + _READ_WITHIN_NS]
    found = {worker: _process_over(own) for worker, own in by_worker(inside).items()}
    master = found.pop(MASTER, None)
    senders = [sender for sender in found.values() if sender is not None]
    if not senders:
        return None
    busiest = max(senders, key=lambda sender: sender.cpu_share_max)
    return msgspec.structs.replace(
        busiest, processes_total=len(senders), master_cpu_share_max=master.cpu_share_max if master else None
    )


def by_worker(readings: Sequence[SenderReading]) -> dict[int, list[SenderReading]]:
    """Return the readings of each worker."""
    found: dict[int, list[SenderReading]] = {}
    for reading in readings:
        found.setdefault(reading.worker, []).append(reading)
    return found


def _process_over(inside: Sequence[SenderReading]) -> Sender | None:
    # Two readings in one scheduling quantum say nothing about a second.
    if len(inside) < 2 or inside[-1].at_ns - inside[0].at_ns < SHORTEST_NS:
        return None
    mean, largest = cpu_shares(inside)
    return Sender(
        cpu_share_mean=round(mean, 4),
        cpu_share_max=round(largest, 4),
        resident_max_bytes=max(reading.resident_bytes for reading in inside),
    )


class SenderHolds(msgspec.Struct, frozen=True, kw_only=True):
    """How often and how long the sender's event loop was held in a window.

    `late_requests_total` of the requests due in it may have been read late, by up to `late_max_ms`. `longest_ms` and
    `late_max_ms` are 0 where nothing was held, or nothing was read late.
    """

    holds_total: int
    held_ms_total: float
    longest_ms: float
    late_requests_total: int
    late_max_ms: float


def sender_holds(samples: PhaseSamples) -> SenderHolds:
    """Return the holds of a phase's window."""
    late = samples.late_ns[samples.in_window & samples.was_sent]
    return SenderHolds(
        holds_total=samples.holds_total,
        held_ms_total=round(samples.held_ns_total / 1e6, 3),
        longest_ms=round(samples.longest_hold_ns / 1e6, 3),
        late_requests_total=int(np.count_nonzero(late)),
        late_max_ms=round(int(late.max(initial=0)) / 1e6, 3),
    )
