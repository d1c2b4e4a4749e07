"""Measure what a claim is about: a value with its interval, and what would be possible."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import msgspec

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.phase.searches import SearchReport
from aether_load.analysis.statistics.distribution import FEWEST_VALUES, Percentile, median_of, rounded, wilson
from aether_load.claims.claim import Claim, Quantity
from aether_load.claims.figures import Figures, PhaseFigures
from aether_load.rundata.manifest import ProbeRecord

UNITS: Mapping[Quantity, str] = {
    "latency_p50_ms": "ms", "latency_p95_ms": "ms", "latency_p99_ms": "ms", "latency_reduction": "share",
    "speedup": "x", "hit_rate": "share", "tokens_saved": "tokens", "capacity_rps": "requests/s",
    "success_rate": "share",
}  # fmt: skip

_PROBES_THAT_AGREE = 3


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured of a claim; `reason` says why there is no value, or why it has no interval.

    `value` with `low` and `high` is a median over repetitions with its 95 % interval, a share with its Wilson interval,
    or the largest load that held, between which and the smallest that did not the capacity lies; of a search that was
    not brought to its end the bounds are loads on which three probes agree. Without `high` there
    is no upper bound, without both no interval. `possible` is the most that the DAG's dependencies or the repetitions
    among the requests allow, and `of_possible` the measured part of it. `llm_ms` is the time that all nodes of a
    request took. `mock` tells whether the mock provider answered.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = ""
    repetitions_total: int | None = None
    possible: float | None = None
    of_possible: float | None = None
    llm_ms: float | None = None
    mock: bool = False
    reason: str | None = None


def measure(claim: Claim, figures: Figures) -> Measured:
    """Return what was measured of a claim."""
    if claim.quantity is None or claim.of is None:
        return Measured(reason="nothing is measured of it")
    if claim.quantity == "capacity_rps":
        return msgspec.structs.replace(_capacity(figures.search(claim.of)), unit=UNITS["capacity_rps"])
    own = figures.phase(claim.of, failures=claim.quantity == "success_rate")
    base = own if claim.against is None else figures.phase(claim.against)
    return measure_phase(claim.quantity, own, base)


def measure_phase(quantity: Quantity, own: PhaseFigures, base: PhaseFigures) -> Measured:
    """Return what was measured of a phase; `base` is the one that it is compared with, if it is compared."""
    if (reason := own.reason or base.reason) is not None:
        return Measured(reason=reason, unit=UNITS[quantity])
    measured = _MEASURES[quantity](own, base)
    return msgspec.structs.replace(measured, unit=UNITS[quantity], mock=own.mock, llm_ms=_llm_ms(own))


def _latency(name: str) -> _Measure:
    def measured(own: PhaseFigures, _base: PhaseFigures) -> Measured:
        points = [_point(phase, name) for phase in own.phases]
        return _median([(point.at_least, point.at_most, point.at_most) for point in points])

    return measured


def _compared(compare: Callable[[float, float], float], possible: Callable[[float], float]) -> _Measure:
    """Compare the p50 of two phases, repetition by repetition; `possible` is of the speed-up that the DAG allows."""

    def measured(own: PhaseFigures, base: PhaseFigures) -> Measured:
        of_base = {phase.repeat: _point(phase, "p50") for phase in base.phases}
        pairs = [(of_base[phase.repeat], _point(phase, "p50")) for phase in own.phases if phase.repeat in of_base]
        if not pairs:
            return Measured(reason="no repetition has both phases")
        found = _median(
            [
                (
                    compare(slow.at_least, fast.at_most),
                    compare(slow.at_most, fast.at_least),
                    compare(slow.at_most, fast.at_most),
                )
                for slow, fast in pairs
                if slow.at_least > 0 and fast.at_least > 0
            ]
        )
        bounds = [phase.decomposition.parallel_speedup_bound for phase in own.phases]
        bound = median_of([value for value in bounds if value]).value
        if bound is None or own.phases[0].cache == "warm":
            return found
        return _beside(found, possible(bound))

    return measured


def _beside(measured: Measured, most: float | None) -> Measured:
    """Return what was measured beside the most that is possible, if that is known."""
    if measured.value is None or most is None:
        return measured
    share = rounded(measured.value / most) if most > 0 else None
    return msgspec.structs.replace(measured, possible=rounded(most), of_possible=share)


def _hit_rate(own: PhaseFigures, _base: PhaseFigures) -> Measured:
    """Return the share of nodes that came from the cache, of one repetition or all of them together."""
    cached = sum(phase.all.cached_nodes_total or 0 for phase in own.phases)
    share = wilson(cached, cached + sum(phase.all.uncached_nodes_total or 0 for phase in own.phases))
    if share is None:
        return Measured(reason=own.phases[0].all.reasons.get("cached_nodes_total", "no node was answered"))
    return _beside(Measured(value=share.value, low=share.low, high=share.high), possible_hit_rate(own))


def possible_hit_rate(found: PhaseFigures) -> float | None:
    """Return the share of requests whose prompt had been sent before in the phase."""
    requests = found.phases[0].all.requests_total
    if found.distinct_prompts is None or requests == 0:
        return None
    return rounded(1 - found.distinct_prompts / requests)


def _tokens_saved(own: PhaseFigures, base: PhaseFigures) -> Measured:
    """Return the tokens that a phase would have cost without a cache, less those that it did.

    What a request costs without a cache is the mean of the phase that it is compared with.
    """
    tokens, requests = base.phases[0].all.tokens_total, base.phases[0].all.ok_total
    if not tokens or not requests or own.phases[0].all.tokens_total is None:
        return Measured(reason="no answer told its tokens")
    saved = own.phases[0].all.ok_total * tokens / requests - own.phases[0].all.tokens_total
    return Measured(value=rounded(saved), reason="it was counted once, so that it has no interval")


def _capacity(search: SearchReport | str) -> Measured:
    if isinstance(search, str):
        return Measured(reason=search)
    held, broken = search.largest_held, search.smallest_not_held
    if search.end == "client_limited":
        return Measured(value=held, low=held, reason="the client is the limit")
    if not search.confirmed and search.end != "nothing_held":
        low, high = _bounds_of_several(search.probes)
        return Measured(value=held, low=low, high=high, reason=search.sentence)
    return Measured(value=held or 0.0, low=held or 0.0, high=broken)


def _bounds_of_several(probes: Sequence[ProbeRecord]) -> tuple[float | None, float | None]:
    """Return between which loads a capacity lies, each side by several probes that no other one contradicts.

    A load that holds speaks for every smaller one, and one that the server does not hold against every larger one.
    """
    held = [probe.load for probe in probes if probe.holds]
    broken = [probe.load for probe in probes if probe.holds is False and probe.limited_by == "server"]
    most, least = max(held, default=0.0), min(broken, default=math.inf)
    sure = sorted((load for load in held if load < least), reverse=True)
    too_much = sorted(load for load in broken if load > most)
    agree = _PROBES_THAT_AGREE
    high = too_much[agree - 1] if len(too_much) >= agree else None
    # Where nothing held for certain, the capacity may be anything from zero on.
    low = sure[agree - 1] if len(sure) >= agree else None if high is None else 0.0
    return low, high


def _success_rate(own: PhaseFigures, _base: PhaseFigures) -> Measured:
    rows = [phase.all for phase in own.phases]
    share = wilson(sum(row.ok_total for row in rows), sum(row.requests_total for row in rows))
    if share is None:
        return Measured(reason="no request was due")
    return Measured(value=share.value, low=share.low, high=share.high)


def _median(ends: Sequence[tuple[float, float, float]]) -> Measured:
    """Return the median over repetitions, each of which is a low, a high, and a value between them."""
    low, high, middle = (median_of([end[place] for end in ends]) for place in range(3))
    count = len(ends)
    reason = f"{count} complete repetition{'s' * (count != 1)} bound nothing; {FEWEST_VALUES} are needed"
    return Measured(
        value=middle.value,
        low=low.low,
        high=high.high,
        repetitions_total=count,
        reason=reason if middle.low is None else None,
    )


def _llm_ms(found: PhaseFigures) -> float | None:
    """Return the mean time that all nodes of a request took together, the mean of all repetitions."""
    times = [
        sum(node.node_time_ms.mean for node in phase.nodes if node.node_time_ms is not None) for phase in found.phases
    ]
    return rounded(fmean(times)) if any(times) else None


def _point(phase: PhaseReport, name: str) -> Percentile:
    latency = phase.all.response_latency_ms
    assert latency is not None
    point: Percentile = getattr(latency, name)
    return point


_Measure = Callable[[PhaseFigures, PhaseFigures], Measured]
_MEASURES: Mapping[Quantity, _Measure] = {
    "latency_p50_ms": _latency("p50"),
    "latency_p95_ms": _latency("p95"),
    "latency_p99_ms": _latency("p99"),
    "latency_reduction": _compared(lambda base, own: 1 - own / base, lambda bound: 1 - 1 / bound),
    "speedup": _compared(lambda base, own: base / own, lambda bound: bound),
    "hit_rate": _hit_rate,
    "tokens_saved": _tokens_saved,
    "success_rate": _success_rate,
}
