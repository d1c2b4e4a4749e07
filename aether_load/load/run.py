"""Keep one run: its folder, its records on their way to the disk, and its observer."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Protocol

import gevent
import msgspec

from aether_load.errors import ResultsError
from aether_load.load.observer_client import (
    FLUSH_LIMIT_S,
    SCRAPE_LIMIT_S,
    CommandFailed,
    ObserverClient,
    ObserverLost,
)
from aether_load.load.process.guard import guarded
from aether_load.load.process.loop_watch import LoopWatch
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.observer import messages as say
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, Manifest
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_writer import RecordWriter

if TYPE_CHECKING:
    from aether_load.dag.sent_dag import WorkloadDag
    from aether_load.dag.workload import Workload
    from aether_load.load.sending.target_client import TargetClient
    from aether_load.scenario.scenario import Scenario
    from aether_load.scenario.stage import Stage

WRITE_INTERVAL_S = 0.25
_LOOK_INTERVAL_S = 1.0
_BALLAST_BYTES = 4 << 20


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


class RecordSink(Protocol):
    """Where a run's records go, from wherever they come."""

    def write_out(self) -> None:
        """Hand everything there is to the operating system; raises OSError, with nothing lost, when it refuses."""

    def end(self) -> None:
        """Accept no further records."""

    def close(self) -> None:
        """Close the files; everything is written, or was rescued."""

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the run's own disk refused elsewhere; return each file and whose tail it is; raises OSError."""

    def rows_total(self) -> dict[str, int]:
        """Return how many rows each file has, or would have if the disk had taken them."""


class OwnRecords:
    """The records of this process, on their way into the run's one file."""

    def __init__(self, buffer: RecordBuffer, path: Path) -> None:
        """Create the file; raises OSError."""
        self._buffer = buffer
        self._writer = RecordWriter(buffer, path)
        self._loop_watch = LoopWatch(buffer)

    def write_out(self) -> None:
        """Write what the buffer holds; users have their turn between two blocks."""
        self._buffer.seal()
        while self._writer.write_block():
            gevent.sleep(0)

    def close(self) -> None:
        """Close the file."""
        self._writer.close()

    def end(self) -> None:
        """Stop watching the event loop, and accept no further records."""
        self._loop_watch.close()
        self._buffer.finish()

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the disk refused to a file elsewhere, as the continuation of the run's own."""
        return [(path, self._writer.path.name)] if self._writer.rescue(path) else []

    def rows_total(self) -> dict[str, int]:
        """Return how many requests were recorded."""
        return {self._writer.path.name: self._buffer.rows_total}


