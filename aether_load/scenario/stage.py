"""Plan a scenario's phases as stages, each with one load, one window, and a row of its own."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from aether_load.scenario.parts import datasets_of, part_names
from aether_load.scenario.phase import Phase, default_name
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import Names, unnumbered
from aether_load.scenario.validation import first_repeated

DEFAULT_USERS = 8
DEFAULT_TRACE_USERS = 256
FEWEST_OPEN_USERS, MOST_OPEN_USERS = 64, 1000
ANSWER_IN_S = 10.0
FIRST_RATE, MOST_RATE, MOST_CLOSED = 10.0, 20_000.0, 1024.0


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One load from its ramp to its window's end.

    `users` are active in closed load; in open load they are the most that can be in flight. `loads` is the load
    as its phase writes it. A `joined` stage takes over from the one before without a rest, so that what waits
    there waits on. `phase` is the phase's place in the scenario, `repeat` counts from 1 where phases are repeated.
    """

    name: str
    phase: int
    load: Literal["closed", "open"]
    users: int
    rate_rps: float | None = None
    arrivals: Literal["constant", "poisson"] = "poisson"
    spawn_rate: float | None = None
    ramp_from: float | None = None
    ramp_over_s: float = 0.0
    warmup_s: float = 0.0
    duration_s: float | None = None
    requests: int | None = None
    passes: int | None = None
    think_time_s: float = 0.0
    think_time_distribution: Literal["constant", "exponential"] = "constant"
    cache: Literal["keep", "cold", "warm"] = "keep"
    unique_prompts: bool = False
    sequential: bool = False
    trace: bool = False
    joined: bool = False
    shape: str | None = None
    repeat: int | None = None

    @property
    def most_users(self) -> int:
        """Return how many users it needs at most: a ramp down begins with more than it ends with."""
        return max(self.users, int(self.ramp_from or 0)) if self.load == "closed" else self.users

    @property
    def has_ramp(self) -> bool:
        """Tell whether a ramp, a spawn rate or a warm-up comes before its window; a trace begins at once."""
        if self.load == "open":
            return bool(self.ramp_over_s + self.warmup_s) and not self.trace
        return self.spawn_rate is not None or bool(self.ramp_over_s or self.warmup_s)

    @property
    def is_endless(self) -> bool:
        """Tell whether nothing but the user ends it."""
        return not self.trace and self.duration_s is None and self.requests is None and self.passes is None


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A search in place of a stage; its stages follow from what the ones before have shown."""

    name: str
    phase: int
    plan: Phase

    @property
    def start(self) -> float:
        """Return the load that the search begins at."""
        if self.plan.kind == "rate":
            return self.plan.rate if self.plan.rate is not None else min(FIRST_RATE, self.plan.max_load or FIRST_RATE)
        return float(self.plan.users or 1)

    @property
    def max_load(self) -> float:
        """Return the largest load that is tried."""
        return self.plan.max_load or max(self.start, MOST_RATE if self.plan.kind == "rate" else MOST_CLOSED)

    def stage(self, name: str, load: float, duration_s: float) -> Stage:
        """Return the stage that tries `load` for a time."""
        changes: dict[str, Any] = {"duration_s": duration_s, "shape": self.name}
        if self.plan.kind == "rate" and self.plan.max_concurrency is None:
            # The same users for each probe: connections stay open, and no probe is unlike the others.
            changes["users"] = open_users(self.max_load)
        return _stage(self.plan, self.phase, name, load, **changes)


Item = tuple[Stage, ...] | SearchPlan
"""What is driven in one go: stages joined to each other, or a search."""


def open_users(rate_rps: float) -> int:
    """Return how many users serve an open load by default: enough for answers that take ten seconds, within bounds."""
    return int(min(MOST_OPEN_USERS, max(FEWEST_OPEN_USERS, rate_rps * ANSWER_IN_S)))


def plan_items(scenario: Scenario) -> list[Item]:
    """Return the scenario's items in the order in which they are driven, its repetitions included."""
    once = [item for number, phase in enumerate(scenario.phases) for item in _items(phase, number)]
    if scenario.repeat == 1:
        return once
    chance = random.Random(f"{scenario.seed} order")
    items: list[Item] = []
    for repeat in range(scenario.repeat):
        turn = list(once)
        if scenario.order == "abba" and repeat % 2:
            turn.reverse()
        elif scenario.order == "shuffled":
            chance.shuffle(turn)
        items += [_repeated(item, repeat + 1) for item in turn]
    return items


def variants(scenario: Scenario) -> list[Stage]:
    """Return the stages of the scenario, and of each search the one with its largest load."""
    return [
        stage
        for item in plan_items(scenario)
        for stage in ((item.stage("", item.max_load, 1.0),) if isinstance(item, SearchPlan) else item)
    ]


def plan_stages(scenario: Scenario) -> list[Stage]:
    """Return all stages that are known beforehand: those of searches are not."""
    return [stage for item in plan_items(scenario) if not isinstance(item, SearchPlan) for stage in item]


