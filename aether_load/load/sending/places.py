"""Keep the places of active users whose own code runs between two requests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gevent import getcurrent


class PlaceGiver(Protocol):
    """What the places are of: a pool of users with a phase under way, or none."""

    @property
    def is_over(self) -> bool:
        """Tell whether no phase gives out work."""

    @property
    def wants_places_back(self) -> bool:
        """Tell whether a user is to come for another place after each task."""

    def take_back(self, users: Sequence[Any]) -> None:
        """Have the places of users back, which are not active any longer."""


class Places:
    """Users that are active and not sending: inside a task, or between two tasks.

    Such a user holds a place in the load, which can be taken from it at any time: it finds out when it wants to send.
    A user that has lost its place between two tasks, or while its own code ran, rests until it comes for another one.
    The user is the greenlet that calls.
    """

    def __init__(self, giver: PlaceGiver) -> None:
        self._giver = giver
        self._inside: dict[Any, None] = {}
        self._between: dict[Any, None] = {}
        self.resting: dict[Any, None] = {}

    @property
    def held(self) -> int:
        """Return how many users hold a place."""
        return len(self._inside) + len(self._between)

    def take(self) -> bool:
        """Keep the place that the pool has just given; False when its phase has ended meanwhile."""
        me = getcurrent()
        if self._giver.is_over:
            self._giver.take_back([me])
            return False
        self.resting.pop(me, None)
        self._inside[me] = None
        return True

    def is_kept(self) -> bool:
        """Tell whether a place was kept since the last task."""
        return getcurrent() in self._between

    def begin_task(self) -> bool:
        """Take up a place that was kept since the last task; False when there is none, or it is wanted back."""
        me = getcurrent()
        self.resting.pop(me, None)
        if me not in self._between:
            return False
        del self._between[me]
        if self._giver.wants_places_back:
            self._giver.take_back([me])
            return False
        self._inside[me] = None
        return True

    def end_task(self) -> None:
        """Keep the place until the next task, unless it is wanted back."""
        me = getcurrent()
        if me not in self._inside:
            self.resting[me] = None
            return
        del self._inside[me]
        if self._giver.wants_places_back:
            self.resting[me] = None
            self._giver.take_back([me])
        else:
            self._between[me] = None

    def begin_request(self) -> bool:
        """Send from now on, so that the place cannot be taken; False when it was lost, and nothing may be sent."""
        me = getcurrent()
        if me not in self._inside:
            return False
        del self._inside[me]
        return True

    def end_request(self) -> None:
        """Send no longer; the place is kept, unless the phase has ended meanwhile."""
        me = getcurrent()
        if self._giver.is_over:
            self.resting[me] = None
            self._giver.take_back([me])
        else:
            self._inside[me] = None

    def give_up(self, user: Any) -> None:
        """Give a user's place back, if it holds one."""
        for places in (self._inside, self._between):
            if user in places:
                del places[user]
                self._giver.take_back([user])

    def revoke_between(self, count: int) -> None:
        """Take the places of up to `count` users that are between two tasks."""
        users = list(self._between)[: max(0, count)]
        for user in users:
            del self._between[user]
            self.resting[user] = None
        if users:
            self._giver.take_back(users)

    def revoke_all(self) -> None:
        """Take the places of all that are not sending."""
        users = [*self._inside, *self._between]
        self.resting.update(self._between)
        self._inside.clear()
        self._between.clear()
        if users:
            self._giver.take_back(users)

    def forget(self, user: Any) -> None:
        """Take back what a user holds that has ended."""
        self.give_up(user)
        self.resting.pop(user, None)
