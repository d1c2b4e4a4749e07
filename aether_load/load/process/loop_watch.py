"""Record when the event loop was held, so that what this adds to latencies can be bounded."""

from __future__ import annotations

import math
import os
import select
from time import monotonic_ns
from typing import Any

from gevent import get_hub, monkey

from aether_load.load.sending.timer import open_timer
from aether_load.rundata.records.record_buffer import RecordBuffer

LEAST_HOLD_NS = 500_000
HEARTBEAT_NS = 5_000_000
_LOWEST_PRIORITY = -2


class LoopWatch:
    """Notes how long the loop runs between two polls, and by how much a periodic timer is late.

    A hold (a, b, d) lasts from a to b; d is the first instant after b at which the loop had nothing left to do. A
    process that is stopped while it polls is found by the timer: a is then the last instant at which it ran. Holds that
    follow each other before the loop has caught up begin with the first of them, because what is read after the last
    may have waited since then.
    """

    def __init__(self, buffer: RecordBuffer) -> None:
        """Begin to watch the loop of this thread."""
        self._buffer = buffer
        loop = get_hub().loop
        self._woke_ns = self._slept_ns = monotonic_ns()
        self._since_ns: int | None = None
        self._pending: list[tuple[int, int]] = []
        # The descriptor of the loop's own epoll: it is readable while anything that the loop waits for is ready.
        self._ready = monkey.get_original("select", "poll")()
        self._ready.register(loop.fileno(), select.POLLIN)
        self._check: Any = loop.check(ref=False)
        # Behind gevent's own, which runs greenlets.
        self._prepare: Any = loop.prepare(ref=False, priority=_LOWEST_PRIORITY)
        self._check.start(self._on_wake)
        self._prepare.start(self._on_sleep)
        self._timer: int | None = None
        self._beat_ns: float = math.inf
        self._heartbeat: Any = None
        self._start_heartbeat(loop)

    def _start_heartbeat(self, loop: Any) -> None:
        try:
            self._timer = open_timer(HEARTBEAT_NS)
        except (OSError, AttributeError):
            # Without such timers a process that is stopped is not seen; what it does itself is.
            return
        self._beat_ns = monotonic_ns() + HEARTBEAT_NS
        self._heartbeat = loop.io(self._timer, 1, ref=False)
        self._heartbeat.start(self._on_heartbeat)

    def _on_wake(self) -> None:
        self._woke_ns = now = monotonic_ns()
        # The heartbeat would have ended the sleep in time if this process had run. It is looked at here, because after
        # a stop the sleep first ends as interrupted, in a turn that has none of what became ready.
        if now - self._beat_ns > LEAST_HOLD_NS and self._slept_ns < self._beat_ns:
            self._hold(self._slept_ns, now)

    def _on_sleep(self) -> None:
        now = monotonic_ns()
        self._slept_ns = now
        if now - self._woke_ns > LEAST_HOLD_NS:
            self._hold(self._woke_ns, now)
        if self._pending and not self._ready.poll(0):
            self._write(now)

    def _on_heartbeat(self) -> None:
        try:
            beats = int.from_bytes(os.read(self._timer or 0, 8), "little")
        except BlockingIOError:
            return
        self._beat_ns += beats * HEARTBEAT_NS

    def _hold(self, began_ns: int, ended_ns: int) -> None:
        if not self._pending:
            self._since_ns = began_ns
        assert self._since_ns is not None
        self._pending.append((self._since_ns, ended_ns))

    def _write(self, caught_up_ns: int) -> None:
        for began_ns, ended_ns in self._pending:
            self._buffer.add_hold(began_ns, ended_ns, max(caught_up_ns, ended_ns))
        self._pending.clear()

    def flush(self) -> None:
        """Write holds that the loop has not caught up with; they last until now."""
        self._write(monotonic_ns())

    def close(self) -> None:
        """Watch no longer; a second call changes nothing."""
        self.flush()
        for watcher in (self._check, self._prepare, self._heartbeat):
            if watcher is not None:
                watcher.stop()
                watcher.close()
        self._check = self._prepare = self._heartbeat = None
        if self._timer is not None:
            os.close(self._timer)
            self._timer = None
