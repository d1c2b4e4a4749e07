"""Ping a master's workers, and find those that are lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic_ns
from typing import Any

import gevent

from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.process.guard import guarded

PING_INTERVAL_S = 1.0
SILENCE_S = 5.0


class Heartbeat:
    """Pings each worker once a second; one that is silent too long, or that Locust misses, is lost."""

    def __init__(
        self,
        clients: Mapping[str, Any],
        workers: Callable[[], Sequence[WorkerSession]],
        lost: Callable[[WorkerSession], None],
        failed: Callable[..., None],
    ) -> None:
        """Take Locust's clients, what returns the workers that are there, and what is called with each that is lost."""
        self._clients = clients
        self._workers = workers
        self._lost = lost
        self._greenlet = gevent.spawn(guarded(self._beat_for_ever, failed))

    def close(self) -> None:
        """Watch no longer."""
        self._greenlet.kill()

    def _beat_for_ever(self) -> None:
        looked_ns = monotonic_ns()
        while True:
            gevent.sleep(PING_INTERVAL_S)
            now_ns = monotonic_ns()
            # What this process slept through, stopped or starved, is no silence of theirs.
            overslept_ns = max(0, now_ns - looked_ns - int(PING_INTERVAL_S * 1e9))
            looked_ns = now_ns
            for session in self._workers():
                session.excuse(overslept_ns)
                if self._is_missing(session) or session.silence_s() > SILENCE_S:
                    self._lost(session)
                    # Should it come back, its samples have no place any more.
                    session.send(say.Refused(_given_up(session), int(ExitCode.INVALID)))
                else:
                    session.ping()

    def _is_missing(self, session: WorkerSession) -> bool:
        known = self._clients.get(session.client)
        return known is not None and known.state == "missing"


def _given_up(session: WorkerSession) -> str:
    return f"{session.name} did not answer for {SILENCE_S:g} s and was given up by the master."