class Run:
    """One run as its folder, its records, and the observer that does everything else."""

    def __init__(
        self,
        folder: RunFolder,
        manifest: Manifest,
        scenario: Scenario,
        workload: Workload,
        targets: Sequence[TargetClient],
        records: RecordSink,
        observer: ObserverClient,
        begin: say.Begin,
    ) -> None:
        """Take in the targets: one runtime, or the two of a gate, whose phases are one a side."""
        self.folder = folder
        self.manifest = manifest
        self.scenario = scenario
        self.workload = workload
        self.ending = RunEnding()
        self.observer = observer
        self._targets = tuple(targets)
        self.target = self._targets[0]
        self._records = records
        self._refusal: str | None = None
        self.rescued: list[str] = []
        self._lay_ballast()
        folder.write_manifest(manifest)
        observer.on_refused = self._on_refused
        observer.wait_until_ready()
        observer.send(begin)
        self._greenlets = [
            gevent.spawn(guarded(self._write_for_ever, lambda sentence, _: self.fail(sentence))),
            gevent.spawn(self._watch_observer),
        ]

    # The server, by the observer

    def turn_to(self, stage: Stage) -> None:
        """Read and ask the stage's target from now on, with nothing in flight."""
        place = stage.phase if len(self._targets) > 1 else 0
        self.target = self._targets[place]
        self.observer.send(say.Turn(target=place))

    def scrape(self, phase: str, role: str) -> None:
        """Have /metrics read now, and wait for it; what does not come is in the reading, not an error here."""
        if not self.scenario.target.server_metrics:
            return
        try:
            # A reading waits for the one that is under way.
            limit_s = SCRAPE_LIMIT_S + 2 * self.scenario.target.server_metrics_timeout
            self.observer.call(say.Scrape(phase=phase, role=role), limit_s)  # type: ignore[arg-type]
        except (ObserverLost, CommandFailed):
            return

    def read_processes(self) -> None:
        """Have it noted what the processes have taken by now."""
        self.observer.send(say.ReadProcesses())

    # What is written

    def flush(self) -> None:
        """Hand everything recorded so far to the operating system.

        A full disk is met by giving the ballast back to it, which makes room for the last seconds and for the
        results. The run ends then, and what is still refused waits in memory for the next try.
        """
        self._on_what_room_there_is(self._records.write_out)

    def let_observer_catch_up(self) -> None:
        """Wait until the observer has read all records and written all that it has to."""
        self.flush()
        try:
            self.observer.call(say.Flush(), FLUSH_LIMIT_S)
        except ObserverLost:
            return
        except CommandFailed as refusal:
            self._on_refused(str(refusal))

    def save_manifest(self) -> None:
        """Have run.json written as it now stands."""
        if self.observer.lost.is_set():
            self._on_what_room_there_is(lambda: self.folder.write_manifest(self.manifest))
        else:
            self.observer.send(say.Save(content=msgspec.json.encode(self.manifest)))

    def list_dag(self, dag: WorkloadDag) -> None:
        """Have the nodes of a further DAG in run.json before a request is sent in it."""
        self.manifest.list_dag(dag)
        self.save_manifest()

    def _on_what_room_there_is(self, write: Callable[[], None]) -> OSError | None:
        """Write, if need be once more without the ballast; return the error that remains, if any."""
        try:
            write()
        except OSError as refusal:
            self._on_refused(refusal.strerror or str(refusal))
            try:
                write()
            except OSError as error:
                return error
        return None

    def _on_refused(self, reason: str) -> None:
        self._drop_ballast()
        self._refusal = self._refusal or reason
        self.ending.end(EndReason.FOLDER_GONE if self.folder.is_gone else EndReason.DISK_FULL)

    def _write_for_ever(self) -> None:
        looked_at = monotonic()
        while True:
            gevent.sleep(WRITE_INTERVAL_S)
            self.flush()
            if monotonic() >= looked_at + _LOOK_INTERVAL_S:
                looked_at = monotonic()
                if self.folder.is_gone:
                    self.ending.end(EndReason.FOLDER_GONE, 0)

    def _watch_observer(self) -> None:
        self.observer.lost.wait()
        self.ending.end(EndReason.OBSERVER_LOST)

    # The end

    def fail(self, sentence: str, reason: EndReason = EndReason.FAILED) -> None:
        """End the run in order, without waiting for answers, because something went wrong that nobody asked for."""
        self.manifest.notes.append(f"The run was ended early: {sentence}")
        self.ending.end(reason, 0)

    def close(self) -> None:
        """Write what is left, and say in the manifest how the run ended; run.json is written with the results."""
        gevent.killall(self._greenlets)
        for target in self._targets:
            target.close()
        manifest = self.manifest
        manifest.ended = now()
        self._records.end()
        refusal = self._on_what_room_there_is(self._records.write_out)
        self._drop_ballast()
        if refusal is not None:
            self._rescue(refusal)
        self._records.close()
        if self._refusal is not None:
            manifest.notes.append(f"The disk refused to take more ({self._refusal}), so the run was ended early.")
        if self.ending.reason is EndReason.OBSERVER_LOST:
            manifest.notes.append(f"The observer was lost ({self.observer.why}), so the run was ended early.")
        manifest.ended_as = self.ending.ended_as
        manifest.rows_total = self._records.rows_total()

    def write_manifest_alone(self) -> None:
        """Write the final run.json without the observer; raises ResultsError."""
        try:
            self.folder.write_manifest(self.manifest)
        except OSError as error:
            raise ResultsError(
                f"{self.folder.manifest} could not be written at the end ({error.strerror}). "
                f"{self.folder.what_is_left()}"
            ) from None

    def _lay_ballast(self) -> None:
        """Take some room on the disk now, to have it when the disk is full."""
        try:
            self.folder.ballast.write_bytes(bytes(_BALLAST_BYTES))
        except OSError:
            self._drop_ballast()

    def _drop_ballast(self) -> None:
        with suppress(OSError):
            self.folder.ballast.unlink(missing_ok=True)

    def _rescue(self, error: OSError) -> None:
        """Put what the run's own disk refuses where there may be room, and say so in the manifest."""
        path = Path(tempfile.gettempdir()) / f"{self.folder.path.name}-records-tail.bin"
        try:
            for lies_in, belongs_to in self._records.rescue(path):
                self.rescued.append(
                    f"The disk refused the last records ({error.strerror}); they lie in {lies_in}: append that file "
                    f"to {belongs_to}."
                )
        except OSError:
            # A part of them would be taken for all.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self.rescued.append(f"The disk refused the last records ({error.strerror}); they are lost.")
        self.manifest.notes += self.rescued
