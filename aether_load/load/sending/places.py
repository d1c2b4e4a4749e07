"""Keep the places of active users whose own code runs between two requests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


class Places:
    """Users that are active and not sending: inside a task, or between two tasks.

    Such a user holds a place in the load, which can be taken from it at any time: it finds out when it wants to send.
    A user that has lost its place between two tasks, or while its own code ran, rests until it comes for another one.
    """

    def __init__(self, gave_up: Callable[[Sequence[Any]], None]) -> None:
        """Take what is called with the users whose places are free again."""
        self._gave_up = gave_up
        self._inside: dict[Any, None] = {}
        self._between: dict[Any, None] = {}
        self.resting: dict[Any, None] = {}

    @property
    def held(self) -> int:
        """Return how many users hold a place."""
        return len(self._inside) + len(self._between)

    def enter(self, user: Any) -> None:
        """Give a user a place that has just been activated."""
        self.resting.pop(user, None)
        self._inside[user] = None

    def is_between(self, user: Any) -> bool:
        """Tell whether a user holds a place between two tasks."""
        return user in self._between

    def take_up(self, user: Any) -> bool:
        """Begin a task on a place that was kept; False when there is none."""
        self.resting.pop(user, None)
        if user not in self._between:
            return False
        del self._between[user]
        self._inside[user] = None
        return True

    def put_down(self, user: Any) -> bool:
        """End a task and keep the place; False when it was lost meanwhile."""
        if user not in self._inside:
            self.resting[user] = None
            return False
        del self._inside[user]
        self._between[user] = None
        return True

    def begin_request(self, user: Any) -> bool:
        """Send from now on, without which the place cannot be taken; False when it was lost."""
        if user not in self._inside:
            return False
        del self._inside[user]
        return True

    def end_request(self, user: Any) -> None:
        """Send no longer."""
        self._inside[user] = None

    def rest(self, user: Any) -> None:
        """Have a user rest that holds no place."""
        self.resting[user] = None

    def give_up(self, user: Any, *, rests: bool = False) -> None:
        """Give a user's place back, if it holds one."""
        if rests:
            self.resting[user] = None
        for places in (self._inside, self._between):
            if user in places:
                del places[user]
                self._gave_up([user])

    def revoke_between(self, count: int) -> None:
        """Take the places of up to `count` users that are between two tasks."""
        users = list(self._between)[: max(0, count)]
        for user in users:
            del self._between[user]
            self.resting[user] = None
        if users:
            self._gave_up(users)

    def revoke_all(self) -> None:
        """Take the places of all that are not sending."""
        users = [*self._inside, *self._between]
        self.resting.update(self._between)
        self._inside.clear()
        self._between.clear()
        if users:
            self._gave_up(users)

    def forget(self, user: Any) -> None:
        """Forget a user that has ended."""
        self.give_up(user)
        self.resting.pop(user, None)
