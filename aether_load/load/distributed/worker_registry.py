"""Keep a master's workers: who was accepted, refused or lost, and how their clocks differ."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Mapping
from time import monotonic_ns, time
from typing import TYPE_CHECKING, Any

import gevent
import msgspec
from gevent.event import Event

from aether_load._version import __version__
from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.signature import DROPPED
from aether_load.load.process.guard import guarded
from aether_load.rundata.clock import ClockReading, Echo, read_clock

if TYPE_CHECKING:
    from collections.abc import Iterable

PING_INTERVAL_S = 1.0
SILENCE_S = 5.0
CHUNK_BYTES = 1 << 20
_FIRST_PINGS = 8
_ECHOES_KEPT = 12


class WorkerSession:
    """One worker that was taken on."""

    def __init__(self, client: str, number: int, joined: say.Join) -> None:
        self.client = client
        self.number = number
        self.host = joined.host
        self.pid = joined.pid
        self.began_ns = monotonic_ns()
        self.handover: str | None = None
        self.gone: str | None = None
        self.heard_ns = monotonic_ns()
        self.excused_ns = 0
        self.stats = say.WorkerStats(0, 0, 0, 0, 0, 0)
        self.cpu_s = 0.0
        self.utc_ahead_s = 0.0
        self._echoes: deque[Echo] = deque(maxlen=_ECHOES_KEPT)

    def clock(self) -> ClockReading:
        """Return what its clock is ahead of this process's by."""
        return read_clock(self._echoes)

    @property
    def has_clock(self) -> bool:
        """Tell whether its clock is known."""
        return len(self._echoes) >= _FIRST_PINGS

    def to_run(self, instant_ns: int) -> int:
        """Return an instant of its clock by this process's."""
        return instant_ns - self.clock().offset_ns

    def from_run(self, instant_ns: int) -> int:
        """Return an instant of this process's clock by its own."""
        return instant_ns + self.clock().offset_ns

    def echoed(self, message: say.Echoed) -> None:
        """Take in the answer to a ping."""
        now_ns = monotonic_ns()
        self._echoes.append(Echo(message.sent_ns, message.there_ns, now_ns))
        half_s = (now_ns - message.sent_ns) / 2e9
        ahead = message.there_utc_s + half_s - time()
        # What half a round trip could hide is no difference.
        self.utc_ahead_s = ahead if abs(ahead) > half_s else 0.0

    @property
    def name(self) -> str:
        """Return how it is called in sentences."""
        return f"worker {self.number} (process {self.pid} on {self.host})"


