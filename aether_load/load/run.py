"""Keep one run: its folder, its records on their way to the disk, and its observer."""

from __future__ import annotations

from collections.abc import Sequence

import gevent
import msgspec

from aether_load.dag.sent_dag import WorkloadDag
from aether_load.dag.workload import Workload
from aether_load.errors import ResultsError
from aether_load.load.observer_client import (
    FLUSH_LIMIT_S,
    SCRAPE_LIMIT_S,
    CommandFailed,
    ObserverClient,
    ObserverLost,
)
from aether_load.load.process.guard import guarded
from aether_load.load.run_disk import RunDisk
from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.load.run_records import RecordSink
from aether_load.load.sending.target_client import TargetClient
from aether_load.observer import messages as say
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest, now
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import Stage


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
        self.follow_user_count = False
        """Whether every user is active that Locust has spawned: its page or a load shape decides how many."""
        self._records = records
        self._disk = RunDisk(folder, records, self.ending)
        folder.write_manifest(manifest)
        observer.on_refused = self._disk.refuse
        observer.wait_until_ready()
        observer.send(begin)
        self._greenlets = [
            gevent.spawn(guarded(self._disk.flush_for_ever, lambda sentence, _: self.fail(sentence))),
            gevent.spawn(self._watch_observer),
        ]

    @property
    def rescued(self) -> list[str]:
        """Return a sentence for each file outside the folder that holds what the disk refused at the end."""
        return self._disk.rescued

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
        """Hand everything recorded so far to the operating system."""
        self._disk.flush()

    def let_observer_catch_up(self) -> None:
        """Wait until the observer has read all records and written all that it has to."""
        self.flush()
        try:
            self.observer.call(say.Flush(), FLUSH_LIMIT_S)
        except ObserverLost:
            return
        except CommandFailed as refusal:
            self._disk.refuse(str(refusal))

    def save_manifest(self) -> None:
        """Have run.json written as it now stands."""
        if self.observer.lost.is_set():
            self._disk.write(lambda: self.folder.write_manifest(self.manifest))
        else:
            self.observer.send(say.Save(content=msgspec.json.encode(self.manifest)))

    def list_dag(self, dag: WorkloadDag) -> None:
        """Have the nodes of a further DAG in run.json before a request is sent in it."""
        self.manifest.list_dag(dag)
        self.save_manifest()

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
        manifest.notes += self._disk.close()
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
