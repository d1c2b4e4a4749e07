"""Decide when the requests of an open load are due: drawn beforehand, whatever the server does later."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import accumulate, count

from aether_load.schedule.shard import WHOLE, Share

_NEVER_S = 1e9
"""Later than any run ends, and small enough to be counted in ns."""


def arrival_offsets(
    kind: str,
    rate_rps: float,
    seed: str,
    *,
    ramp_from_rps: float | None = None,
    ramp_over_s: float = 0.0,
    share: Share = WHOLE,
) -> Iterator[int]:
    """Yield without end the ns, from the load's start, at which a share's requests are due.

    "constant" is k / rate; "poisson" draws the gaps from the seed. On a ramp the rate rises evenly from
    `ramp_from_rps` to `rate_rps` in `ramp_over_s`: the k-th request is due when the integral of the rate reaches
    k (or, Poisson, the k-th sum of unit-rate exponential gaps), so that both kinds climb alike. Every share draws the
    whole schedule and takes its part of it, so that all of them together send what one process would.
    """
    climbed = 0.0
    if ramp_from_rps is not None and ramp_over_s > 0:
        climbed = (ramp_from_rps + rate_rps) / 2 * ramp_over_s
    for done in share.items(_sums(kind, seed)):
        if done < climbed:
            assert ramp_from_rps is not None
            due_s = _time_on_ramp(done, ramp_from_rps, rate_rps, ramp_over_s)
        else:
            due_s = ramp_over_s + (done - climbed) / rate_rps if climbed else done / rate_rps
        yield int(min(due_s, _NEVER_S) * 1e9)


def _sums(kind: str, seed: str) -> Iterator[float]:
    """Yield 0, 1, 2 and so on, or the sums of exponential gaps of mean 1."""
    if kind == "constant":
        return map(float, count())
    draw = random.Random(seed).expovariate
    return accumulate(draw(1.0) for _ in count())


def _time_on_ramp(done: float, start: float, end: float, over_s: float) -> float:
    """Return t with start*t + (end - start)*t^2/(2*over) = done, written so that equal rates divide by nothing."""
    slope = (end - start) / over_s
    return 2 * done / (start + math.sqrt(max(start * start + 2 * slope * done, 0.0)) + math.ulp(0.0))
