"""The search for the largest load that holds: doubling, then bisection, then once more to confirm."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Literal

import msgspec

from aether_load.scenario.stage import SearchPlan
from aether_load.scenario.threshold import parse_threshold

End = Literal["found", "most_held", "nothing_held", "undecided", "not_confirmed", "out_of_time", "stopped"]
Purpose = Literal["up", "down", "between", "confirm", "again"]
FIRM_BEYOND = 10
CONFIRMATIONS = 3
_FEWEST_REQUESTS = 100
_SMALLEST_SHARE = 1 / 64


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A load to try, for how long, and as what."""

    load: float
    duration_s: float
    purpose: Purpose


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe showed: whether every condition held (None: not decided), which did not, and the rate reached.

    With `more_decides` a condition was undecided for a want of requests, not of anything to judge it by.
    """

    holds: bool | None
    more_decides: bool = True
    against: tuple[str, ...] = ()
    throughput_rps: float | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A search's result; loads are users or requests a second, None where none was found."""

    end: End
    largest_held: float | None
    smallest_not_held: float | None
    against: tuple[str, ...]


def requests_needed(slo: tuple[str, ...]) -> int:
    """Return how many requests make every condition decidable: ten beyond a percentile, a share's upper bound.

    A p(q) has ten samples beyond it from 10 / (1 - q) on (measurement, section 3); a share limit v is cleared by
    no failure at all from about 3.84 (1 - v) / v requests on (Wilson's upper bound at zero).
    """
    needed = _FEWEST_REQUESTS
    for text in slo:
        condition = parse_threshold(text)
        if condition.quantile is not None:
            needed = max(needed, math.ceil(FIRM_BEYOND / (1 - condition.quantile)))
        elif condition.metric.endswith("_rate") and 0 < condition.value < 1:
            needed = max(needed, math.ceil(3.8415 * (1 - condition.value) / condition.value) + 1)
    return needed


class Search:
    """Asks for one probe after the other; drive it with `probes`, a generator that is sent each judgement."""

    def __init__(self, plan: SearchPlan) -> None:
        self._plan = plan
        self._whole = plan.plan.kind == "users"
        self._needed = requests_needed(plan.plan.slo)
        self._rate_per_load: float | None = 1.0 if not self._whole else None
        self._against: tuple[str, ...] = ()
        self._held: list[float] = []
        self._not_held: float | None = None
        self._any_undecided = False

    def result(self, end: End) -> Found:
        """Return what is known by now."""
        return Found(
            end=end,
            largest_held=self._held[-1] if self._held else None,
            smallest_not_held=self._not_held,
            against=self._against if self._not_held is not None or end == "undecided" else (),
        )

    def duration_s(self, load: float) -> float:
        """Return how long a probe of `load` lasts, so that its percentiles can be decided, within its bounds."""
        plan = self._plan.plan
        rate = load * self._rate_per_load if self._rate_per_load else 0.0
        wanted = self._needed / rate if rate else plan.shortest_probe
        return float(min(plan.longest_probe, plan.time_limit, max(plan.shortest_probe, wanted)))

    def probes(self) -> Generator[Probe, Judgement, Found]:
        """Yield probes until the largest load that holds is known; return it."""
        yield from self._climb()
        if not self._held and not self._any_undecided:
            yield from self._descend()
        if not self._held:
            return self.result("undecided" if self._any_undecided else "nothing_held")
        yield from self._bisect()
        return (yield from self._confirm())

    def _climb(self) -> Generator[Probe, Judgement, None]:
        """Double the load until it is too much.

        As long as none held, one that is not decided is passed: a larger load brings more requests to decide on, and
        what it holds the smaller ones are taken to hold too.
        """
        load = self._plan.start
        while (yield from self._try(load, "up")) is not False and load < self._plan.max_load:
            load = min(load * 2, self._plan.max_load)

    def _descend(self) -> Generator[Probe, Judgement, None]:
        load = self._plan.start
        floor = 1.0 if self._whole else self._plan.start * _SMALLEST_SHARE
        while load > floor:
            load = max(floor, math.floor(load / 2) if self._whole else load / 2)
            if (yield from self._try(load, "down")):
                return

    def _bisect(self) -> Generator[Probe, Judgement, None]:
        while (load := self._between()) is not None:
            yield from self._try(load, "between")

    def _between(self) -> float | None:
        """Return a load between the largest that held and the smallest that did not, or None when they are close."""
        held, broken = self._held[-1], self._not_held
        if broken is None or broken / held <= 1 + self._plan.plan.tolerance:
            return None
        middle = math.sqrt(held * broken)
        if not self._whole:
            return float(f"{middle:.3g}") if held < float(f"{middle:.3g}") < broken else None
        middle = float(round(middle))
        if not held < middle < broken:
            middle = held + 1
        return middle if middle < broken else None

    def _confirm(self) -> Generator[Probe, Judgement, Found]:
        """Try the largest load that held once more, and the next smaller one when it does not hold again."""
        for _ in range(CONFIRMATIONS):
            if (yield from self._try(self._held[-1], "confirm")):
                return self.result("most_held" if self._not_held is None else "found")
            if not self._held:
                break
        return self.result("not_confirmed")

    def _try(
        self, load: float, purpose: Literal["up", "down", "between", "confirm"]
    ) -> Generator[Probe, Judgement, bool | None]:
        """Try a load, a second time and longer when the first did not decide; return whether it held.

        What stays undecided counts as not held; None where it is passed on the way up.
        """
        duration = self.duration_s(load)
        if purpose == "confirm":
            duration = min(2 * duration, float(self._plan.plan.longest_probe))
        judgement = yield Probe(load=load, duration_s=duration, purpose=purpose)
        if judgement.holds is None:
            self._note(load, judgement)
            longer = min(2 * self.duration_s(load), float(self._plan.plan.longest_probe))
            judgement = yield Probe(load=load, duration_s=longer, purpose="again")
        self._note(load, judgement)
        if judgement.holds:
            if load not in self._held:
                self._held = sorted([*self._held, load])
            return True
        if judgement.holds is None:
            self._any_undecided = True
            if purpose == "up" and not self._held and judgement.more_decides:
                self._against = self._against or judgement.against
                return None
        self._held = [held for held in self._held if held < load]
        if self._not_held is None or load <= self._not_held:
            self._not_held = load
            self._against = judgement.against
        return False

    def _note(self, load: float, judgement: Judgement) -> None:
        if self._whole and judgement.throughput_rps:
            self._rate_per_load = judgement.throughput_rps / load
