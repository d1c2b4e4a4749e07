"""AetherUser: a Locust user that takes work, sends it on a connection of its own, and has it recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from locust import User, task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from aether_load.load.sending.sending import Sending

if TYPE_CHECKING:
    from locust.env import Environment

    from aether_load.load.sending.sender_context import Stations


class AetherUser(User):
    """One client of the runtime, or of each of the two: sends what it is given, while its phase wants it to."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._stations: Stations = vars(environment)["aether"]

    def on_start(self) -> None:
        """Connect."""
        station = self._station = self._stations.station
        self._sending = [
            Sending(side.new_connection(station.pool), side.book, station.recorder) for side in station.sides
        ]
        for sending in self._sending:
            sending.open()

    def on_stop(self) -> None:
        """Hang up."""
        if self._stations.has_station:
            for sending in self._sending:
                sending.close()

    @task
    def work(self) -> None:
        """Wait to be let loose; then send, until there is no more work for this user.

        Only a user that waits may be killed at once when Locust stops: one that sends has an answer due.
        """
        valve = self._station.valve
        self._state = LOCUST_STATE_WAITING
        work = valve.enter()
        self._state = LOCUST_STATE_RUNNING
        send, next_work = self._sending[self._station.side].send, valve.next_work
        try:
            if work is None:
                work = next_work()
            while work is not None:
                send(work)
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                work = next_work()
        finally:
            valve.leave()
