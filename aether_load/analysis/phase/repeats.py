"""Compare phases that were repeated in turns, pair by pair, so that a drift of the machine is no difference."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import msgspec

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.statistics.distribution import FEWEST_VALUES, median_of

_METRICS = ("ok_throughput_rps", "response_latency_p50_ms", "response_latency_p99_ms")


class RepeatComparison(msgspec.Struct, frozen=True, kw_only=True):
    """`other` over `base`, a ratio of one metric for each repetition; the median with its 95 % interval.

    The interval is that of the median's order statistics, which needs six pairs: below that `ratio_low` and
    `ratio_high` are None, and `reason` says so.
    """

    base: str
    other: str
    metric: str
    pairs_total: int
    ratio_median: float | None
    ratio_low: float | None
    ratio_high: float | None
    reason: str | None


def compare_repeats(phases: Sequence[PhaseReport]) -> tuple[RepeatComparison, ...]:
    """Return a comparison of each two phases that were repeated, a metric each; nothing where none were."""
    repeated: dict[str, dict[int, PhaseReport]] = {}
    for phase in phases:
        if phase.repeat is not None:
            repeated.setdefault(phase.name.rsplit("#", 1)[0], {})[phase.repeat] = phase
    return tuple(
        _compare(base, other, metric, repeated[base], repeated[other])
        for base, other in combinations(repeated, 2)
        for metric in _METRICS
    )


def _compare(
    base: str, other: str, metric: str, of_base: dict[int, PhaseReport], of_other: dict[int, PhaseReport]
) -> RepeatComparison:
    ratios = []
    there = sorted(of_base.keys() & of_other.keys())
    for repeat in there:
        below, above = _value(of_base[repeat], metric), _value(of_other[repeat], metric)
        if below and above:
            ratios.append(above / below)
    median = median_of(ratios)
    reason = None
    if not ratios:
        reason = "no repetition has a figure on both sides"
    elif median.low is None or median.high is None:
        reason = f"{len(ratios)} pairs bound nothing; {FEWEST_VALUES} are needed (repeat = {FEWEST_VALUES})"
        if len(there) >= FEWEST_VALUES:
            reason = f"{len(ratios)} of {len(there)} pairs have the figure on both sides; {FEWEST_VALUES} are needed"
    return RepeatComparison(
        base=base,
        other=other,
        metric=metric,
        pairs_total=len(ratios),
        ratio_median=median.value,
        ratio_low=median.low,
        ratio_high=median.high,
        reason=reason,
    )


def _value(phase: PhaseReport, metric: str) -> float | None:
    if metric == "ok_throughput_rps":
        return phase.all.ok_throughput_rps
    latency = phase.all.response_latency_ms
    if latency is None:
        return None
    return latency.p50.value if metric == "response_latency_p50_ms" else latency.p99.value
