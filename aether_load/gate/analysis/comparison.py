"""Compare candidate and base by one metric: a ratio with its interval, and one sentence."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import msgspec

from aether_load.analysis.statistics.distribution import rounded
from aether_load.analysis.statistics.paired import PairedTest, paired_test
from aether_load.gate.analysis.pairs import GatePair
from aether_load.gate.analysis.value import Ends
from aether_load.gate.analysis.window import GateWindow
from aether_load.scenario.gate_plan import FEWEST_PAIRS, GateMetric, GatePlan

_LEAST_MS = 0.001
"""The resolution of latencies; a figure that may be 0 is taken for this."""


class GateComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The candidate beside the base by one metric, over the pairs that have it on both sides.

    Medians are of the windows' figures, in the metric's unit; ratios are candidate over base, with the 95 % interval of
    the median. For a metric that is better when lower, a ratio above 1 is a loss. In `test` the
    ratios are turned so that above 1 is better. In `stalled_windows_total` windows the sender may have added to the
    figure. The test is then made with both ends of each figure: it decides only what both ends decide, its interval
    covers both, and its other numbers are those of the end that is against the decision. What could not be measured is
    None, and `reason` says why.
    """

    metric: str
    better: Literal["higher", "lower"]
    base_median: float | None
    candidate_median: float | None
    ratio_median: float | None
    ratio_low: float | None
    ratio_high: float | None
    test: PairedTest
    sentence: str
    reason: str | None
    stalled_windows_total: int = 0


def compare_sides(metric: GateMetric, pairs: Sequence[GatePair], plan: GatePlan) -> GateComparison:
    """Return the comparison by one metric over the pairs that are used."""
    both = _both_ends(metric, pairs)
    sign = _sign(metric)
    stalled = sum(least < most for pair in both for least, most in pair)
    test = _test(metric, both, plan)
    reason = None
    if len(both) < FEWEST_PAIRS:
        without = len(pairs) - len(both)
        absent = f"; in {without} more {metric.text} was 0 or not measured" if without else ""
        reason = f"{len(both)} pairs can be used{absent}; {FEWEST_PAIRS} are needed"
    ends = sorted(_turned(end, sign) for end in (test.goodness_low, test.goodness_high) if end is not None)
    middle = None if test.goodness_median is None else rounded(_turned(test.goodness_median, sign))
    return GateComparison(
        metric=metric.text,
        better=metric.better,
        base_median=_median([most for (_, most), _ in both]),
        candidate_median=_median([most for _, (_, most) in both]),
        ratio_median=middle,
        ratio_low=rounded(ends[0]) if ends else None,
        ratio_high=rounded(ends[1]) if ends else None,
        test=test,
        sentence=_sentence(metric, test, plan, middle, ends, reason, stalled),
        reason=reason,
        stalled_windows_total=stalled,
    )


def log_ratios(metric: GateMetric, pairs: Sequence[GatePair]) -> list[float]:
    """Return the natural logarithms of candidate over base, turned so that above 0 is better, of the complete pairs."""
    return _log_ratios(metric, [((base, base), (most, most)) for (_, base), (_, most) in _both_ends(metric, pairs)])


def _test(metric: GateMetric, both: Sequence[tuple[Ends, Ends]], plan: GatePlan) -> PairedTest:
    """Test the pairs, with the ends of their figures that are the worst and the best for the candidate."""
    worst = paired_test(_log_ratios(metric, both), margin=plan.margin, confidence=plan.confidence)
    if all(least == most for pair in both for least, most in pair):
        return worst
    turned = [(base[::-1], candidate[::-1]) for base, candidate in both]
    best = paired_test(_log_ratios(metric, turned), margin=plan.margin, confidence=plan.confidence)
    deciding = worst
    if best.finding == "regression":
        deciding = best
    elif worst.finding == "regression":
        deciding = msgspec.structs.replace(worst, finding="inconclusive")
    return msgspec.structs.replace(deciding, goodness_low=worst.goodness_low, goodness_high=best.goodness_high)


def _log_ratios(metric: GateMetric, both: Sequence[tuple[Ends, Ends]]) -> list[float]:
    """Return the logarithms with the worst ends for the candidate: its largest latency, beside the base's least."""
    sign = _sign(metric)
    return [sign * math.log(candidate[sign < 0] / base[sign > 0]) for base, candidate in both]


def _both_ends(metric: GateMetric, pairs: Sequence[GatePair]) -> list[tuple[Ends, Ends]]:
    """Return base and candidate of each pair that has the metric above 0 on both sides: a ratio takes that."""
    return [
        (base, candidate)
        for pair in pairs
        if pair.base is not None
        and pair.candidate is not None
        and (base := _ends(pair.base, metric.text))
        and (candidate := _ends(pair.candidate, metric.text))
    ]


def _ends(window: GateWindow, name: str) -> Ends | None:
    """Return the least and the most that a figure may be, None for none and for 0."""
    if name in window.stalled:
        least, most = window.stalled[name]
        return max(least, _LEAST_MS), most
    value = window.values[name]
    return (value, value) if value else None


def _sign(metric: GateMetric) -> int:
    return 1 if metric.better == "higher" else -1


def _turned(ratio: float, sign: int) -> float:
    return ratio if sign > 0 else 1 / ratio


def _median(values: Sequence[float]) -> float | None:
    return rounded(statistics.median(values)) if values else None


def _sentence(
    metric: GateMetric,
    test: PairedTest,
    plan: GatePlan,
    ratio: float | None,
    ends: Sequence[float],
    reason: str | None,
    stalled: int,
) -> str:
    if reason is not None or ratio is None or test.goodness_median is None or test.p_value is None:
        return f"{metric.text}: not decided: {reason}"
    seen = f"a loss of {test.smallest_loss_seen:.1%} would have been seen"
    found = f"candidate / base {ratio:.3f} [{ends[0]:.3f}, {ends[1]:.3f}] over {test.pairs_total} pairs"
    if test.finding == "regression":
        loss = f"a loss of {1 - test.goodness_median:.1%}, beyond the margin of {plan.margin:.1%}"
        return f"{metric.text}: {loss}: {found}, p {test.p_value:.2g}"
    if test.finding == "inconclusive" and stalled:
        return (
            f"{metric.text}: not decided (sender_stalled): candidate / base lies in [{ends[0]:.3f}, {ends[1]:.3f}] "
            f"over {test.pairs_total} pairs, because the sender may have read answers late in {stalled} windows"
        )
    if test.finding == "inconclusive":
        return (
            f"{metric.text}: not decided: {found} leaves room for a loss of {2 * plan.margin:.0%}; {seen}; more pairs "
            "or longer windows decide it"
        )
    return f"{metric.text}: no loss of {2 * plan.margin:.0%} or more: {found}; {seen}"
