"""Send a user's requests one at a time, and record the answers."""

from __future__ import annotations

from time import monotonic_ns
from typing import TypeAlias

import gevent
from gevent import GreenletExit
from msgspec import Raw

from aether_load.load.http.connection import Connection
from aether_load.load.http.errors import NotHttp, TimedOut, TransportError
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.protocol import Outcome
from aether_load.response import Execution
from aether_load.rundata.records.recorder import Recorder
from aether_load.schedule.order import Work

_SHORTEST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 0.5


Answer: TypeAlias = tuple[Outcome, str | None, Execution | None, int, int]
"""What became of a request: its outcome, the reason unless it is `ok`, what was read, sent and ended in monotonic ns.

A plain tuple, because most are made for nobody to read.
"""


class Sending:
    """Sends on one connection; every request that goes out is recorded, whatever becomes of it."""

    def __init__(self, connection: Connection, prepared: PreparedRequests, recorder: Recorder) -> None:
        self._connection = connection
        self._prepared = prepared
        self._recorder = recorder
        self._lost_in_a_row = 0

    def open(self) -> None:
        """Connect before the first request, so that no measured one pays for it."""
        try:
            self._connection.open()
        except TransportError:
            # The first request meets the same fault, and is recorded with it.
            self._connection.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def send(self, work: Work) -> None:
        """Send one request of the stage and record it."""
        data, prompt = self._prepared.request_of(work[0], work[1])
        self.execute(work, data, prompt)

    def execute(
        self, work: Work, data: bytes, prompt: Raw | None, name: str | None = None, dag: int | None = None
    ) -> Answer:
        """Send a request and record it.

        `prompt` is what the answer repeats, `name` the request's own name, and `dag` the place of its DAG where that
        is not its prompt's.
        """
        due = work[2]
        sent = monotonic_ns()
        try:
            status, body = self._connection.exchange(data)
        except TransportError as error:
            ended = monotonic_ns()
            outcome = _outcome_of(error)
            self._recorder.unanswered(work, sent, ended, outcome, str(error), name=name, dag=dag)
            self._lost_in_a_row += 1
            if due is None:
                # A dead target must not be asked ten thousand times a second; in open load the rate sees to that.
                gevent.sleep(min(_LONGEST_PAUSE_S, _SHORTEST_PAUSE_S * 2 ** (self._lost_in_a_row - 1)))
            return outcome, str(error), None, sent, ended
        except GreenletExit:
            why = "given up when the run was ended, after the stop time-out"
            self._recorder.unanswered(work, sent, monotonic_ns(), Outcome.CANCELLED, why, name=name, dag=dag)
            raise
        else:
            ended = monotonic_ns()
            self._lost_in_a_row = 0
            outcome, reason, execution = self._recorder.answered(
                work, sent, ended, status, body, data, prompt, name, dag
            )
            if outcome is Outcome.INVALID_RESPONSE:
                # What comes next on this connection may be the answer to another request.
                self._connection.close()
            return outcome, reason, execution, sent, ended


def _outcome_of(error: TransportError) -> Outcome:
    if isinstance(error, TimedOut):
        return Outcome.TIMEOUT
    if isinstance(error, NotHttp):
        return Outcome.INVALID_RESPONSE
    return Outcome.CONNECTION_ERROR
