"""Handle the messages of a run's workers: records for the folder, replies, and states."""

from __future__ import annotations

import gevent

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.run_worker import Answer, RunWorker
from aether_load.load.distributed.master.run_workers import RunWorkers
from aether_load.load.distributed.master.sample_receiver import SampleReceiver
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.run import Run
from aether_load.observer.messages import Usage
from aether_load.rundata.process_usage import SenderReading


class MessageHandler:
    """Takes every message where it belongs; an answer counts for the question that was asked last."""

    def __init__(self, run: Run, sample_receiver: SampleReceiver, workers: RunWorkers) -> None:
        self._run = run
        self._sample_receiver = sample_receiver
        self._workers = workers
        self._begin = say.Begin(run.manifest.id, run.follow_user_count)
        self._question = 0

    def ask(self) -> int:
        """Return the number of a new question."""
        self._question += 1
        return self._question

    def on_ready(self, session: WorkerSession) -> None:
        """Have a worker take part from the next phase on."""
        if self._workers.add(session):
            session.send(self._begin)
            self._workers.write_down()

    def on_gone(self, session: WorkerSession) -> None:
        """Take note of what is lost with a worker."""
        self._workers.lose(session)

    def on_message(self, session: WorkerSession, message: say.Message) -> None:
        """Take a message of a worker."""
        worker = self._workers.by_number.get(session.number)
        if worker is None:
            return
        if isinstance(message, say.Parcel):
            self._take_parcel(worker, message)
        elif isinstance(message, say.WorkerStats):
            worker.tally = message.tally
        elif isinstance(message, say.ProcessUsage):
            at_ns = session.to_run(message.at_ns)
            reading = SenderReading(session.number, at_ns, message.cpu_s, message.resident_bytes)
            self._run.observer.send(Usage(reading=reading))
        elif isinstance(message, say.Announced):
            worker.announced = max(worker.announced, message.upto)
        elif isinstance(message, say.Noted):
            self._run.manifest.notes.append(f"Worker {session.number}: {message.sentence}")
        elif isinstance(message, say.NewDag):
            self._run.list_dag(message.dag)
        elif isinstance(message, say.Leaving):
            self._workers.take_leave(worker)
        elif isinstance(message, say.Closed):
            if message.run == self._run.manifest.id:
                worker.close(message)
        elif isinstance(message, Answer) and message.number == self._question:
            self._take_answer(worker, message)

    def _take_answer(self, worker: RunWorker, answer: Answer) -> None:
        worker.answer(answer)
        if isinstance(answer, say.WindowOpened):
            self._workers.window_opened()
        elif isinstance(answer, say.Drained):
            self._workers.window_ended()
            self._workers.see_whether_drained()

    def _take_parcel(self, worker: RunWorker, parcel: say.Parcel) -> None:
        session, run = worker.session, self._run.manifest.id
        if parcel.run != run:
            return
        written = self._sample_receiver.take(session.number, parcel.number, parcel.rows, parcel.data)
        if written is None:
            # The run's own flush meets the full disk, with the ballast, and says so.
            self._run.flush()
            written = self._sample_receiver.written().get(session.number)
        if written is not None:
            session.send(say.Received(run, written))
        # Where parcels never end the rest of this process would have no turn: readings, pings, the page.
        gevent.sleep(0)
