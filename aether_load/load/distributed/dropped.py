"""Count the messages between master and workers that this process has dropped."""

from __future__ import annotations

from collections.abc import Callable

import gevent


class Dropped:
    """Counts the messages that this process has dropped; `on_first` is called with the first."""

    def __init__(self) -> None:
        self.total = 0
        self.on_first: Callable[[], None] | None = None

    def add(self) -> None:
        """Count one."""
        self.total += 1
        if self.total == 1 and self.on_first is not None:
            self.on_first()
        # An endless row of them would leave no time for other greenlets.
        gevent.sleep(0)


DROPPED = Dropped()
