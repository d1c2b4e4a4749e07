"""Pace an open load: hand requests to the user pool when they are due, on an absolute schedule."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic_ns

from gevent.event import Event

from aether_load.load.sending.timer import new_alarm
from aether_load.load.sending.user_pool import UserPool
from aether_load.schedule.order import Work

_BURST = 50


class Pacer:
    """Keeps to a schedule whatever the server does; what it cannot hand over waits in the user_pool's backlog."""

    def __init__(self, user_pool: UserPool) -> None:
        self._user_pool = user_pool
        self._alarm = new_alarm(self._ring)
        self._work: Iterator[Work] = iter(())
        self._next: Work | None = None
        self._left: Work | None = None
        self._end_ns: int | None = None
        self.ended = Event()
        self.ended.set()

    def start(self, work: Iterator[Work], end_ns: int | None) -> None:
        """Hand over `work`, each when it is due, until there is no more of it or nothing is due before `end_ns`.

        `ended` is set then: at `end_ns`, or when the last request was handed over.
        """
        self._work = work
        self._end_ns = end_ns
        self.ended.clear()
        self._left = None
        self._next = next(work, None)
        self._set()

    def take_back(self) -> Work | None:
        """Return the work that was drawn last and never became due, if there is one."""
        left, self._left = self._left, None
        return left

    def stop(self) -> None:
        """Hand over nothing more."""
        self._left, self._next = self._next or self._left, None
        self._work = iter(())
        self.ended.set()

    def close(self) -> None:
        """Stop, and give the clock back."""
        self.stop()
        self._alarm.close()

    def _ring(self) -> None:
        if self.ended.is_set():
            return
        hand_over, work, end_ns = self._user_pool.hand_over, self._work, self._end_ns
        now = monotonic_ns()
        following = self._next
        # Sending takes time itself, so that the clock is read again before the alarm is set anew; and answers have
        # their turn between bursts, or a rate that is too high would be all sending and no reading.
        for _ in range(_BURST):
            if following is None:
                break
            due = following[2]
            assert due is not None
            if end_ns is not None and due >= end_ns:
                self._left, following = following, None
                break
            if due > now:
                now = monotonic_ns()
                if due > now:
                    break
            hand_over(following)
            following = next(work, None)
        self._next = following
        self._set()

    def _set(self) -> None:
        following, end_ns = self._next, self._end_ns
        if following is not None and following[2] is not None:
            self._alarm.set(following[2] if end_ns is None else min(following[2], end_ns))
        elif end_ns is not None and monotonic_ns() < end_ns:
            self._alarm.set(end_ns)
        else:
            self.ended.set()
