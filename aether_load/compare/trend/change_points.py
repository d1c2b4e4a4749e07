"""Find where the level of a history changed, and by how much."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aether_load.errors import UsageError

FEWEST_RUNS = 10
"""A history of fewer runs is not searched."""
FEWEST_SINCE = 3
"""Runs that each side of a change has at least."""
ALPHA = 3e-4
"""A change is one whose p-value is below it.

It is that small because every place of the history is tried. `tests/trend/test_synthetic_histories.py` shows what it
comes to.
"""
_CANDIDATE_PENALTY = 10.0
_FULL_WEIGHT = 10
_HALF = 0.025


class Change(NamedTuple):
    """A change of level before the value at `place`, and how large it is.

    `ratio` is the level after it over the one before it, with its 95 % interval, where all values of the history are
    positive; else it is None, and `difference` alone has an interval. `p` is the two-sided p-value of equal levels on
    both sides, times (10 / n)² where the shorter side has n < 10 runs: there are more short pieces to be misled by.
    """

    place: int
    before: float
    after: float
    ratio: tuple[float, float, float] | None
    difference: tuple[float, float, float]
    p: float


def find_changes(values: NDArray[np.float64], alpha: float = ALPHA) -> list[Change]:
    """Return the changes of level in a history, oldest first; raises UsageError where ruptures is not installed.

    Candidates are the best segmentation under squared error with a penalty (PELT: Killick, Fearnhead and Eckley 2012,
    JASA 107), of the logarithms where all values are positive, since noise grows with the level. Each candidate is held
    against its neighbours by a t-test whose variance is of all segments; the weakest is dropped until all have a
    p-value below `alpha`.
    """
    if len(values) < FEWEST_RUNS:
        return []
    has_ratio = bool((values > 0).all())
    scaled = np.log(values) if has_ratio else values
    edges = _confirmed(scaled, _candidates(scaled), alpha)
    return [_change(scaled, edges, at, has_ratio=has_ratio) for at in range(1, len(edges) - 1)]


def _candidates(values: NDArray[np.float64]) -> list[int]:
    """Return the edges of the segments, 0 and the length among them."""
    try:
        import ruptures  # noqa: PLC0415 -- of the extra `trend`
    except ImportError:
        raise UsageError(
            "Change points are found by ruptures, which is not installed here: pip install 'aether-load[trend]'."
        ) from None
    # Differences of neighbours tell the noise, whatever steps there are.
    noise = float(np.sqrt(np.mean(np.square(np.diff(values))) / 2))
    if noise == 0:
        return [0, len(values)]
    search = ruptures.KernelCPD(kernel="linear", min_size=FEWEST_SINCE)
    ends = search.fit((values / noise).reshape(-1, 1)).predict(pen=_CANDIDATE_PENALTY)
    return [0, *map(int, ends)]


def _confirmed(values: NDArray[np.float64], edges: list[int], alpha: float) -> list[int]:
    """Return the edges without those whose levels are not told apart."""
    while len(edges) > 2:
        p_values = [_compare(values, edges, at)[2] for at in range(1, len(edges) - 1)]
        weakest = int(np.argmax(p_values))
        if p_values[weakest] < alpha:
            break
        edges = [*edges[: weakest + 1], *edges[weakest + 2 :]]
    return edges


def _compare(values: NDArray[np.float64], edges: list[int], at: int) -> tuple[float, float, float]:
    """Return the difference of the levels on both sides of an edge, half its 95 % interval, and its p-value."""
    segments = np.split(values, edges[1:-1])
    before, after = segments[at - 1], segments[at]
    free = len(values) - len(segments)
    variance = sum(float(np.square(segment - segment.mean()).sum()) for segment in segments) / free
    error = float(np.sqrt(variance * (1 / len(before) + 1 / len(after))))
    difference = float(after.mean() - before.mean())
    if error == 0:
        return difference, 0.0, float(difference == 0)
    from scipy.special import stdtr, stdtrit  # noqa: PLC0415 -- of the extra `trend`: ruptures needs it too

    # Of Student's distribution: its upper quantile, and the chance of a larger value on either side.
    half, p = -float(stdtrit(free, _HALF)) * error, 2 * float(stdtr(free, -abs(difference) / error))
    return difference, half, min(1.0, p * max(1.0, _FULL_WEIGHT / min(len(before), len(after))) ** 2)


def _change(scaled: NDArray[np.float64], edges: list[int], at: int, *, has_ratio: bool) -> Change:
    difference, half, p = _compare(scaled, edges, at)
    before, after = (float(scaled[edges[side] : edges[side + 1]].mean()) for side in (at - 1, at))
    bounds = (difference, difference - half, difference + half)
    if not has_ratio:
        return Change(edges[at], before, after, None, bounds, p)
    before, after = float(np.exp(before)), float(np.exp(after))
    ratio, low, high = (float(np.exp(bound)) for bound in bounds)
    return Change(
        edges[at],
        before,
        after,
        (ratio, low, high),
        (after - before, before * (low - 1), before * (high - 1)),
        p,
    )
