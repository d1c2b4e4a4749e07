"""When the requests of an open load are due: drawn beforehand, whatever the server does later."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from aether_load.schedule.shard import WHOLE, Share

_CHUNK = 4096
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
    draw = np.random.default_rng([*seed.encode()])
    climbed = 0.0
    if ramp_from_rps is not None and ramp_over_s > 0:
        climbed = (ramp_from_rps + rate_rps) / 2 * ramp_over_s
    done = 0.0
    first = share.index
    while True:
        if kind == "poisson":
            sums = done + np.cumsum(draw.exponential(size=_CHUNK))
            done = float(sums[-1])
        else:
            sums = done + np.arange(_CHUNK, dtype=np.float64)
            done += _CHUNK
        seconds = ramp_over_s + (sums - climbed) / rate_rps if climbed else sums / rate_rps
        if climbed and sums[0] < climbed:
            assert ramp_from_rps is not None
            on_ramp = sums < climbed
            seconds[on_ramp] = _time_on_ramp(sums[on_ramp], ramp_from_rps, rate_rps, ramp_over_s)
        yield from (np.minimum(seconds[first :: share.of], _NEVER_S) * 1e9).astype(np.int64).tolist()
        first = (first - _CHUNK) % share.of


def _time_on_ramp(sums: np.ndarray, start: float, end: float, over_s: float) -> np.ndarray:
    """Return t with start·t + (end - start)·t²/(2·over) = sums, written so that equal rates divide by nothing."""
    slope = (end - start) / over_s
    return 2 * sums / (start + np.sqrt(np.maximum(start * start + 2 * slope * sums, 0.0)) + math.ulp(0.0))
