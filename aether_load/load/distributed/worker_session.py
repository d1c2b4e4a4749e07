"""Hold what a master knows of one worker in one run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aether_load.load.distributed import messages as say
from aether_load.load.run import now
from aether_load.rundata.manifest import LossRecord, WorkerRecord

if TYPE_CHECKING:
    from aether_load.load.distributed.worker_registry import WorkerSession


class Part:
    """What a worker has said of the run so far, and of the stage that is under way."""

    def __init__(self, session: WorkerSession) -> None:
        self.session = session
        self.began = now()
        self.stats = say.WorkerStats(0, 0, 0, 0, 0, 0)
        self.announced = 0
        self.parcels = 0
        self.rows_received = 0
        self.loss: LossRecord | None = None
        self.mustered = False
        self.drained = self.handed_in = True
        self.closed: say.Closed | None = None
        self._ended: Any = None
        self._clock = [session.clock()]
        self.begin_stage()

    def begin_stage(self) -> None:
        """Forget what was said of the stage before."""
        self.warmed = self.rested = False
        self.ended_by: str | None = None
        self.window_began_ns: int | None = None
        self.window_ended_ns: int | None = None
        self.drained = self.handed_in = False

    def take_window(self, began_ns: int | None, ended_ns: int | None) -> None:
        """Take in when the window was open here, by the worker's clock."""
        if began_ns is not None:
            self.window_began_ns = self.session.to_run(began_ns)
        if ended_ns is not None:
            self.window_ended_ns = self.session.to_run(ended_ns)

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
