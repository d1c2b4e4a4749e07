"""One start of the load, from its folder made to its last sample written."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns, process_time
from typing import TYPE_CHECKING, Protocol

import gevent
import psutil

from aether_load.errors import ResultsError
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.line_file import LineFile
from aether_load.rundata.manifest import UTC_FORMAT, ClockPair, Ended, Manifest
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.sample_reader import SamplePart, compact
from aether_load.rundata.samples import SampleFile
from aether_load.rundata.scrapes import RawScrape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aether_load.dag.workload import Workload
    from aether_load.load.sending.sender_context import SenderContext
    from aether_load.load.sending.target_client import TargetClient
    from aether_load.scenario.scenario import Scenario
    from aether_load.scenario.stage import Stage

FLUSH_INTERVAL_S = 0.5
_BALLAST_BYTES = 4 << 20


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


class SampleSink(Protocol):
    """Where a run's samples go, from wherever they come."""

    def write_out(self) -> None:
        """Hand everything there is to the operating system; raises OSError, with nothing lost, when it refuses."""

    def close(self) -> None:
        """Write the end of it and what still waits; raises OSError."""

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the run's own disk refused elsewhere; return each file and whose tail it is; raises OSError."""

    def compact(self) -> None:
        """Make what was written one file of few large batches."""


class OwnSamples:
    """The samples of this process's own sender_context, on their way into the run's one file."""

    def __init__(self, sender_context: SenderContext, path: Path) -> None:
        self._sender_context = sender_context
        self._path = path
        self._file = SampleFile(path)

    def write_out(self) -> None:
        """Write what the sender_context's buffer holds."""
        self._sender_context.feed.flush()
        while (batch := self._sender_context.buffer.take()) is not None:
            self._file.append(batch)
            # Between two chunks the users have their turn: an answer that is in waits no longer than one.
            gevent.sleep(0)
        self._file.write_out()

    def close(self) -> None:
        """Write the stream's end and what still waits."""
        self._file.close()

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the disk refused to a file elsewhere, as the stream's continuation in bytes."""
        self._file.rescue(path)
        return [(path, self._path.name)]

    def compact(self) -> None:
        """Rewrite the file's many small batches as few large ones."""
        compact([SamplePart(self._path)], self._path)


