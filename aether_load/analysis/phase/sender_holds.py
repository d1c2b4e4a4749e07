"""Summarize the times in which the sender's event loop was held, and what they may have added to latencies."""

from __future__ import annotations

import msgspec
import numpy as np

from aether_load.rundata.samples.table import PhaseSamples


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
