"""What a user has of the run that it belongs to: its connections, and the work that it is given."""

from __future__ import annotations

from typing import Any

from gevent import getcurrent
from locust import User
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from aether_load.load.sending.sender_context import SenderContext
from aether_load.load.sending.sending import Sending
from aether_load.load.users.user_requests import UserRequests
from aether_load.schedule.order import Work

_FIXED_WEIGHT = 1e9


class UserSender:
    """Sends for one user, on a connection for each runtime of the run."""

    def __init__(self, user: User, context: SenderContext, *, has_tasks: bool) -> None:
        """Connect; the connections end with the greenlet that runs now. `has_tasks` tells of tasks of its own."""
        kind = type(user)
        self._user: Any = user
        self._kind = kind.__name__, _FIXED_WEIGHT if kind.fixed_count else float(kind.weight)
        self.context = context
        context.user_pool.has_tasks |= has_tasks
        if context.user_requests is None:
            context.user_requests = UserRequests(context)
        self.requests: UserRequests = context.user_requests
        self._sendings = [
            Sending(side.new_connection(context.pool), side.prepared, context.recorder) for side in context.sides
        ]
        self.execute = self._sendings[0].execute
        getcurrent().rawlink(self._detach)
        for sending in self._sendings:
            sending.open()

    def wait_for_work(self) -> Work | None:
        """Wait to be activated; only a user that waits may be killed at once when Locust stops."""
        self._user._state = LOCUST_STATE_WAITING  # noqa: SLF001 -- Locust has no other way to set it
        work = self.context.user_pool.enter(*self._kind)
        self._user._state = LOCUST_STATE_RUNNING  # noqa: SLF001
        return work

    def send_until_left(self, work: Work | None) -> None:
        """Send `work`, if any, and what the pool gives out after it, until that wants this user back."""
        user, pool = self._user, self.context.user_pool
        send, next_work = self._sendings[self.context.side].send, pool.next_work
        try:
            if work is None:
                work = next_work()
            while work is not None:
                send(work)
                if user._state == LOCUST_STATE_STOPPING:  # noqa: SLF001
                    raise StopUser
                work = next_work()
        finally:
            pool.leave()

    def _detach(self, greenlet: Any) -> None:
        """Hang up, and give back what this user held."""
        self.context.user_pool.places.forget(greenlet)
        for sending in self._sendings:
            sending.close()
