"""Keep a master's workers: which of them can work, what they say, and which are gone."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any, Literal, Protocol

import msgspec
from gevent.event import Event

from aether_load._version import __version__
from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.admission import Admission
from aether_load.load.distributed.master.heartbeat import Heartbeat
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.distributed.signature import DROPPED
from aether_load.load.process.guard import guarded


class RunListener(Protocol):
    """What a run is told of workers."""

    def on_ready(self, session: WorkerSession) -> None:
        """Take note that a worker can work."""

    def on_message(self, session: WorkerSession, message: say.Message) -> None:
        """Take what a worker says of the run."""

    def on_gone(self, session: WorkerSession) -> None:
        """Take note that a worker is gone; its session says how."""


class WorkerRegistry:
    """Lists the workers that were accepted, and tells a run what they say.

    Locust has its own list of them; one is here only when it has said that it is of this release and of this scenario.
    """

    def __init__(
        self,
        runner: Any,
        send: Callable[[str, say.Message], None],
        refused: Callable[[str, ExitCode], None],
        *,
        own_children_only: bool,
    ) -> None:
        """Take a function that sends a message to Locust's worker of an id, and one that is called with each refusal.

        With --processes only the own children are accepted.
        """
        self._runner = runner
        self._refused = refused
        self._sessions: dict[str, WorkerSession] = {}
        self._admission = Admission(send, refused, self._sessions, own_children_only=own_children_only)
        self._changed = Event()
        self._listener: RunListener | None = None
        runner.register_message(say.LOCUST_TYPE, guarded(self._on_message, refused))
        self._heartbeat = Heartbeat(runner.clients, lambda: self.expected, self._lost, refused)

    @property
    def ready(self) -> list[WorkerSession]:
        """Return those that can work, in the order in which they came."""
        current = self._admission.handover
        if current is None:
            return []
        return [session for session in self.expected if session.has_clock and session.handover == current]

    @property
    def expected(self) -> list[WorkerSession]:
        """Return those that can work, and those that will be able to when they have what they need."""
        return [session for session in self._sessions.values() if session.gone is None]

    @property
    def has_strangers(self) -> bool:
        """Tell whether Locust has workers that have not said yet who they are, or that are told to end."""
        return any(client not in self._sessions for client in list(self._runner.clients))

    @property
    def is_gone(self) -> bool:
        """Tell whether workers were accepted, and none of them is left."""
        return bool(self._sessions) and not self.expected

    def may_work(self, client: str) -> bool:
        """Tell whether Locust's worker of that id can work."""
        return any(session.client == client for session in self.ready)

    def hand_over(self, scenario: str, handover: str, data: bytes) -> None:
        """Give all workers, and those that come later, what they need for the next run.

        Whose command line names a scenario of another hash than the master's is refused.
        """
        self._admission.open(scenario, handover, data)

    def listen(self, listener: RunListener | None) -> None:
        """Tell a run of its workers, or (None) none any longer; those that can work already are its first."""
        self._listener = listener
        for session in self.ready:
            self._tell_ready(session)

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait until something is so; False when it is not within the limit."""
        deadline = monotonic_ns() + limit_s * 1e9
        while not condition():
            left_s = (deadline - monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            self._changed.wait(min(left_s, 0.25))
            self._changed.clear()
        return True

    def close(self) -> None:
        """Watch the workers no longer."""
        self._heartbeat.close()

    # What workers say

    def _on_message(self, msg: Any, **_kwargs: Any) -> None:
        client = msg.node_id
        try:
            message = say.decode(msg.data)
        except (msgspec.MsgspecError, TypeError):
            if client in self._runner.clients:
                self._admission.refuse(
                    client, f"a worker ({client}) speaks of what this release ({__version__}) does not know"
                )
            else:
                DROPPED.add()
            return
        session = self._sessions.get(client)
        if isinstance(message, say.Join):
            if session is None:
                self._admission.take(client, message)
        elif session is not None and session.gone is None:
            session.heard()
            self._take(session, message)
            self._changed.set()

    def _take(self, session: WorkerSession, message: say.Message) -> None:
        if isinstance(message, say.Pong):
            knew_clock = session.has_clock
            session.take_pong(message)
            if not session.has_clock:
                session.ping()
            elif not knew_clock:
                self._tell_ready(session)
        elif isinstance(message, say.Ready):
            session.handover = message.handover
            self._tell_ready(session)
        elif isinstance(message, say.Unable):
            self._sessions.pop(session.client)
            self._refused(f"{session.name} cannot work: {message.sentence}", ExitCode(message.exit_code))
        elif isinstance(message, say.Left):
            self._gone(session, "left")
        elif self._listener is not None:
            self._listener.on_message(session, message)

    def _tell_ready(self, session: WorkerSession) -> None:
        if self._listener is not None and session in self.ready:
            self._listener.on_ready(session)

    def _lost(self, session: WorkerSession) -> None:
        self._gone(session, "lost")

    def _gone(self, session: WorkerSession, how: Literal["lost", "left"]) -> None:
        session.gone = how
        if self._listener is not None:
            self._listener.on_gone(session)
        self._changed.set()
