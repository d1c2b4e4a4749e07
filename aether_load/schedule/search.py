"""Search for the largest load under which an SLO holds: doubling, bisection, and a second probe of both ends."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Literal

import msgspec

from aether_load.scenario.stage import SearchPlan
from aether_load.scenario.threshold import Threshold
from aether_load.schedule.probe import Judgement, Probe, Purpose
from aether_load.schedule.tried_load import TriedLoad

End = Literal[
    "found", "max_load_held", "nothing_held", "undecided", "client_limited", "unsteady", "out_of_time", "stopped"
]
FIRM_BEYOND = 10
MAX_FLAPS = 1
"""Loads far from the result that held in one probe and broke in another; with more, the runtime is not steady."""
MAX_PROBES = 100
_FEWEST_REQUESTS = 100
_SMALLEST_SHARE = 1 / 64
_ARRIVALS_SPREAD = 10.0
_FINEST = 0.25


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a search; loads are users or requests a second, None where there is none.

    `against` are the reasons why `smallest_not_held` did not hold, or why nothing was decided.
    """

    end: End
    largest_held: float | None
    smallest_not_held: float | None
    against: tuple[str, ...]


def requests_needed(slo: tuple[Threshold, ...], *, tolerance: float | None = None) -> int:
    """Return how many requests decide every condition: ten beyond a percentile, a share's upper bound.

    A p(q) has ten samples beyond it from 10 / (1 - q) on (measurement, section 3); a share limit v holds without
    any failure from about 3.84 (1 - v) / v requests on (Wilson's upper bound at zero). Of n Poisson arrivals the rate
    that was really sent is off by 1 / sqrt(n): with a `tolerance`, n keeps that below a third of it.
    """
    needed = _FEWEST_REQUESTS
    if tolerance is not None:
        needed = max(needed, math.ceil(round(_ARRIVALS_SPREAD / tolerance**2, 6)))
    for condition in slo:
        if condition.quantile is not None:
            needed = max(needed, math.ceil(FIRM_BEYOND / (1 - condition.quantile)))
        elif condition.metric.endswith("_rate") and 0 < condition.value < 1:
            needed = max(needed, math.ceil(3.8415 * (1 - condition.value) / condition.value) + 1)
    return needed


