"""Wait for instants and events of a load, and no longer than its run goes on."""

from __future__ import annotations

from time import monotonic_ns

import gevent
from gevent.event import Event


class Waits:
    """The waits of a load; each is over at once, with False, when the run is to end."""

    def __init__(self, stopping: Event) -> None:
        self._stopping = stopping

    @property
    def is_over(self) -> bool:
        """Tell whether the run is to end."""
        return bool(self._stopping.is_set())

    def wait_for(self, event: Event) -> bool:
        """Wait for an event."""
        gevent.wait([self._stopping, event], count=1)
        return not self.is_over

    def wait_until(self, deadline_ns: int | None, event: Event) -> bool:
        """Wait until an instant, if there is one, or for an event that comes before it."""
        # The event loop's timers ring up to a millisecond early, so that one wait may not be enough.
        while True:
            left_s = None if deadline_ns is None else (deadline_ns - monotonic_ns()) / 1e9
            is_past = left_s is not None and left_s <= 0
            if is_past or gevent.wait([self._stopping, event], timeout=left_s, count=1):
                return not self.is_over
