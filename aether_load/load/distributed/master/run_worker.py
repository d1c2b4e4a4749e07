"""Hold what one worker has said of the run under way, and of its current stage."""

from __future__ import annotations

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.sending.sender_context import Tally
from aether_load.rundata.manifest import ClockPair, LossRecord, WorkerRecord, now

Answer = say.UsersReady | say.Warmed | say.Idle | say.WindowOpened | say.StageEnded | say.Drained | say.RecordsSent


class RunWorker:
    """A worker's part in one run."""

    def __init__(self, session: WorkerSession) -> None:
        self.session = session
        self.began = now()
        self.tally = Tally()
        self.announced = 0
        self.loss: LossRecord | None = None
        self.closed: say.Closed | None = None
        self._ended: ClockPair | None = None
        self._clock = [session.clock()]
        self.begin_stage()

    # A stage

    def begin_stage(self) -> None:
        """Forget what was said of the stage before."""
        self._answers: dict[type[Answer], Answer] = {}
        self.window_began_ns: int | None = None
        self.window_ended_ns: int | None = None

    def answer(self, message: Answer) -> None:
        """Keep an answer, and when the window was open here, by the run's clock."""
        self._answers[type(message)] = message
        if isinstance(message, say.WindowOpened):
            self.window_began_ns = self.session.to_run(message.began_ns)
        elif isinstance(message, say.StageEnded | say.Drained):
            if message.window_began_ns is not None:
                self.window_began_ns = self.session.to_run(message.window_began_ns)
            if message.window_ended_ns is not None:
                self.window_ended_ns = self.session.to_run(message.window_ended_ns)

    def has_answered(self, *kinds: type[Answer]) -> bool:
        """Tell whether it has given an answer of one of these kinds."""
        return any(kind in self._answers for kind in kinds)

    def forget(self, *kinds: type[Answer]) -> None:
        """Take answers of these kinds for not given: they are asked for anew."""
        for kind in kinds:
            self._answers.pop(kind, None)

    @property
    def ended_by(self) -> str | None:
        """Return what ended the stage here, None before."""
        ended = self._answers.get(say.StageEnded)
        return ended.ended_by if isinstance(ended, say.StageEnded) else None

    # The run

    def read_clock(self) -> None:
        """Note what the worker's clock says at this point of the run."""
        reading = self.session.clock()
        if reading.at_ns > self._clock[-1].at_ns:
            self._clock.append(reading)

    def close(self, message: say.Closed) -> None:
        """Take note that the worker has handed in everything."""
        self.closed = message
        self._ended = now()

    def record(self) -> WorkerRecord:
        """Return what the manifest says of the worker."""
        closed = self.closed
        return WorkerRecord(
            worker=self.session.number,
            pid=self.session.pid,
            host=self.session.host,
            began=self.began,
            ended=self._ended,
            connections_opened=closed.connections_opened if closed else None,
            stale_connections_reopened=closed.stale_connections_reopened if closed else None,
            requests_total=closed.requests_total if closed else None,
            clock=tuple(self._clock),
            utc_ahead_s=round(self.session.utc_ahead_s, 3),
            loss=self.loss,
        )
