"""Keep what the runs of one process share: the prepared load, the observer, the runtime it started."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from aether_load.environment import git_state, machine, versions
from aether_load.errors import UsageError
from aether_load.load.observer_client import ObserverClient
from aether_load.load.observer_process import ObserverProcess
from aether_load.load.run import Run
from aether_load.load.run_records import OwnRecords, RecordSink
from aether_load.load.sending.sender_context import SenderContext
from aether_load.load.session.embedded import EmbeddedRuntime
from aether_load.load.session.prepared_load import PreparedLoad, prepare_load
from aether_load.load.session.self_check import SelfCheckFailed, check_self
from aether_load.observer.messages import Begin
from aether_load.protocol import Generation
from aether_load.redaction import REDACTOR
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest, WorkerRecord, now
from aether_load.rundata.process_usage import MASTER
from aether_load.runtime_client import check_url
from aether_load.scenario.command_line.secrets import hidden_command
from aether_load.scenario.load import to_plain
from aether_load.text import with_encodable_texts

if TYPE_CHECKING:
    from aether_load.load.progress import ProgressLine
    from aether_load.load.sending.locust_feed import LocustFeed
    from aether_load.load.sending.target_client import TargetClient
    from aether_load.rundata.process_usage import SelfCheck
    from aether_load.scenario.gate_plan import GatePlan
    from aether_load.scenario.scenario import Scenario

Records = TypeVar("Records", bound=RecordSink)


class Session:
    """One Locust process's preparations; each start of the load makes a run of its `load`."""

    load: PreparedLoad

    def __init__(self, results: Path, line: ProgressLine) -> None:
        """Start the observer; it becomes ready while other things are prepared."""
        self._results = results
        self._line = line
        self._observer = ObserverClient(ObserverProcess())
        self._embedded: EmbeddedRuntime | None = None
        self._self_check: tuple[SelfCheck | None, str | None] = None, "the self-check was left out (--no-self-check)"
        self.has_live_view = False
        """Whether a page or a port shows live figures."""
        self.follow_user_count = False
        """Whether the next run activates every user that Locust has spawned: its page or a load shape decides."""

    def prepare(self, scenario: Scenario, host: str | None, simulate: str | None, gate: GatePlan | None) -> None:
        """Prepare the load, on the simulated runtime where the command line names no host; raises AetherLoadError."""
        if host is None:
            self._line.show("starting the simulated runtime")
            self._embedded = EmbeddedRuntime(Generation(simulate or Generation.V2))
            host = self._embedded.url
        self.load = prepare_load(scenario, host, gate, self._line)
        self._line.clear()

    def check_self(self) -> None:
        """Measure what this client costs here; that it could not be measured is no reason to send nothing."""
        self._line.show("measuring what this client itself costs")
        try:
            self._self_check = check_self(self.load.workload, self.load.target.generation), None
        except SelfCheckFailed as error:
            self._self_check = None, f"the self-check failed: {error}"
        self._line.clear()

    def change(self, scenario: Scenario, host: str) -> None:
        """Take another scenario and target from the next run on; raises AetherLoadError, and changes nothing then."""
        try:
            self.load = self.load.changed_to(scenario, host, self._line)
        finally:
            self._line.clear()

    def follow_host(self, host: str) -> None:
        """Take another host as the target from the next run on, when the web page's form names one."""
        if check_url(host) != self.load.target.url:
            self.change(self.load.scenario, host)

    @property
    def observer(self) -> ObserverClient:
        """Return the observer; a new one where the last is gone."""
        if self._observer.lost.is_set():
            self._observer = ObserverClient(ObserverProcess())
        return self._observer

    def start_run(self, feed: LocustFeed) -> tuple[Run, SenderContext]:
        """Make a new run folder, and what the users of this start share."""
        load = self.load
        folder, manifest = self._new_folder()
        clients = load.clients(manifest.id)
        of_sides = () if load.candidate_workload is None else [workload for _, workload in load.sides]
        context = SenderContext(load.scenario, load.workload, clients, load.prompts.traces, feed, of_sides=of_sides)
        context.follow_user_count = self.follow_user_count
        manifest.workers = [WorkerRecord(worker=0, pid=os.getpid(), began=manifest.began)]
        try:
            records = OwnRecords(context.buffer, folder.records)
        except OSError as error:
            raise UsageError(f"{folder.records} cannot be written: {error.strerror}.") from None
        run = self._begin(folder, manifest, clients, records, feed)
        context.recorder.dags.on_new = run.list_dag
        return run, context

    def start_distributed_run(self, feed: LocustFeed, sink: Callable[[RunFolder], Records]) -> tuple[Run, Records]:
        """Make a new run folder for what workers will send, whose records go to a `sink` for it."""
        folder, manifest = self._new_folder()
        records = sink(folder)
        clients = self.load.clients(manifest.id, sends=False)
        return self._begin(folder, manifest, clients, records, feed, number=MASTER), records

    def _begin(
        self,
        folder: RunFolder,
        manifest: Manifest,
        clients: list[TargetClient],
        records: RecordSink,
        feed: LocustFeed,
        number: int = 0,
    ) -> Run:
        scenario, observer = self.load.scenario, self.observer
        observer.on_counted = feed.merge
        begin = Begin(
            folder=os.fsencode(folder.path),
            sender_pid=os.getpid(),
            sender_number=number,
            targets=tuple(client.metrics_target() for client in clients),
            scrapes=scenario.target.server_metrics,
            locust=not feed.every_request,
            live=self.has_live_view,
            secrets=REDACTOR.values,
        )
        run = Run(folder, manifest, scenario, self.load.workload, clients, records, observer, begin)
        run.follow_user_count = self.follow_user_count
        return run

    def _new_folder(self) -> tuple[RunFolder, Manifest]:
        folder = RunFolder.create(self._results, self.load.scenario.name)
        return folder, new_manifest(folder.path.name, self.load, *self._self_check)

    def end(self) -> None:
        """End the processes that were started."""
        self._observer.close()
        if self._embedded is not None:
            self._embedded.end()


def new_manifest(id_: str, load: PreparedLoad, self_check: SelfCheck | None, self_check_reason: str | None) -> Manifest:
    """Return what is known of a run of `load` when it begins."""
    workload, gate, withheld = load.workload, load.gate, load.credentials.withheld_from(load.target.url)
    manifest = Manifest(
        id=id_,
        scenario=to_plain(load.scenario),
        command=hidden_command(sys.argv) if gate is None else list(gate.command),
        seed=load.scenario.seed,
        target=load.target,
        candidate=load.candidate,
        gate=gate,
        datasets=load.prompts.identities,
        node_ids=(),
        answer_node=workload.answer_node,
        unscored=workload.unscored,
        program=workload.program,
        candidate_program=None if load.candidate_workload is None else load.candidate_workload.program,
        notes=[*workload.notes, *([] if withheld is None else [withheld])],
        began=now(),
        versions=versions(),
        machine=machine(),
        git=git_state(),
        self_check=self_check,
        self_check_reason=self_check_reason,
    )
    for _, sent in load.sides:
        for place, dag in enumerate(sent.dags):
            manifest.list_dag(dag, sent.prompts_in(place))
    # Paths stand in it, and whatever the command line holds.
    return with_encodable_texts(manifest)
