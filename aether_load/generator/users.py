"""AetherUser: a Locust user that takes work, sends it on a connection of its own, and has it recorded."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent import GreenletExit
from locust import User, task
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from aether_load.generator.transport import NotHttp, TimedOut, TransportError
from aether_load.protocol import Outcome

if TYPE_CHECKING:
    from locust.env import Environment

    from aether_load.generator.session import Session

_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


class AetherUser(User):
    """One client of the runtime: sends again as soon as its last answer is in, while its phase wants it to."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._session: Session = vars(environment)["aether"]
        self._lost_in_a_row = 0

    def on_start(self) -> None:
        """Connect before the first phase, so that no measured request pays for it."""
        self._run = self._session.run
        self._connection = self._run.new_connection()
        try:
            self._connection.open()
        except TransportError:
            # The first request meets the same fault, and is recorded with it.
            self._connection.close()

    def on_stop(self) -> None:
        """Hang up."""
        if self._session.has_run:
            self._connection.close()

    @task
    def work(self) -> None:
        """Wait to be let loose; then send, until there is no more work for this user.

        Only a user that waits may be killed at once when Locust stops: one that sends has an answer due.
        """
        valve = self._run.valve
        self._state = LOCUST_STATE_WAITING
        valve.enter()
        self._state = LOCUST_STATE_RUNNING
        try:
            while (work := valve.next_work()) is not None:
                self._send(*work)
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                if self._lost_in_a_row:
                    self._pause()
        finally:
            valve.leave()

    def _send(self, request: int, prompt: int) -> None:
        recorder = self._run.recorder
        sent = monotonic_ns()
        try:
            status, body = self._connection.exchange(self._run.requests[prompt])
        except TransportError as error:
            ended = monotonic_ns()
            self._lost_in_a_row += 1
            recorder.unanswered(request, prompt, sent, sent, ended, _outcome_of(error), str(error))
        except GreenletExit:
            reason = "given up when the run was ended, after the stop time-out"
            recorder.unanswered(request, prompt, sent, sent, monotonic_ns(), Outcome.CUT_OFF, reason)
            raise
        else:
            ended = monotonic_ns()
            self._lost_in_a_row = 0
            recorder.answered(request, prompt, sent, sent, ended, status, body)

    def _pause(self) -> None:
        """Hold back after a lost connection: a dead target must not be asked ten thousand times a second."""
        gevent.sleep(min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S * 2 ** (self._lost_in_a_row - 1)))


def _outcome_of(error: TransportError) -> Outcome:
    if isinstance(error, TimedOut):
        return Outcome.TIMEOUT
    if isinstance(error, NotHttp):
        return Outcome.BAD_ANSWER
    return Outcome.CONNECTION_ERROR
