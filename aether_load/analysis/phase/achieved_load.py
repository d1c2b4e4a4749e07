"""Compare the load that a phase was to have with the one that it had: in one unit, and of an open load in full."""

from __future__ import annotations

from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.statistics.window_rates import WindowRates, window_rates
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.samples.table import PhaseSamples

LoadUnit = Literal["users", "requests/s"]


class OpenLoad(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of an open load over its window, in requests a second.

    `due_rps` is what the drawn arrivals came to, `achieved_rps` what was sent while the window was open;
    `achieved_share` is of requests, those sent then of those due then. `target_rps` is None where it changed; what was
    due is not known, and neither is the share, where a worker was lost, and the rest of its schedule with it.
    `waiting_at_middle_total` and `waiting_at_end_total` are the requests that were due and not answered in the middle
    of the window and at its end: with a runtime that keeps up they are about as many. They are not known where a worker
    was lost.
    """

    target_rps: float | None
    due_rps: float | None
    achieved_rps: float
    achieved_share: float | None
    dropped_total: int
    waiting_at_middle_total: int | None
    waiting_at_end_total: int | None


def open_load(
    samples: PhaseSamples, record: PhaseRecord, rates: WindowRates | None = None, *, worker_lost: bool = False
) -> OpenLoad | None:
    """Return what became of an open load; None for a closed one, and without a window that can be measured."""
    window_s = (rates or window_rates(samples, record)).seconds
    if record.load != "open" or window_s is None:
        return None
    window = samples.in_window
    due = int(np.count_nonzero(window))
    assert samples.window_ended_ns is not None
    sent = int(np.count_nonzero(window & samples.was_sent & (samples.sent_ns <= samples.window_ended_ns)))
    middle_ns = samples.window_ended_ns - round(window_s / 2 * 1e9)
    return OpenLoad(
        target_rps=record.rate_rps,
        due_rps=None if worker_lost else round(due / window_s, 6),
        achieved_rps=round(sent / window_s, 6),
        achieved_share=round(sent / due, 6) if due and not worker_lost else None,
        dropped_total=int(np.count_nonzero(window & (samples.outcome == Outcome.DROPPED))),
        waiting_at_middle_total=None if worker_lost else _waiting(samples, middle_ns),
        waiting_at_end_total=None if worker_lost else _waiting(samples, samples.window_ended_ns),
    )


def _waiting(samples: PhaseSamples, at_ns: int) -> int:
    """Return how many requests were due by an instant, and not answered; those that were never sent left out."""
    return int(np.count_nonzero(samples.was_sent & (samples.due_ns <= at_ns) & (samples.ended_ns > at_ns)))


class AchievedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """A phase's load as asked and as reached; `reasons` says of each None why.

    In closed load both are users: reached is the mean number that were waiting for an answer or thinking, which is that
    of all users unless the client lost time. In open load they are requests a second: due, and sent while the window
    was open.
    """

    unit: LoadUnit
    asked: float | None
    reached: float | None
    reasons: dict[str, str]


def achieved_load(
    record: PhaseRecord,
    load: OpenLoad | None,
    littles_law_ratio: float | None,
    *,
    why_no_ratio: str | None,
    why_no_rate: str | None,
) -> AchievedLoad:
    """Return what became of a phase's load."""
    reasons: dict[str, str] = {}
    if record.load == "open":
        if record.rate_rps is None:
            reasons["asked"] = "the rate changed during the phase"
        if load is None:
            reasons["reached"] = why_no_rate or "there was no window"
        reached = load.achieved_rps if load else None
        return AchievedLoad(unit="requests/s", asked=record.rate_rps, reached=reached, reasons=reasons)
    if record.users is None:
        reasons["asked"] = "Locust's page or load shape decided how many users there were, or their number changed"
    if littles_law_ratio is None or record.users is None:
        reasons["reached"] = why_no_ratio or reasons["asked"]
        asked = None if record.users is None else float(record.users)
        return AchievedLoad(unit="users", asked=asked, reached=None, reasons=reasons)
    busy = round(littles_law_ratio * record.users, 3)
    return AchievedLoad(unit="users", asked=float(record.users), reached=busy, reasons=reasons)
