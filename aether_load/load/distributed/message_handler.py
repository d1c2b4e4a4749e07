"""Handle the messages of a run's workers: records for the folder, replies, and states."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gevent

from aether_load.load.distributed import messages as say
from aether_load.observer.messages import Usage
from aether_load.rundata.process_usage import SenderReading

if TYPE_CHECKING:
    from aether_load.load.distributed.run_workers import RunWorkers
    from aether_load.load.distributed.sample_receiver import SampleReceiver
    from aether_load.load.distributed.worker_registry import WorkerRegistry, WorkerSession
    from aether_load.load.distributed.worker_session import Part
    from aether_load.load.run import Run

_Answer = say.Mustered | say.Warmed | say.Rested | say.WindowOpened | say.Driven | say.Drained | say.HandedIn
_ANSWERS = (say.Mustered, say.Warmed, say.Rested, say.WindowOpened, say.Driven, say.Drained, say.HandedIn)


class MessageHandler:
    """Takes every message where it belongs; an answer counts for the question that was asked last."""

    def __init__(
        self, run: Run, registry: WorkerRegistry, sample_receiver: SampleReceiver, run_workers: RunWorkers
    ) -> None:
        self._run = run
        self._registry = registry
        self._sample_receiver = sample_receiver
        self._run_workers = run_workers
        self._question = 0
        self.is_over = False

    def ask(self) -> int:
        """Return the number of a new question."""
        self._question += 1
        return self._question

    def take(self, session: WorkerSession, message: say.Message) -> None:
        """Take a message of a worker."""
        part = self._run_workers.parts.get(session.number)
        if part is None or self.is_over:
            return
        if isinstance(message, say.Parcel):
            self._take_parcel(session, part, message)
        elif isinstance(message, say.WorkerStats):
            part.stats = message
        elif isinstance(message, say.ProcessUsage):
            at_ns = session.to_run(message.at_ns)
            reading = SenderReading(session.number, at_ns, message.cpu_s, message.resident_bytes)
            self._run.observer.send(Usage(reading=reading))
        elif isinstance(message, say.Announced):
            part.announced = max(part.announced, message.upto)
        elif isinstance(message, say.Noted):
            self._run.manifest.notes.append(f"Worker {session.number}: {message.sentence}")
        elif isinstance(message, say.NewDag):
            self._run.list_dag(message.dag)
        elif isinstance(message, say.Leaving):
            self._run_workers.take_leave(session)
        elif isinstance(message, say.Closed):
            if message.run == self._run.manifest.id:
                part.close(message)
        elif isinstance(message, _ANSWERS) and message.number == self._question:
            self._answered(session, part, message)

    def _answered(self, session: WorkerSession, part: Part, message: _Answer) -> None:
        if isinstance(message, say.Mustered):
            part.mustered = True
        elif isinstance(message, say.Warmed):
            part.warmed = True
        elif isinstance(message, say.Rested):
            part.rested = True
        elif isinstance(message, say.HandedIn):
            part.handed_in = True
        elif isinstance(message, say.WindowOpened):
            part.window_began_ns = session.to_run(message.began_ns)
            self._run_workers.window_opened()
        else:
            part.take_window(message.window_began_ns, message.window_ended_ns)
            if isinstance(message, say.Driven):
                part.ended_by = message.ended_by
            else:
                part.drained = True
                self._run_workers.window_ended()
                self._run_workers.see_whether_drained()

    def _take_parcel(self, session: WorkerSession, part: Part, parcel: say.Parcel) -> None:
        run = self._run.manifest.id
        if parcel.run != run:
            return
        if parcel.number == part.parcels:
            part.parcels += 1
            part.rows_received += parcel.rows
        written = self._sample_receiver.take(session.number, parcel.number, parcel.rows, parcel.data)
        if written is None:
            # The run's own flush meets the full disk, with the ballast, and says so.
            self._run.flush()
            written = self._sample_receiver.written().get(session.number)
        if written is not None:
            self._registry.send(session, say.Received(run, written))
        # Where parcels never end the rest of this process would have no turn: readings, pings, the page.
        gevent.sleep(0)
