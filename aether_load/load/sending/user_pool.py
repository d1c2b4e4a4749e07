"""Keep the users that wait for work, and activate as many of them as a phase asks for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gevent import get_hub, getcurrent
from gevent.event import Event

if TYPE_CHECKING:
    from aether_load.schedule.order import Work


class UserPool:
    """Waiting users, active users, and the work that is left for the active ones.

    The user that waited least is activated first, so that a small load uses few, warm connections. The event loop
    itself switches to all users that are activated in one of its turns, so that none of a thousand begins late.
    Everything here runs on one event loop and yields only in `enter` and `next_work`, so that no count needs a lock.

    In closed load, users take `work` as long as there is some. In open load, `hand_over` gives them requests as they
    become due; a request that is due while no user is free waits in `backlog`, the oldest first.
    """

    def __init__(self) -> None:
        # In order of arrival; dicts, so that a thousand users killed while they wait are each found at once.
        self._waiting: dict[Any, None] = {}
        self._starting: dict[Any, None] = {}
        self._allowed = 0
        self._work: Iterator[Work] | None = None
        self._is_open_load = False
        self._all_is_due = False
        self._pause_s: Callable[[], float] | None = None
        self._no_more_thinking = Event()
        self.backlog: deque[Work] = deque()
        self.active = 0
        self.thinking = 0
        self.exhausted = Event()
        self.drained = Event()
        self.drained.set()

    @property
    def waiting(self) -> int:
        """Return how many users wait for work."""
        return len(self._waiting)

    def open(self, work: Iterator[Work], pause_s: Callable[[], float] | None = None) -> None:
        """Give out `work` to as many users as `allow` says; each thinks for `pause_s()` before a request."""
        self._is_open_load = False
        self._work = work
        self._pause_s = pause_s
        self._begin()

    def open_for_due(self) -> None:
        """Give the work of `hand_over` to as many users as `allow` says."""
        self._is_open_load = True
        self._work = iter(())
        self._pause_s = None
        self._all_is_due = False
        self._begin()

    def _begin(self) -> None:
        self.exhausted.clear()
        self._no_more_thinking.clear()
        self._activate()

    def hand_over(self, work: Work) -> None:
        """Give due work to the user that waited least, or queue it until one is free; on the event loop only."""
        if self._waiting and self.active < self._allowed and not self.backlog:
            user, _ = self._waiting.popitem()
            self._go()
            user.switch(work)
        else:
            self.backlog.append(work)
            if self._waiting:
                self._activate()

    def all_is_due(self) -> None:
        """Note that nothing more becomes due: `exhausted` is set when the backlog is empty."""
        self._all_is_due = True
        if not self.backlog:
            self._exhaust()

    def allow(self, users: int) -> None:
        """Set how many users may be active; any beyond that wait instead of sending their next request."""
        self._allowed = users
        self._activate()

    def shut(self) -> list[Work]:
        """Give out no further work; return what was due and not sent. `drained` is set when no user is active."""
        self._work = None
        self._allowed = 0
        self._no_more_thinking.set()
        left = list(self.backlog)
        self.backlog.clear()
        return left

    def enter(self) -> Work | None:
        """Wait until activated; return the work that came with it, if any."""
        if self._work is not None and self.active < self._allowed and (self.backlog or not self._is_open_load):
            self._go()
            return None
        me = getcurrent()
        self._waiting[me] = None
        try:
            work: Work | None = get_hub().switch()
        except BaseException:
            if me in self._waiting:
                del self._waiting[me]
            else:
                # Activated and killed before it ran: its place is free again.
                self._starting.pop(me, None)
                self.leave()
            raise
        return work

    def leave(self) -> None:
        """Return to the pool: this user sends nothing more until it enters again."""
        self.active -= 1
        self._activate()
        # Last, because `drained` must not be set when the next user has taken the place at once.
        if self.active == 0:
            self.drained.set()

    def next_work(self) -> Work | None:
        """Return the next work, after the think time if there is one, or None when this user is to leave."""
        if self._pause_s is not None and self._work is not None:
            self.thinking += 1
            try:
                self._no_more_thinking.wait(self._pause_s())
            finally:
                self.thinking -= 1
        if self._work is None or self.active > self._allowed:
            return None
        if self._is_open_load:
            if not self.backlog:
                return None
            work: Work | None = self.backlog.popleft()
            if self._all_is_due and not self.backlog:
                self._exhaust()
            return work
        work = next(self._work, None)
        if work is None:
            self._exhaust()
        return work

    def _exhaust(self) -> None:
        self.shut()
        self.exhausted.set()

    def _activate(self) -> None:
        if self._work is None or (self._is_open_load and not self.backlog):
            return
        # Users that are about to start will take some of the backlog.
        wanted = len(self.backlog) - len(self._starting) if self._is_open_load else len(self._waiting)
        room = min(self._allowed - self.active, wanted)
        if room <= 0 or not self._waiting:
            return
        if not self._starting:
            get_hub().loop.run_callback(self._start)
        for _ in range(min(room, len(self._waiting))):
            user, _ = self._waiting.popitem()
            self._starting[user] = None
            self._go()

    def _start(self) -> None:
        """Switch to each activated user, from the event loop."""
        while self._starting:
            user = next(iter(self._starting))
            del self._starting[user]
            user.switch(None)

    def _go(self) -> None:
        self.active += 1
        self.drained.clear()
