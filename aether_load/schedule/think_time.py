"""Draw how long the users of a closed load think before their requests."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import count

from aether_load.scenario.stage import Stage
from aether_load.schedule.shard import WHOLE, Share


def pauses(stage: Stage, seed: int, share: Share = WHOLE) -> Callable[[], float] | None:
    """Return what draws the think time before each of a share's requests, or None when there is no think time.

    The first pause of a user is a random part of one: users activated together would stay in step otherwise.
    """
    mean = stage.think_time_s
    if not mean:
        return None
    chance = random.Random(share.seed(f"{seed} {stage.name} think"))
    if stage.think_time_distribution == "exponential":
        return lambda: chance.expovariate(1 / mean)
    number = count()
    users = share.users(stage.users)
    return lambda: chance.uniform(0, mean) if next(number) < users else mean
