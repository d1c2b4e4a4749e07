"""Keep the time of the simulated runtime."""

from __future__ import annotations

import asyncio
import time

_STALL_STEP = 0.02
"""Seconds between two looks whether a stall is over; `DELETE /_sim/faults` ends one before its time."""
_TURN_SECONDS = 0.02


class Clock:
    """Pauses that never end early, and stalls, in which no pause ends."""

    def __init__(self) -> None:
        self._stalled_until = 0.0

    def stall(self, seconds: float) -> None:
        """Let nothing begin or end for `seconds` from now; overlapping stalls end with the later one."""
        self._stalled_until = max(self._stalled_until, time.monotonic() + seconds)

    def end_stall(self) -> None:
        """Let a stall end now."""
        self._stalled_until = 0.0

    async def pause(self, seconds: float = 0.0) -> None:
        """Wait at least `seconds`, and until no stall is left; go on at once when there is nothing to wait for."""
        now = time.monotonic()
        due = now + seconds
        while now < due or now < self._stalled_until:
            step = due - now if now >= self._stalled_until else min(_STALL_STEP, self._stalled_until - now)
            await asyncio.sleep(step)
            now = time.monotonic()


class Turn:
    """The time for which work may hold the event loop before other connections and signals get a turn."""

    def __init__(self) -> None:
        self._ends = time.monotonic() + _TURN_SECONDS

    async def end_if_due(self) -> None:
        """Let others work when the time is over, and begin a new turn."""
        if time.monotonic() >= self._ends:
            await asyncio.sleep(0)
            self._ends = time.monotonic() + _TURN_SECONDS
