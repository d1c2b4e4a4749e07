"""Define AetherUser, the Locust user that takes work, sends it on its own connection, and records it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import User, task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from aether_load.load.sending.sending import Sending

if TYPE_CHECKING:
    from locust.env import Environment

    from aether_load.load.sending.sender_context import SenderContexts


class AetherUser(User):
    """One client of the runtime, or of each of the two: sends what it is given, while its phase wants it to."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._sender_contexts: SenderContexts = vars(environment)["aether"]

    def on_start(self) -> None:
        """Connect."""
        sender_context = self._sender_context = self._sender_contexts.sender_context
        self._sending = [
            Sending(side.new_connection(sender_context.pool), side.book, sender_context.recorder)
            for side in sender_context.sides
        ]
        for sending in self._sending:
            sending.open()

    def on_stop(self) -> None:
        """Close the connections."""
        if self._sender_contexts.has_context:
            for sending in self._sending:
                sending.close()

    @task
    def work(self) -> None:
        """Wait to be activated; then send, until there is no more work for this user.

        Only a user that waits may be killed at once when Locust stops: one that sends has an answer due.
        """
        user_pool = self._sender_context.user_pool
        self._state = LOCUST_STATE_WAITING
        work = user_pool.enter()
        self._state = LOCUST_STATE_RUNNING
        send, next_work = self._sending[self._sender_context.side].send, user_pool.next_work
        try:
            if work is None:
                work = next_work()
            while work is not None:
                send(work)
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                work = next_work()
        finally:
            user_pool.leave()
