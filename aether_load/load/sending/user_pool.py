"""Hold the users that wait for work: a phase activates as many as it wants, and its edges are exact."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gevent import get_hub, getcurrent
from gevent.event import Event

from aether_load.load.sending.places import Places
from aether_load.load.sending.waiting_users import WaitingUsers
from aether_load.schedule.order import Work


class UserPool:
    """Users that wait, users that are active, and the work that is left for those.

    Who waited last is activated first, so that a small load uses few, warm connections. Users are switched to
    from the event loop itself, all that are activated in one of its turns: none of a thousand begins late.
    Everything here runs on one event loop and yields nowhere but in `enter` and `next_work`, so that no count needs a
    lock.

    In closed load users take `work` as long as there is some. In open load they are handed what is due, and what
    is due while none is free waits in `backlog`, the oldest first. A user with tasks of its own keeps its place from
    one request to the next (`places`); it loses it when the phase ends while it is not sending.
    """

    def __init__(self) -> None:
        # By their class, in order of arrival; dicts, so that a thousand users killed while they wait are each found at
        # once.
        self._waiting = WaitingUsers()
        self._starting: dict[Any, None] = {}
        self._allowed = 0
        self._work: Iterator[Work] | None = None
        self._is_open_load = False
        self._all_is_due = False
        self._pause_s: Callable[[], float] | None = None
        self._no_more_thinking = Event()
        self.backlog: deque[Work] = deque()
        self.active = 0
        self._thinking = 0
        self.places = Places(self)
        self._is_running_out = False
        self.has_tasks = False
        """Whether any user has tasks of its own, which are to come to their end."""
        self.is_warming = False
        """Whether the work is sent by any user, to warm the runtime's cache."""
        self.exhausted = Event()
        self.drained = Event()
        self.drained.set()

    @property
    def waiting(self) -> int:
        """Return how many users stand ready: those that wait here, and those that rest between two of their tasks."""
        return len(self._waiting) + len(self.places.resting)

    @property
    def thinking(self) -> int:
        """Return how many active users are not sending."""
        return self._thinking + self.places.held

    @property
    def is_open_load(self) -> bool:
        """Tell whether work is handed to users when it is due."""
        return self._is_open_load

    @property
    def is_over(self) -> bool:
        """Tell whether no phase gives out work."""
        return self._work is None

    @property
    def wants_places_back(self) -> bool:
        """Tell whether users with tasks come for another place after each: in open load, where each is handed out."""
        return self._is_open_load or self.active > self._allowed

    def open(self, work: Iterator[Work], pause_s: Callable[[], float] | None = None) -> None:
        """Give out `work` to as many users as `allow` says; each thinks for `pause_s()` before a request."""
        self._is_open_load = False
        self._work = work
        self._pause_s = pause_s
        self._begin()

    def open_for_due(self) -> None:
        """Give out what `hand_over` brings, to as many users as `allow` says."""
        self._is_open_load = True
        self._work = iter(())
        self._pause_s = None
        self._all_is_due = False
        self._begin()

    def _begin(self) -> None:
        self._is_running_out = False
        self._waiting.add_retired()
        self.exhausted.clear()
        self._no_more_thinking.clear()
        self._activate()

    def hand_over(self, work: Work) -> None:
        """Give work that is due to the user who waited least, or keep it until one is free; on the event loop only."""
        if self._waiting.unretired and self.active < self._allowed and not self.backlog:
            user = self._waiting.pop()
            self._go()
            user.switch(work)
        else:
            self.backlog.append(work)
            if self._waiting.unretired:
                self._activate()

    def all_is_due(self) -> None:
        """Take note that nothing more becomes due: `exhausted` is set when what waits is taken."""
        self._all_is_due = True
        if not self.backlog:
            self._all_taken()

    def allow(self, users: int) -> None:
        """Let `users` be active at a time; those beyond it wait from their next request or task on."""
        self._allowed = users
        self.places.revoke_between(self.active - users)
        self._activate()

    def shut(self) -> list[Work]:
        """Give out no further work; return what was due and is not sent. `drained` is set when all users are back."""
        self._work = None
        self._allowed = 0
        self.places.revoke_all()
        self._no_more_thinking.set()
        left = list(self.backlog)
        self.backlog.clear()
        return left

    def enter(self, kind: str = "", weight: float = 1.0) -> Work | None:
        """Wait until activated; return the work that came with it, if any.

        Of users of several kinds, as many of each are active as the weights say.
        """
        me = getcurrent()
        if (
            self._work is not None
            and self.active < self._allowed
            and (self.backlog or not self._is_open_load)
            and self._waiting.may_go_at_once(me, kind, weight)
        ):
            self._go()
            return None
        self._waiting.add(me, kind, weight)
        try:
            work: Work | None = get_hub().switch()
        except BaseException:
            if not self._waiting.discard(me):
                # Activated and killed before it ran: its place is free again.
                self._starting.pop(me, None)
                self.leave()
            raise
        return work

    def leave(self) -> None:
        """Come back: this user will send nothing more until it entered again."""
        self.take_back((getcurrent(),))

    def take_back(self, users: Sequence[Any]) -> None:
        """Have the places of users back, which are not active any longer."""
        for user in users:
            self._waiting.came_back(user)
        self.active -= len(users)
        self._activate()
        # Only now: whoever waits for `drained` must not wake up when the place was taken at once by the next user.
        if self.active == 0:
            self.drained.set()
            if self._is_running_out:
                self._exhaust()

    def retire(self) -> None:
        """Leave, and come back in the next stage; the stage is over when no user is left."""
        me = getcurrent()
        self._waiting.retire(me)
        self.places.give_up(me)
        if self._work is None or self.active or self._waiting.unretired:
            return
        if all(map(self._waiting.is_retired, self.places.resting)):
            self._exhaust()

    def run_out(self) -> None:
        """Begin no further task; `exhausted` is set when those under way have ended."""
        if self._work is None:
            return
        self._is_running_out = True
        self.allow(0)
        if self.active == 0:
            self._exhaust()

    # Users that take work

    def next_work(self) -> Work | None:
        """Return the next work, after thinking if there is any of that, or None when this user is to come back."""
        if self._pause_s is not None and self._work is not None:
            self._thinking += 1
            try:
                self._no_more_thinking.wait(self._pause_s())
            finally:
                self._thinking -= 1
        if self._work is None or self.active > self._allowed:
            return None
        if self._is_open_load:
            if not self.backlog:
                return None
            work: Work | None = self.backlog.popleft()
            if self._all_is_due and not self.backlog:
                self._all_taken()
            return work
        work = next(self._work, None)
        if work is None:
            self._all_taken()
        return work

    def _all_taken(self) -> None:
        if self.has_tasks and not self.is_warming:
            self.run_out()
        else:
            self._exhaust()

    def _exhaust(self) -> None:
        self.shut()
        self.exhausted.set()

    def _activate(self) -> None:
        if self._work is None or (self._is_open_load and not self.backlog):
            return
        # Who is about to start takes some of what waits.
        wanted = len(self.backlog) - len(self._starting) if self._is_open_load else self._waiting.unretired
        room = min(self._allowed - self.active, wanted)
        if room <= 0 or not self._waiting.unretired:
            return
        if not self._starting:
            get_hub().loop.run_callback(self._start)
        for _ in range(min(room, self._waiting.unretired)):
            self._starting[self._waiting.pop()] = None
            self._go()

    def _start(self) -> None:
        """Switch to each user that is activated, from the event loop."""
        while self._starting:
            user = next(iter(self._starting))
            del self._starting[user]
            user.switch(None)

    def _go(self) -> None:
        self.active += 1
        self.drained.clear()