class WorkerRegistry:
    """Takes workers on, hands them what they need, and takes note of those that are lost.

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
        self._send = send
        self._own_children_only = own_children_only
        self._runner = runner
        self._scenario = ""
        self._tell_refused = refused
        self._sessions: dict[str, WorkerSession] = {}
        self._numbers = 0
        self._handover: tuple[str, bytes] | None = None
        self.changed = Event()
        self.listener: Callable[[WorkerSession, say.Message], None] | None = None
        self.on_gone: Callable[[WorkerSession], None] | None = None
        self.on_ready: Callable[[WorkerSession], None] | None = None
        self._waiting_to_join: list[tuple[str, say.Join]] = []
        runner.register_message(say.LOCUST_TYPE, guarded(self._on_message, refused))
        self._watcher = gevent.spawn(guarded(self._watch_for_ever, refused))

    @property
    def ready(self) -> list[WorkerSession]:
        """Return those that can work, in the order in which they came."""
        current = self._handover[0] if self._handover else None
        return [
            session
            for session in self._sessions.values()
            if session.gone is None and session.has_clock and session.handover == current is not None
        ]

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
        """Tell whether workers were taken on, and none of them is left."""
        return bool(self._sessions) and not self.expected

    def may_work(self, client: str) -> bool:
        """Tell whether Locust's worker of that id can work."""
        return any(session.client == client for session in self.ready)

    def session_of(self, client: str) -> WorkerSession | None:
        """Return the worker of Locust's id, if it has been taken on."""
        return self._sessions.get(client)

    def hand_over(self, scenario: str, handover: str, data: bytes) -> None:
        """Give all workers, and those that come later, what they need for the next run.

        Whose command line names a scenario of another hash than the master's is refused.
        """
        self._scenario = scenario
        self._handover = handover, data
        for session in self.expected:
            self._send_handover(session)
        waiting, self._waiting_to_join = self._waiting_to_join, []
        for client, joined in waiting:
            self._admit(client, joined)

    def send(self, session: WorkerSession, message: say.Message) -> None:
        """Send a worker a message; what cannot be sent to one that is gone is lost."""
        self._send(session.client, message)

    def send_all(self, sessions: Iterable[WorkerSession], message: say.Message) -> None:
        """Send the same message to several workers."""
        for session in sessions:
            self.send(session, message)

    def wait_for(self, condition: Callable[[], bool], limit_s: float) -> bool:
        """Wait until something is so; False when it is not within the limit."""
        deadline = monotonic_ns() + limit_s * 1e9
        while not condition():
            left_s = (deadline - monotonic_ns()) / 1e9
            if left_s <= 0:
                return False
            self.changed.wait(min(left_s, 0.25))
            self.changed.clear()
        return True

    def dismiss(self, session: WorkerSession, sentence: str) -> None:
        """Have a worker that was taken on end, for a reason that is told on its side."""
        self._send(session.client, say.Refused(sentence, int(ExitCode.INVALID)))

    def close(self) -> None:
        """Watch no longer."""
        self._watcher.kill()

    def _send_handover(self, session: WorkerSession) -> None:
        assert self._handover is not None
        identity, data = self._handover
        pieces = [data[start : start + CHUNK_BYTES] for start in range(0, len(data), CHUNK_BYTES)]
        for index, piece in enumerate(pieces):
            self.send(session, say.Chunk(identity, session.number, index, len(pieces), piece))

    # What workers say

    def _on_message(self, msg: Any, **_kwargs: Any) -> None:
        client = msg.node_id
        try:
            message = say.decode(msg.data)
        except (msgspec.MsgspecError, TypeError):
            if client not in self._runner.clients:
                DROPPED.add()
                return
            sentence = f"a worker ({client}) speaks of what this release ({__version__}) does not know"
            self._send(client, say.Refused(sentence, int(ExitCode.USAGE)))
            self._tell_refused(sentence, ExitCode.USAGE)
            return
        if isinstance(message, say.Join):
            self._asked_to_join(client, message)
            return
        session = self._sessions.get(client)
        if session is None or session.gone is not None:
            return
        session.heard_ns, session.excused_ns = monotonic_ns(), 0
        self._take(session, message)
        self.changed.set()

    def _take(self, session: WorkerSession, message: say.Message) -> None:
        if isinstance(message, say.Echoed):
            knew_clock = session.has_clock
            session.echoed(message)
            if not session.has_clock:
                self._ping(session)
            elif not knew_clock:
                self._is_ready(session)
        elif isinstance(message, say.Ready):
            session.handover = message.handover
            self._is_ready(session)
        elif isinstance(message, say.Unable):
            self._sessions.pop(session.client)
            self._tell_refused(f"{session.name} cannot work: {message.sentence}", ExitCode(message.exit_code))
        elif isinstance(message, say.Left):
            self._is_gone(session, "left")
        else:
            if isinstance(message, say.WorkerStats):
                session.stats = message
            elif isinstance(message, say.ProcessUsage):
                session.cpu_s = message.cpu_s
            if self.listener is not None:
                self.listener(session, message)

    def _is_ready(self, session: WorkerSession) -> None:
        if self.on_ready is not None and session in self.ready:
            self.on_ready(session)

    def _asked_to_join(self, client: str, joined: say.Join) -> None:
        if client in self._sessions or any(client == waiting for waiting, _ in self._waiting_to_join):
            return
        if self._handover is None:
            self._waiting_to_join.append((client, joined))
        else:
            self._admit(client, joined)

    def _admit(self, client: str, joined: say.Join) -> None:
        why = None
        if self._own_children_only and joined.forked_from != os.getpid():
            # It belongs to another master, or to one that has ended.
            self._send(
                client,
                say.Refused(
                    f"the worker on {joined.host} is no child of the --processes of this master.", int(ExitCode.USAGE)
                ),
            )
            return
        if joined.version != __version__ or joined.protocol != say.PROTOCOL:
            why = f"it has aether-load {joined.version} and the master {__version__}: install the same release on both"
        elif joined.scenario is not None and joined.scenario != self._scenario:
            why = (
                f"its command line names another scenario (hash {joined.scenario}) than the master's "
                f"({self._scenario}): leave --scenario, --set, --dataset and all that shapes the load to the master"
            )
        if why is not None:
            sentence = f"the worker on {joined.host} (process {joined.pid}) is refused: {why}."
            self._send(client, say.Refused(sentence, int(ExitCode.USAGE)))
            self._tell_refused(sentence, ExitCode.USAGE)
        else:
            session = self._sessions[client] = WorkerSession(client, self._numbers, joined)
            self._numbers += 1
            self._ping(session)
            self._send_handover(session)

    # Lost workers

    def _ping(self, session: WorkerSession) -> None:
        self.send(session, say.Ping(monotonic_ns()))

    def _watch_for_ever(self) -> None:
        looked_ns = monotonic_ns()
        while True:
            gevent.sleep(PING_INTERVAL_S)
            now_ns = monotonic_ns()
            # What this process slept through, stopped or starved, is no silence of theirs.
            overslept_ns = max(0, now_ns - looked_ns - int(PING_INTERVAL_S * 1e9))
            looked_ns = now_ns
            clients: Mapping[str, Any] = self._runner.clients
            for session in self.expected:
                known = clients.get(session.client)
                session.excused_ns += overslept_ns
                is_missing = known is not None and known.state == "missing"
                if is_missing or now_ns - session.heard_ns - session.excused_ns > SILENCE_S * 1e9:
                    self._is_gone(session, "lost")
                else:
                    self._ping(session)
            self.changed.set()

    def _is_gone(self, session: WorkerSession, how: str) -> None:
        session.gone = how
        if how == "lost":
            # Should it come back, its samples have no place any more.
            self.dismiss(session, f"{session.name} did not answer for {SILENCE_S:g} s and was given up by the master.")
        if self.on_gone is not None:
            self.on_gone(session)
        self.changed.set()