class Run:
    """One run as its folder and its target's sides: what is read of the server, and what is written."""

    def __init__(
        self,
        folder: RunFolder,
        manifest: Manifest,
        scenario: Scenario,
        workload: Workload,
        sides: Sequence[TargetClient],
        samples: SampleSink,
    ) -> None:
        """Take in `sides` what is sent to: one runtime, or the two of a gate, whose phases are one a side."""
        self.folder = folder
        self.manifest = manifest
        self.scenario = scenario
        self.workload = workload
        self._sides = tuple(sides)
        self.side = self._sides[0]
        self.on_scrape: Callable[[RawScrape], None] | None = None
        self.disk_is_full = gevent.event.Event()
        self.stopped_because = "stopped"
        self._refusal: str | None = None
        self._samples = samples
        self._scrapes = LineFile(folder.scrapes)
        self._sender = LineFile(folder.sender)
        self._server = LineFile(folder.server)
        self._process = psutil.Process()
        self._lay_ballast()
        folder.write_manifest(manifest)
        self._flusher = gevent.spawn(self._flush_for_ever)

    def why_stopped(self) -> str:
        """Return what ended a phase before its time."""
        if self.disk_is_full.is_set():
            return "refused by the disk"
        return self.stopped_because if self.manifest.aborted is None else "threshold"

    def turn_to(self, stage: Stage) -> None:
        """Read and ask the stage's side of the target from now on."""
        self.side = self._sides[stage.phase if len(self._sides) > 1 else 0]

    def scrape(self, phase: str, role: str) -> RawScrape:
        """Read /metrics once and keep what came, or why nothing did."""
        began = now()
        text, error = self.side.read_metrics()
        scrape = RawScrape(
            phase=phase,
            role=role,
            began_ns=began.monotonic_ns,
            ended_ns=monotonic_ns(),
            began_utc=began.utc,
            text=text,
            error=error,
        )
        self._scrapes.append(scrape)
        if self.on_scrape is not None:
            self.on_scrape(scrape)
        return scrape

    def read_sender(self, worker: int = 0) -> None:
        """Note what this process has taken of CPU and memory so far, as that worker, and what the target's has."""
        self.note_sender(
            SenderReading(
                worker=worker,
                at_ns=monotonic_ns(),
                cpu_s=process_time(),
                resident_bytes=self._process.memory_info().rss,
            )
        )
        if (of_server := self.side.read_process()) is not None:
            self._server.append(of_server)

    def note_sender(self, reading: SenderReading) -> None:
        """Note what a sending process has taken."""
        self._sender.append(reading)

    def flush(self) -> None:
        """Hand everything measured so far to the operating system.

        A full disk is met by giving the ballast back to it, which makes room for the last seconds and for the
        results; `disk_is_full` tells the run to end, and what is still refused waits in memory for the next try.
        """
        self._on_what_room_there_is(self._write_out)

    def save_manifest(self) -> None:
        """Write run.json as it now stands; on a full disk the older one stays until there is room."""
        self._on_what_room_there_is(lambda: self.folder.write_manifest(self.manifest))

    def _on_what_room_there_is(self, write: Callable[[], None]) -> OSError | None:
        """Write, if need be once more without the ballast; return the error that remains, if any."""
        try:
            write()
        except OSError as refusal:
            self._drop_ballast()
            self._refusal = self._refusal or refusal.strerror
            self.disk_is_full.set()
            try:
                write()
            except OSError as error:
                return error
        return None

    def close(self, ended_as: Ended) -> None:
        """Write what is left, say how the run ended, and make the samples one compact file."""
        self._flusher.kill()
        for side in self._sides:
            side.close()
        ended = now()
        refusal = self._on_what_room_there_is(self._write_out)
        self._drop_ballast()
        refusal = self._close_samples() or refusal
        self._scrapes.close()
        self._sender.close()
        self._server.close()
        if refusal is not None:
            self._rescue(refusal)
        if self.disk_is_full.is_set():
            self.manifest.notes.append(f"The disk refused to take more ({self._refusal}), so the run was ended early.")
        self.manifest.ended = ended
        self.manifest.ended_as = ended_as
        try:
            self.folder.write_manifest(self.manifest)
        except OSError as error:
            raise ResultsError(
                f"{self.folder.manifest} could not be written at the end ({error.strerror}); the samples are safe. "
                f"Make room, then: aether-load report {self.folder.path}"
            ) from None
        if not self.disk_is_full.is_set():
            self._samples.compact()

    def _close_samples(self) -> OSError | None:
        try:
            self._samples.close()
        except OSError as error:
            return error
        return None

    def _write_out(self) -> None:
        self._samples.write_out()
        self._scrapes.write_out()
        self._sender.write_out()
        self._server.write_out()

    def _flush_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_INTERVAL_S)
            self.flush()

    def _lay_ballast(self) -> None:
        """Take some room on the disk now, to have it when the disk is full."""
        try:
            self.folder.ballast.write_bytes(bytes(_BALLAST_BYTES))
        except OSError:
            self.folder.ballast.unlink(missing_ok=True)

    def _drop_ballast(self) -> None:
        self.folder.ballast.unlink(missing_ok=True)

    def _rescue(self, error: OSError) -> None:
        """Put what the run's own disk refuses where there may be room, and say so in the manifest."""
        path = Path(tempfile.gettempdir()) / f"{self.folder.path.name}-samples-tail.arrow"
        try:
            for lies_in, belongs_to in self._samples.rescue(path):
                self.manifest.notes.append(
                    f"The disk refused the last samples ({error.strerror}); they lie in {lies_in}: append that file "
                    f"to {belongs_to}."
                )
        except OSError:
            self.manifest.notes.append(f"The disk refused the last samples ({error.strerror}); they are lost.")
