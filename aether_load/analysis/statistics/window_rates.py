"""Compute rates over a phase's window; a request counts by the share of its time that lies inside."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import Outcome
from aether_load.rundata.manifest import Manifest, PhaseRecord
from aether_load.rundata.samples.table import PhaseSamples, pieces

CLOCK_ERROR_S = 0.001
"""How late an event loop may notice that a window has opened or shut."""
LEAST_CLOCK_ERRORS = 10
LEAST_WAVES = 0.9
"""A window that shuts at the first answer of a wave holds a little less than the whole wave."""


class WindowRates(msgspec.Struct, frozen=True):
    """What rates over a window are made of.

    `shares` has, for each request, the part of its time from sent to answered that lies inside the window: 1 for most
    requests, 0 for those outside and for those that were never sent or given up. Answers alone come in steps of as
    many as there are users, so that a window which shuts before the last wave is in would lose all of it. `seconds` is
    the window's length, None where there is none or it is too short to be measured. `reason` says why there is no rate.
    """

    shares: NDArray[np.float64]
    seconds: float | None
    reason: str | None

    def per_second(self, amounts: NDArray[Any], which: NDArray[np.bool_] | None = None) -> float | None:
        """Return the sum of `amounts`, one a request, a second of the window; None where `reason` says why.

        With `which` only those requests count.
        """
        if self.reason is not None or self.seconds is None:
            return None
        total = 0.0
        which = amounts if amounts.dtype == np.bool_ else which
        for rows in pieces(len(self.shares)):
            own, shares = amounts[rows], self.shares[rows]
            if which is not None:
                own, shares = own[which[rows]], shares[which[rows]]
            total += float(shares.sum() if which is amounts else own @ shares)
        return total / self.seconds


def window_rates(
    samples: PhaseSamples, record: PhaseRecord | None = None, error_s: float = CLOCK_ERROR_S
) -> WindowRates:
    """Return what rates over a phase's window are made of; `error_s` is the clocks'.

    There is no rate of a window that is shorter than ten times the error of the clocks, or that holds less than a wave:
    a request for each user of a closed load, and one request of any other.
    """
    began, ended = samples.window_began_ns, samples.window_ended_ns
    if began is None or ended is None:
        return WindowRates(np.zeros(len(samples)), None, "there was no window")
    sent, answered = samples.sent_ns, samples.ended_ns
    counted = samples.was_sent & (samples.outcome != Outcome.CANCELLED)
    if record is not None and record.window_ended_ns is None and counted.any():
        # The window is still open, or was cut off: what was in flight then has no sample. Of what was sent longer ago
        # than the longest request takes, all is known.
        ended -= int(_took(sent[counted], answered[counted]).max())
    seconds = (ended - began) / 1e9
    if seconds < LEAST_CLOCK_ERRORS * error_s:
        length, error = f"{max(seconds, 0.0) * 1000:.1f} ms", f"{error_s * 1000:.2g} ms"
        reason = f"the window of {length} is shorter than {LEAST_CLOCK_ERRORS} times the error of its clock ({error})"
        return WindowRates(np.zeros(len(samples)), None, reason)
    shares = np.empty(len(samples))
    for rows in pieces(len(samples)):
        begins = sent[rows]
        took = _took(begins, answered[rows])
        # A request that takes no time at all lies at one instant, inside or outside.
        inside = np.minimum(begins + took, ended) - np.maximum(begins, began)
        shares[rows] = np.where(counted[rows], np.clip(inside / took, 0.0, 1.0), 0.0)
    users = record.users if record is not None and record.load == "closed" else None
    return WindowRates(shares, seconds, _why_below_a_wave(float(shares.sum()), users))


def _took(sent_ns: NDArray[np.int64], answered_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    took: NDArray[np.int64] = np.maximum(answered_ns - sent_ns, 1)
    return took


def clock_error_s(manifest: Manifest) -> float:
    """Return by how much an instant of a run's samples may be off from another."""
    uncertainties = [reading.uncertainty_ns for worker in manifest.workers for reading in worker.clock]
    return max(CLOCK_ERROR_S, max(uncertainties, default=0) / 1e9)


def _why_below_a_wave(requests: float, users: int | None) -> str | None:
    wave = users or 1
    if requests >= LEAST_WAVES * wave:
        return None
    of_users = "" if users is None else f", and {users} user{'s' if users > 1 else ''} sent"
    return f"the window holds {requests:.2f} requests{of_users}: there is no rate of less than one wave"
