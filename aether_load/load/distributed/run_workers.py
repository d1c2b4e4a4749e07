"""Keep the workers of a run: each one's share, and who takes part in the current stage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic_ns
from typing import TYPE_CHECKING, Literal

from gevent.event import Event

from aether_load.load.distributed.worker_session import Part
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, LossRecord
from aether_load.schedule.shard import Share, shares

if TYPE_CHECKING:
    from aether_load.load.distributed.worker_registry import WorkerSession
    from aether_load.load.run import Run
    from aether_load.rundata.manifest import PhaseRecord


class RunWorkers:
    """The parts of a run; a worker that comes late has one from its coming on, and a share from the next stage on."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.parts: dict[int, Part] = {}
        self.record: PhaseRecord | None = None
        self.is_closing = False
        self.drained = Event()
        self.drained.set()
        self._active: list[WorkerSession] = []

    @property
    def there(self) -> list[WorkerSession]:
        """Return the workers that are there."""
        return [part.session for part in self.parts.values() if part.session.gone is None]

    @property
    def active_there(self) -> list[WorkerSession]:
        """Return those of them that have a share."""
        return [session for session in self._active if session.gone is None]

    def of_active(self) -> list[Part]:
        """Return their parts."""
        return [self.parts[session.number] for session in self.active_there]

    def shared(self) -> list[tuple[WorkerSession, Share]]:
        """Return them with their shares."""
        there = self.active_there
        return list(zip(there, shares(len(there)), strict=True))

    def activate(self, most: int | None) -> None:
        """Give a share to `most` of those that are there, or to all: from the next stage on."""
        self._active = self.there[:most]

    def add(self, session: WorkerSession) -> bool:
        """Give a worker its part; False where it has one."""
        if session.number in self.parts:
            return False
        self.parts[session.number] = Part(session)
        return True

    def take_leave(self, session: WorkerSession) -> None:
        """Take note that a worker is about to end in order; what it has yet to hand in, it hands in."""
        if not self.is_closing:
            # After its last phase it owes nothing.
            self._book_loss(session, "left")

    def lose(self, session: WorkerSession) -> None:
        """Take note that a worker is gone, and of what it took with it."""
        part = self.parts.get(session.number)
        if part is None:
            return
        if session.gone == "lost" and not (part.closed and self.is_closing):
            # One that was told to close, and has, owes nothing any more.
            self._book_loss(session, "lost")
        self.see_whether_drained()

    def _book_loss(self, session: WorkerSession, how: Literal["lost", "left"]) -> None:
        part, record = self.parts[session.number], self.record
        phase = record if record is not None and record.ended is None and session in self._active else None
        if phase is not None:
            phase.users = None
        part.loss = LossRecord(
            at=_instant_of(session.heard_ns),
            # One that dies while it leaves was missed from then on.
            phase=phase.name if phase else part.loss.phase if part.loss else None,
            how=how,
            received_total=part.rows_received,
            announced_total=part.rows_received if how == "left" else part.announced,
        )
        self.write_down()

    def write_down(self) -> None:
        """Bring the manifest's workers up to date, and write it."""
        self._run.manifest.workers = [part.record() for part in self.parts.values()]
        self._run.save_manifest()

    def window_opened(self) -> None:
        """Write down since when the window is open: from the first worker's to the last one's end."""
        assert self.record is not None
        opened = [part.window_began_ns for part in self.of_active() if part.window_began_ns is not None]
        if self.record.window_began_ns is None or min(opened) < self.record.window_began_ns:
            self.record.window_began_ns = min(opened)
            self._run.save_manifest()

    def window_ended(self) -> None:
        """Write down when it was shut: with the last worker's."""
        if self.record is not None:
            ended = [part.window_ended_ns for part in self.of_active() if part.window_ended_ns is not None]
            self.record.window_ended_ns = max(ended, default=None)

    def see_whether_drained(self) -> None:
        """Set `drained` when no worker has anything in flight."""
        if all(part.drained for part in self.of_active()):
            self.drained.set()


def _instant_of(monotonic_then_ns: int) -> ClockPair:
    """Return an instant that is just over on both clocks."""
    then = datetime.now(UTC) - timedelta(seconds=(monotonic_ns() - monotonic_then_ns) / 1e9)
    return ClockPair(monotonic_then_ns, then.strftime(UTC_FORMAT))
