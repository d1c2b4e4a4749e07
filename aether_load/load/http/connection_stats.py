"""Count the connections of one process, and end the exchanges that are overdue."""

from __future__ import annotations

from time import monotonic
from typing import Any

from gevent import get_hub

_CHECK_INTERVAL_S = 0.05


class ConnectionStats:
    """Counts of connections opened, and when each greenlet that waits for an answer's first byte is overdue.

    A timer object an exchange costs as much as sending it does. One clock looks at all of `due_s`, greenlets and
    monotonic times, so that a limit is kept to within a twentieth of a second.
    """

    def __init__(self) -> None:
        self.opened = 0
        self.stale_reopened = 0
        self.due_s: dict[Any, float] = {}
        self._clock: Any = None

    def keep_time(self) -> None:
        """Let the clock run; it keeps no event loop alive."""
        if self._clock is None:
            self._clock = get_hub().loop.timer(_CHECK_INTERVAL_S, _CHECK_INTERVAL_S, ref=False)
            self._clock.start(self._end_overdue)

    def _end_overdue(self) -> None:
        """Raise TimeoutError in each greenlet that has waited too long.

        This runs in the hub and switches to the greenlet at once: thrown later, the error could meet the next
        exchange of the same greenlet.
        """
        now = monotonic()
        for greenlet in [greenlet for greenlet, due in self.due_s.items() if due <= now]:
            if greenlet in self.due_s:
                greenlet.throw(TimeoutError)
