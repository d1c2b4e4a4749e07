"""Keep the workers of a run: each one's share, and who takes part in the current stage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic_ns
from typing import Literal

from gevent.event import Event

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.run_worker import Answer, RunWorker
from aether_load.load.distributed.master.sample_receiver import SampleReceiver
from aether_load.load.distributed.master.worker_session import WorkerSession
from aether_load.load.run import Run
from aether_load.load.sending.sender_context import Tally
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, LossRecord, PhaseRecord
from aether_load.schedule.shard import Share, shares


class RunWorkers:
    """All workers of a run by their numbers; one that comes late has a share from the next stage on."""

    def __init__(self, run: Run, sample_receiver: SampleReceiver) -> None:
        self._run = run
        self._sample_receiver = sample_receiver
        self.by_number: dict[int, RunWorker] = {}
        self.record: PhaseRecord | None = None
        self.is_closing = False
        self.drained = Event()
        self.drained.set()
        self._active: list[RunWorker] = []

    @property
    def there(self) -> list[RunWorker]:
        """Return the workers that are there."""
        return [worker for worker in self.by_number.values() if worker.session.gone is None]

    @property
    def active(self) -> list[RunWorker]:
        """Return those of them that have a share."""
        return [worker for worker in self._active if worker.session.gone is None]

    def without(self, *answers: type[Answer]) -> list[RunWorker]:
        """Return those of them that have given none of these answers."""
        return [worker for worker in self.active if not worker.has_answered(*answers)]

    def shares(self) -> list[tuple[RunWorker, Share]]:
        """Return them with their shares."""
        active = self.active
        return list(zip(active, shares(len(active)), strict=True))

    def activate(self, most: int | None) -> None:
        """Give a share to `most` of those that are there, or to all: from the next stage on."""
        self._active = self.there[:most]

    def tell(self, message: say.Message) -> None:
        """Send a message to all that have a share."""
        for worker in self.active:
            worker.session.send(message)

    def tally(self) -> Tally:
        """Return the sums of what the workers reported last; users are those of workers that are there."""
        every = [worker.tally for worker in self.by_number.values()]
        there = [worker.tally for worker in self.there]
        return Tally(
            done=sum(tally.done for tally in every),
            failed=sum(tally.failed for tally in every),
            ready=sum(tally.ready for tally in there),
            active=sum(tally.active for tally in there),
            thinking=sum(tally.thinking for tally in there),
            waiting=sum(tally.waiting for tally in there),
            cpu_s=max((tally.cpu_s for tally in every), default=0.0),
        )

    def write_down(self) -> None:
        """Bring the manifest's workers up to date, and write it."""
        self._run.manifest.workers = [worker.record() for worker in self.by_number.values()]
        self._run.save_manifest()

    # Who comes and goes

    def add(self, session: WorkerSession) -> bool:
        """Have a worker take part; False where it does already."""
        if session.number in self.by_number:
            return False
        self.by_number[session.number] = RunWorker(session)
        return True

    def take_leave(self, worker: RunWorker) -> None:
        """Take note that a worker is about to end in order; what it has yet to hand in, it hands in."""
        if not self.is_closing:
            # After its last phase it owes nothing.
            self._record_loss(worker, "left")

    def lose(self, session: WorkerSession) -> None:
        """Take note that a worker is gone, and of what it took with it."""
        worker = self.by_number.get(session.number)
        if worker is None:
            return
        if session.gone == "lost" and not (worker.closed and self.is_closing):
            # One that was told to close, and has, owes nothing any more.
            self._record_loss(worker, "lost")
        self.see_whether_drained()

    def _record_loss(self, worker: RunWorker, how: Literal["lost", "left"]) -> None:
        record = self.record
        phase = record if record is not None and record.ended is None and worker in self._active else None
        if phase is not None:
            phase.users = None
        received = self._sample_receiver.rows_of(worker.session.number)
        worker.loss = LossRecord(
            at=_instant_of(worker.session.heard_ns),
            # One that dies while it leaves was missed from then on.
            phase=phase.name if phase else worker.loss.phase if worker.loss else None,
            how=how,
            received_total=received,
            announced_total=received if how == "left" else worker.announced,
        )
        self.write_down()

    # The window of a stage

    def window_opened(self) -> None:
        """Write down since when the window is open: from the first worker's to the last one's end."""
        assert self.record is not None
        opened = min(worker.window_began_ns for worker in self.active if worker.window_began_ns is not None)
        if self.record.window_began_ns is None or opened < self.record.window_began_ns:
            self.record.window_began_ns = opened
            self._run.save_manifest()

    def window_ended(self) -> None:
        """Write down when it was shut: with the last worker's."""
        if self.record is not None:
            ended = [worker.window_ended_ns for worker in self.active if worker.window_ended_ns is not None]
            self.record.window_ended_ns = max(ended, default=None)

    def see_whether_drained(self) -> None:
        """Set `drained` when no worker has anything in flight."""
        if not self.without(say.Drained):
            self.drained.set()


def _instant_of(monotonic_then_ns: int) -> ClockPair:
    """Return an instant that is just over on both clocks."""
    then = datetime.now(UTC) - timedelta(seconds=(monotonic_ns() - monotonic_then_ns) / 1e9)
    return ClockPair(monotonic_then_ns, then.strftime(UTC_FORMAT))