class Search:
    """Yields one probe after the other; drive it with `probes`, a generator that is sent each judgement.

    A single probe can be wrong: a stall breaks the SLO under a small load, and a short probe may end before a queue
    has grown. So both ends of the result, the largest load that held and the smallest that did not, are probed again
    until three more probes say so than say the opposite. When that refutes an end, the search bisects between the
    loads that are left.
    """

    def __init__(self, plan: SearchPlan) -> None:
        phase = plan.plan
        self._plan = plan
        self._whole = phase.kind == "users"
        is_random = not self._whole and (phase.arrivals or "poisson") == "poisson"
        self.requests_needed = requests_needed(phase.slo, tolerance=phase.tolerance if is_random else None)
        self._rate_per_load: float | None = 1.0 if not self._whole else None
        self._tried: dict[float, TriedLoad] = {}
        self._probes_total = 0

    def result(self, end: End) -> Found:
        """Return what is known by now; a search that ran out of time may have found its load already."""
        held, undecided, broken = self._ends()
        if end == "out_of_time" and held and broken and held.is_settled and broken.is_settled:
            by_now = self._end(held, undecided, broken)
            end = end if by_now == "undecided" else by_now
        against = broken.against if broken else ()
        if not against and undecided and end != "max_load_held":
            against = (*undecided[-1].against, *self._too_few_requests(undecided[-1]))
        return Found(
            end=end,
            largest_held=held.load if held else None,
            smallest_not_held=broken.load if broken else None,
            against=against,
        )

    def _too_few_requests(self, undecided: TriedLoad) -> tuple[str, ...]:
        """Return how many requests the SLO needs, where the longest probe of an undecided load sends fewer."""
        phase = self._plan.plan
        needed = requests_needed(phase.slo)
        sent = undecided.load * (self._rate_per_load or 0.0) * phase.longest_probe
        if not undecided.more_decides or not 0 < sent < needed:
            return ()
        return (
            f"the SLO needs {needed} requests, and longest_probe = {phase.longest_probe:g} s sends {math.floor(sent)}",
        )

    def duration_s(self, load: float) -> float:
        """Return how long a probe of `load` lasts, so that its percentiles can be decided, within its bounds."""
        plan = self._plan.plan
        rate = load * self._rate_per_load if self._rate_per_load else 0.0
        wanted = self.requests_needed / rate if rate else plan.shortest_probe
        return float(min(plan.longest_probe, plan.time_limit, max(plan.shortest_probe, wanted)))

    def probes(self) -> Generator[Probe, Judgement, Found]:
        """Yield probes until the largest load that holds is known; return it."""
        while True:
            step = self._next()
            if isinstance(step, str):
                return self.result(step)
            load, purpose = step
            yield from self._try(load, purpose)

    def _try(self, load: float, purpose: Purpose) -> Generator[Probe, Judgement, None]:
        """Probe a load, and once more and longer where that does not decide it."""
        tried = self._tried.setdefault(load, TriedLoad(load))
        longest = float(self._plan.plan.longest_probe)
        duration = self.duration_s(load)
        if purpose == "confirm":
            duration = min(2 * duration, longest)
        judgement = yield Probe(load=load, duration_s=duration, purpose=purpose)
        self._add(tried, judgement)
        if judgement.holds is None and not tried.is_settled:
            again = yield Probe(load=load, duration_s=min(2 * self.duration_s(load), longest), purpose="repeat")
            self._add(tried, again)

    def _add(self, tried: TriedLoad, judgement: Judgement) -> None:
        self._probes_total += 1
        tried.add(judgement)
        if self._whole and judgement.throughput_rps:
            self._rate_per_load = judgement.throughput_rps / tried.load

    def _next(self) -> tuple[float, Purpose] | End:
        """Return the next load to probe and why, or how the search ends."""
        if self._probes_total >= MAX_PROBES:
            return "unsteady"
        for tried in self._tried.values():
            if tried.is_contradicted and tried.state == "undecided" and not tried.is_settled:
                return tried.load, "confirm"
        held, undecided, broken = self._ends()
        if broken is None:
            return self._climb(held)
        if held is None and (step := self._descend()) is not None:
            return step
        if (load := self._between(held, undecided, broken)) is not None:
            return load, "bisect"
        if held is None:
            return "undecided"
        for tried in (held, broken):
            if not tried.is_settled:
                return tried.load, "confirm"
        return self._end(held, undecided, broken)

    def _end(self, held: TriedLoad, undecided: list[TriedLoad], broken: TriedLoad) -> End:
        """Return what follows from two ends that are settled."""
        if not self._is_close_enough(held, undecided, broken):
            return "undecided"
        near = 1 + 2 * self._plan.plan.tolerance
        far = [tried for tried in self._tried.values() if not held.load / near < tried.load < broken.load * near]
        if sum(tried.is_contradicted for tried in far) > MAX_FLAPS:
            return "unsteady"
        return "client_limited" if broken.is_limited_by_client else "found"

    def _ends(self) -> tuple[TriedLoad | None, list[TriedLoad], TriedLoad | None]:
        """Return the largest load that held, the undecided ones above it, and the smallest that broke, above both."""
        ordered = sorted(self._tried.values(), key=lambda tried: tried.load)
        broken = next((tried for tried in ordered if tried.state == "broken"), None)
        below = [tried for tried in ordered if broken is None or tried.load < broken.load]
        held = next((tried for tried in reversed(below) if tried.state == "held"), None)
        undecided = [tried for tried in below if held is None or tried.load > held.load]
        return held, undecided, broken

    def _climb(self, held: TriedLoad | None) -> tuple[float, Purpose] | End:
        """Double the load until it breaks; an undecided one is passed, because a larger load brings more requests."""
        if not self._tried:
            return self._plan.start, "double"
        top = self._tried[max(self._tried)]
        if top.state == "undecided" and not top.more_decides:
            return "undecided"
        if top.load < self._plan.max_load:
            return min(top.load * 2, self._plan.max_load), "double"
        if not top.is_settled:
            return top.load, "confirm"
        return "max_load_held" if held is top else "undecided"

    def _descend(self) -> tuple[float, Purpose] | End | None:
        """Halve the load until it holds, down to one user or a 64th of the rate.

        None where the two smallest loads are undecided: then still smaller ones have too few requests as well.
        """
        lowest, *rest = sorted(self._tried.values(), key=lambda tried: tried.load)
        if lowest.state == "undecided" and rest and rest[0].state == "undecided":
            return None
        floor = 1.0 if self._whole else self._plan.start * _SMALLEST_SHARE
        if lowest.load > floor:
            half = math.floor(lowest.load / 2) if self._whole else lowest.load / 2
            return max(floor, float(half)), "halve"
        if lowest.state == "undecided":
            return None
        return "nothing_held" if lowest.is_settled else (lowest.load, "confirm")

    def _between(self, held: TriedLoad | None, undecided: list[TriedLoad], broken: TriedLoad) -> float | None:
        """Return a load inside the widest gap next to one of the two ends, or None when they are close.

        The gap is brought to half of the tolerance, so that a load that is judged wrong within the other half is
        still within the tolerance.
        """
        loads = [tried.load for tried in (held, *undecided, broken) if tried is not None]
        if held is not None and _gap(held, broken) <= 0.5 * self._plan.plan.tolerance:
            return None
        gaps = [(loads[0], loads[1])] if held is not None else []
        gaps.append((loads[-2], loads[-1]))
        finest = 0.5 if len(loads) == 2 else _FINEST
        wide = sorted(
            (high / low, low, high) for low, high in gaps if high / low > 1 + finest * self._plan.plan.tolerance
        )
        middles = (self._middle(low, high) for _, low, high in reversed(wide))
        return next((middle for middle in middles if middle is not None), None)

    def _is_close_enough(self, held: TriedLoad, undecided: list[TriedLoad], broken: TriedLoad) -> bool:
        """Tell whether the ends are within the tolerance, or enclose one number of users that was not decided."""
        if self._whole and len(undecided) <= 1 and broken.load - held.load == 1 + len(undecided):
            return True
        return _gap(held, broken) <= self._plan.plan.tolerance

    def _middle(self, low: float, high: float) -> float | None:
        """Return the geometric mean of two loads in few digits, or None when nothing lies between them."""
        middle = math.sqrt(low * high)
        if not self._whole:
            digits = (float(f"{middle:.3g}"), float(f"{middle:.4g}"))
            return next((load for load in digits if low < load < high), None)
        middle = float(round(middle))
        if not low < middle < high:
            middle = low + 1
        return middle if middle < high else None


def _gap(held: TriedLoad, broken: TriedLoad) -> float:
    """Return by which share of the largest load that held the smallest that did not is above it."""
    return broken.load / held.load - 1
