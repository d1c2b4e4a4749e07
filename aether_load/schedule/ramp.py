"""Compute how many users are active at each instant of a ramp up (or down) to a closed load."""

from __future__ import annotations

from collections.abc import Iterator

from aether_load.scenario.stage import Stage


def user_steps(stage: Stage) -> Iterator[tuple[int, float]]:
    """Yield how many users are active from which second of the ramp on, evenly spread."""
    if stage.spawn_rate is not None:
        for users in range(1, stage.users + 1):
            yield users, (users - 1) / stage.spawn_rate
    elif stage.ramp_over_s:
        first, last = int(stage.ramp_from or 0), stage.users
        step = 1 if last >= first else -1
        changes = max(1, abs(last - first))
        yield first, 0.0
        for change, users in enumerate(range(first + step, last + step, step), 1):
            yield users, change / changes * stage.ramp_over_s
