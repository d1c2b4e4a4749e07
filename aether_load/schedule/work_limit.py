"""Compute how many requests a stage's window sends, where something limits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aether_load.dag.workload import PromptRange
from aether_load.scenario.stage import Stage
from aether_load.schedule.trace import Trace


def work_limit(stage: Stage, parts: Sequence[PromptRange], traces: Mapping[int, Trace]) -> tuple[int | None, str]:
    """Return the number of requests, None where there is no such limit, and what sets it; `parts` are what it sends."""
    limits = {
        "requests": stage.requests,
        "passes": stage.passes and stage.passes * sum(part.count for part in parts),
        "trace": len(traces[stage.phase].offsets_ns) if stage.trace else None,
    }
    set_ = {name: limit for name, limit in limits.items() if limit}
    if not set_:
        return None, ""
    name = min(set_, key=lambda each: set_[each])
    return set_[name], name
