"""Write a scenario's plan in words: what would be sent, in which order, and for how long."""

from __future__ import annotations

from collections.abc import Sequence

from aether_load.scenario.parts import PhasePart, parts_of_phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import SearchPlan, Stage, plan_items
from aether_load.scenario.threshold import ThresholdPlan
from aether_load.schedule.search import Search


def plan_text(scenario: Scenario) -> str:
    """Return the plan, a line a stage; a search is told by its rules, because its stages follow from each other."""
    lines = [f"{scenario.name}: {scenario.purpose}".rstrip(": ")]
    told: set[int] = set()
    for item in plan_items(scenario):
        if isinstance(item, SearchPlan):
            lines += _search_lines(item)
        else:
            lines += [f"  {_stage_line(stage)}" for stage in item]
        number = item.phase if isinstance(item, SearchPlan) else item[0].phase
        if number not in told:
            lines += _sent_lines(parts_of_phase(scenario, number))
            told.add(number)
    lines += [f"  threshold {_threshold(plan)}" for plan in scenario.thresholds]
    return "\n".join(lines) + "\n"


def _sent_lines(parts: Sequence[PhasePart]) -> list[str]:
    """Return what a phase sends where that is its own, a line a part."""
    whole = sum(part.weight for part in parts)
    return [
        f"    {'sends' if part.name is None else f'{part.name}, {part.weight / whole:.3g} of all:'} {part.text}"
        for part in parts
        if part.where != "workload"
    ]


def _threshold(plan: ThresholdPlan) -> str:
    if not plan.abort_on_fail:
        return plan.condition.text
    since = f", from {plan.delay_abort_eval:g} s of a window on" if plan.delay_abort_eval else ""
    return f"{plan.condition}; ends the run when it is broken{since}"


def _stage_line(stage: Stage) -> str:
    if stage.trace:
        load = f"a recorded trace, at most {stage.users} in flight"
    elif stage.load == "open":
        load = f"{stage.rate_rps:g} requests/s ({stage.arrivals}), at most {stage.users} in flight"
    else:
        load = f"{stage.users} user{'s' if stage.users > 1 else ''}"
    if stage.think_time_s:
        load += f", thinking {stage.think_time_s:g} s ({stage.think_time_distribution})"
    parts = [load]
    if stage.spawn_rate is not None:
        parts.append(f"started at {stage.spawn_rate:g}/s")
    if stage.ramp_over_s:
        parts.append(f"from {stage.ramp_from:g} in {stage.ramp_over_s:g} s")
    if stage.warmup_s:
        parts.append(f"warm-up {stage.warmup_s:g} s")
    parts.append("window " + (_ends(stage) or "until stopped"))
    states = [f"{stage.cache} cache"] if stage.cache != "keep" else []
    states += ["unique prompts"] if stage.unique_prompts else []
    states += ["sequential"] if stage.sequential else []
    joined = "  (no rest before it)" if stage.joined else ""
    return f"{stage.name}: {'; '.join([*parts, *states])}{joined}"


def _ends(stage: Stage) -> str:
    ends = []
    if stage.duration_s is not None:
        ends.append(f"of {stage.duration_s:g} s")
    if stage.requests is not None:
        ends.append(f"of {stage.requests} requests")
    if stage.passes is not None:
        ends.append("of each prompt once" if stage.passes == 1 else f"of each prompt {stage.passes} times")
    return ", or ".join(ends) or ("of the whole trace" if stage.trace else "")


def _search_lines(item: SearchPlan) -> list[str]:
    plan, search = item.plan, Search(item)
    unit = "requests/s" if plan.kind == "rate" else "users"
    loads = [item.start]
    while loads[-1] < item.max_load:
        loads.append(min(loads[-1] * 2, item.max_load))
    ladder = ", ".join(f"{load:g}" for load in loads)
    bounds = f"in {plan.shortest_probe:g} to {plan.longest_probe:g} s (the first {search.duration_s(item.start):g} s)"
    return [
        f"  {item.name}: search for the largest load under which {' and '.join(map(str, plan.slo))}",
        f"    doubling: {ladder} {unit}, until one does not hold",
        f"    bisection until the two are within {plan.tolerance:.0%}, then both are probed again to confirm them",
        f"    each probe has {search.requests_needed} requests if it can, {bounds}",
        f"    all of it within {plan.time_limit:g} s",
    ]
