"""Accept or refuse the workers that ask to join, and hand them what they need."""

from __future__ import annotations

import os
from collections.abc import Callable

from aether_load._version import __version__
from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.handover import chunks_of
from aether_load.load.distributed.master.worker_session import WorkerSession


class Admission:
    """Adds a session for each worker that it accepts; who asks before there is anything to hand over waits for it."""

    def __init__(
        self,
        send: Callable[[str, say.Message], None],
        refused: Callable[[str, ExitCode], None],
        sessions: dict[str, WorkerSession],
        *,
        own_children_only: bool,
    ) -> None:
        """Take the sessions by Locust's id, and what is called with each refusal that the run has to know of."""
        self._send = send
        self._refused = refused
        self._sessions = sessions
        self._own_children_only = own_children_only
        self._scenario = ""
        self._data = b""
        self.handover: str | None = None
        self._asking: dict[str, say.Join] = {}
        self._numbers = 0

    def open(self, scenario: str, handover: str, data: bytes) -> None:
        """Accept workers from now on, and give each this data, also those that have been accepted before."""
        self._scenario, self.handover, self._data = scenario, handover, data
        for session in list(self._sessions.values()):
            if session.gone is None:
                self._hand_over(session)
        asking, self._asking = self._asking, {}
        for client, joined in asking.items():
            self._admit(client, joined)

    def take(self, client: str, joined: say.Join) -> None:
        """Accept or refuse a worker that asks to join, as soon as that can be decided."""
        if self.handover is None:
            self._asking.setdefault(client, joined)
        else:
            self._admit(client, joined)

    def refuse(self, client: str, sentence: str) -> None:
        """Tell both sides why a worker cannot be used."""
        self._send(client, say.Refused(sentence, int(ExitCode.USAGE)))
        self._refused(sentence, ExitCode.USAGE)

    def _admit(self, client: str, joined: say.Join) -> None:
        if self._own_children_only and joined.forked_from != os.getpid():
            # It belongs to another master, or to one that has ended: no failure of this run.
            sentence = f"the worker on {joined.host} is no child of the --processes of this master."
            self._send(client, say.Refused(sentence, int(ExitCode.USAGE)))
        elif (why := _reason_against(joined, self._scenario)) is not None:
            self.refuse(client, f"the worker on {joined.host} (process {joined.pid}) is refused: {why}.")
        else:
            session = self._sessions[client] = WorkerSession(client, self._numbers, joined, self._send)
            self._numbers += 1
            session.ping()
            self._hand_over(session)

    def _hand_over(self, session: WorkerSession) -> None:
        assert self.handover is not None
        for chunk in chunks_of(self.handover, self._data, session.number):
            session.send(chunk)


def _reason_against(joined: say.Join, scenario: str) -> str | None:
    """Return why a worker cannot work for a master whose scenario has this hash, None where it can."""
    if joined.version != __version__ or joined.protocol != say.PROTOCOL:
        return f"it has aether-load {joined.version} and the master {__version__}: install the same release on both"
    if joined.scenario is not None and joined.scenario != scenario:
        return (
            f"its command line names another scenario (hash {joined.scenario}) than the master's ({scenario}): leave "
            "--scenario, --set, --dataset and all that shapes the load to the master"
        )
    return None
