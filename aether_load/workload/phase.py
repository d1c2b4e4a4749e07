"""A phase: a stretch of a run with one load, and what ends it."""

from __future__ import annotations

from typing import Annotated

import msgspec

from aether_load.workload.duration import Seconds
from aether_load.workload.strict import Strict


class Phase(Strict, frozen=True, kw_only=True):
    """A stretch of a run with one load: `users` that each send again when their last answer is in.

    It ends by the first of `duration`, `requests` and `passes` (each prompt once a pass). With `spawn_rate`,
    users are let loose at that rate a second; the window opens when all are, and `warmup` is over.
    """

    name: str = "closed"
    users: Annotated[int, msgspec.Meta(ge=1, le=100_000)] = 8
    spawn_rate: Annotated[float, msgspec.Meta(gt=0)] | None = None
    warmup: Seconds = Seconds(0)
    duration: Seconds | None = None
    requests: Annotated[int, msgspec.Meta(ge=1)] | None = None
    passes: Annotated[int, msgspec.Meta(ge=1)] | None = None