def name_of_two(scenario: Scenario) -> str | None:
    """Return a name that would stand for two things, if any: rows are told apart, and readings found, by names."""
    items = plan_items(scenario)
    names = [name for item in items for name in _names(item)]
    probes = [re.compile(re.escape(item.name) + r"-\d+-.*") for item in items if isinstance(item, SearchPlan)]
    like_a_probe = (name for name in names for probe in probes if probe.fullmatch(name))
    twice = first_repeated(names) or first_repeated(phase.name for phase in scenario.phases)
    return twice or next(like_a_probe, None)


def names_of(scenario: Scenario) -> Names:
    """Return the names that conditions may use in a scenario, with those of repetitions and of a shape's loads."""
    driven = {stage.name for stage in plan_stages(scenario)}
    return Names(
        phases=frozenset({*(phase.name for phase in scenario.phases), *driven, *map(unnumbered, driven)}),
        searches=frozenset(phase.name for phase in scenario.phases if phase.find is not None),
        # The texts of a trace are a dataset of its phase's name, which stands for both.
        datasets=frozenset({*datasets_of(scenario), *scenario.request_names, *part_names(scenario)}),
    )


def _names(item: Item) -> list[str]:
    """Return the names under which an item's samples and readings are kept."""
    if isinstance(item, SearchPlan):
        return [item.name]
    shapes = [item[0].shape] if len(item) > 1 and item[0].shape is not None else []
    return [*shapes, *(stage.name for stage in item)]


def most_users(scenario: Scenario) -> int:
    """Return how many users the scenario needs at most at one time."""
    return max(stage.most_users for stage in variants(scenario))


def _repeated(item: Item, repeat: int) -> Item:
    assert not isinstance(item, SearchPlan)
    return tuple(
        msgspec.structs.replace(
            stage,
            name=f"{stage.name}#{repeat}",
            repeat=repeat,
            # The server is read at rest for each repetition of a shape.
            shape=stage.shape and f"{stage.shape}#{repeat}",
        )
        for stage in item
    )


def _items(phase: Phase, number: int) -> Iterator[Item]:
    name = phase.name or default_name(phase)
    if phase.find is not None:
        yield SearchPlan(name=name, phase=number, plan=phase)
    elif phase.sweep is not None:
        for load in phase.sweep:
            yield (_stage(phase, number, f"{name}-{load:g}", load, shape=name),)
    elif phase.steps is not None:
        stages = (_stage(phase, number, f"{name}-{load:g}", load) for load in phase.steps)
        yield _joined(phase, stages, name)
    elif phase.spike is not None:
        base = float((phase.rate if phase.kind == "rate" else phase.users) or DEFAULT_USERS)
        spike = phase.spike
        parts = (("before", base, spike.before), ("spike", spike.to, spike.duration), ("after", base, spike.after))
        stages = (
            _stage(phase, number, f"{name}-{part}", load, duration_s=float(duration)) for part, load, duration in parts
        )
        yield _joined(phase, stages, name)
    else:
        yield (_stage(phase, number, name, None),)


def _joined(phase: Phase, stages: Iterator[Stage], shape: str) -> tuple[Stage, ...]:
    """Join stages; only the first one empties or fills the cache, and all have the users that the largest needs."""
    whole = list(stages)
    users = max(stage.users for stage in whole)
    joined = []
    for place, stage in enumerate(whole):
        changes: dict[str, object] = {"shape": shape, "joined": place > 0}
        if stage.load == "open":
            changes["users"] = users
        if place > 0:
            changes["cache"] = "keep"
            if phase.spike is not None:
                # A spike that were let warm up would be over before its window opens.
                changes["warmup_s"] = 0.0
        joined.append(msgspec.structs.replace(stage, **changes))
    return tuple(joined)


def _stage(phase: Phase, number: int, name: str, load: float | None, **changes: Any) -> Stage:
    """Return the stage of a phase under one load, which is the phase's own when None, with some keys changed."""
    is_open = phase.kind == "rate"
    ramp = phase.ramp
    if load is None:
        load = phase.rate if is_open else phase.users
    if load is None:
        load = ramp.to if ramp is not None and ramp.to is not None else DEFAULT_USERS
    if phase.trace is not None:
        users, rate = phase.max_concurrency or DEFAULT_TRACE_USERS, None
    elif is_open:
        highest = max(load, ramp.from_) if ramp is not None else load
        users, rate = phase.max_concurrency or open_users(highest), float(load)
    else:
        users, rate = int(load), None
    stage = Stage(
        name=name,
        phase=number,
        load="open" if is_open else "closed",
        users=users,
        rate_rps=rate,
        arrivals=phase.arrivals or "poisson",
        spawn_rate=phase.spawn_rate,
        ramp_from=None if ramp is None else ramp.from_,
        ramp_over_s=0.0 if ramp is None else float(ramp.over),
        warmup_s=float(phase.warmup),
        duration_s=None if phase.duration is None else float(phase.duration),
        requests=phase.requests,
        passes=phase.passes,
        think_time_s=float(phase.think_time),
        think_time_distribution=phase.think_time_distribution,
        cache=phase.cache,
        unique_prompts=phase.unique_prompts,
        sequential=phase.sequential,
        trace=phase.trace is not None,
    )
    return msgspec.structs.replace(stage, **changes)
