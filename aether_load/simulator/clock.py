"""Time as the simulated runtime feels it: exact pauses, and stalls in which nothing happens."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING

from aether_load.simulator.http.fiber import suspend

if TYPE_CHECKING:
    import asyncio

    from aether_load.simulator.http.fiber import Disarm, Resume


_STALL_STEP = 0.02
"""Seconds between two looks whether a stall is over, which may end before its time."""


class Clock:
    """Pauses on an event loop; during a stall none of them ends."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._stalled_until = 0.0

    def stall(self, seconds: float) -> None:
        """Let nothing begin or end for `seconds` from now; overlapping stalls end with the later one."""
        self._stalled_until = max(self._stalled_until, time.monotonic() + seconds)

    def end_stall(self) -> None:
        """Let a stall end now."""
        self._stalled_until = 0.0

    async def pause(self, seconds: float = 0.0) -> None:
        """Wait at least `seconds`, and until no stall is left; nothing at all when there is nothing to wait for."""
        now = time.monotonic()
        due = now + seconds
        while now < due or now < self._stalled_until:
            # In short steps, because a stall may be lifted before its time.
            step = due if now >= self._stalled_until else min(now + _STALL_STEP, self._stalled_until)
            await suspend(partial(self._wake, step))
            now = time.monotonic()

    def _wake(self, until: float, resume: Resume) -> Disarm:
        return self._loop.call_at(until, resume).cancel
