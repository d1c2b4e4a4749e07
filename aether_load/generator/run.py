"""One start of the load, from its folder made to its last sample written."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic_ns, process_time
from typing import TYPE_CHECKING

import gevent
import msgspec
import psutil

from aether_load.analysis.line_file import LineFile
from aether_load.analysis.recorder import Recorder
from aether_load.analysis.run import UTC_FORMAT, ClockPair, Ended, Manifest, RunFolder, WorkerRecord
from aether_load.analysis.sample_reader import compact
from aether_load.analysis.samples import SampleBuffer, SampleFile
from aether_load.analysis.scrape import RawScrape
from aether_load.analysis.sender import SenderReading
from aether_load.analysis.summary import ResultsError
from aether_load.generator.locust_feed import LocustFeed
from aether_load.generator.pool import Pool
from aether_load.generator.valve import Valve

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aether_load.generator.side import Side
    from aether_load.workload.scenario import Scenario
    from aether_load.workload.stage import Stage
    from aether_load.workload.trace import Trace
    from aether_load.workload.workload import Workload

FLUSH_INTERVAL_S = 0.5
_BALLAST_BYTES = 4 << 20


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


class Run:
    """What the users of one run share, and the files that it grows in."""

    def __init__(
        self,
        folder: RunFolder,
        manifest: Manifest,
        scenario: Scenario,
        workload: Workload,
        sides: Sequence[Side],
        traces: Mapping[int, Trace],
        feed: LocustFeed,
    ) -> None:
        """Take in `sides` what is sent to: one runtime, or the two of a gate, whose phases are one a side."""
        self.folder = folder
        self.manifest = manifest
        self.scenario = scenario
        self.workload = workload
        self.sides = tuple(sides)
        self.side = 0
        self.traces = traces
        self.valve = Valve()
        self.pool = Pool()
        self.buffer = SampleBuffer(
            [prompt.id for prompt in workload.prompts], [prompt.dataset for prompt in workload.prompts]
        )
        self.recorder = Recorder(self.buffer, workload, feed.told)
        self._feed = feed
        self.on_scrape: Callable[[RawScrape], None] | None = None
        self.disk_is_full = gevent.event.Event()
        self._refusal: str | None = None
        self._samples = SampleFile(folder.samples)
        self._scrapes = LineFile(folder.scrapes)
        self._sender = LineFile(folder.sender)
        self._server = LineFile(folder.server)
        self._process = psutil.Process()
        self._lay_ballast()
        manifest.workers = [WorkerRecord(worker=0, pid=os.getpid(), began=manifest.began)]
        folder.write_manifest(manifest)
        self._flusher = gevent.spawn(self._flush_for_ever)

    def turn_to(self, stage: Stage) -> None:
        """Send to the stage's side, in the variant of requests that it asks for, from now on."""
        self.side = stage.phase if len(self.sides) > 1 else 0
        self.sides[self.side].book.use(stage)

    def scrape(self, phase: str, role: str) -> RawScrape:
        """Read /metrics once and keep what came, or why nothing did."""
        began = now()
        text, error = self.sides[self.side].read_metrics()
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

    def read_sender(self) -> None:
        """Note what this process has taken of CPU and memory so far, and what the target's has."""
        reading = SenderReading(
            worker=0, at_ns=monotonic_ns(), cpu_s=process_time(), resident_bytes=self._process.memory_info().rss
        )
        self._sender.append(reading)
        if (of_server := self.sides[self.side].read_process()) is not None:
            self._server.append(of_server)

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
        """Write what is left, say how the run ended, and make the sample file compact."""
        self._flusher.kill()
        for side in self.sides:
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
        worker = self.manifest.workers[0]
        self.manifest.workers = [
            msgspec.structs.replace(
                worker,
                ended=ended,
                connections_opened=self.pool.opened,
                stale_connections_reopened=self.pool.stale_reopened,
            )
        ]
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
            compact(self.folder.samples)

    def _close_samples(self) -> OSError | None:
        try:
            self._samples.close()
        except OSError as error:
            return error
        return None

    def _write_out(self) -> None:
        self._feed.flush()
        while (batch := self.buffer.take()) is not None:
            self._samples.append(batch)
            # Between two chunks the users have their turn: an answer that is in waits no longer than one.
            gevent.sleep(0)
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
            self._samples.rescue(path)
            self.manifest.notes.append(
                f"The disk refused the last samples ({error.strerror}); they lie in {path}: append that file to "
                "samples.arrow."
            )
        except OSError:
            self.manifest.notes.append(f"The disk refused the last samples ({error.strerror}); they are lost.")
