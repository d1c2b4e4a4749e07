"""Prepare everything before the load: target, scenario, prompts, request bytes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import gevent
import msgspec

from aether_load.dag.dag import asked_columns
from aether_load.dag.sent_dag import list_dags
from aether_load.environment import git_state, machine, versions
from aether_load.errors import TargetError, UsageError
from aether_load.load.distributed.messages import Handover
from aether_load.load.embedded import EmbeddedRuntime
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.observer_client import ObserverClient
from aether_load.load.run import OwnRecords, RecordSink, Run, now
from aether_load.load.self_check import SelfCheckFailed, check_self
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.sender_context import SenderContext, SenderContexts
from aether_load.load.sending.target_client import TargetClient
from aether_load.load.target_headers import TargetHeaders
from aether_load.observer.messages import Begin
from aether_load.protocol import Generation
from aether_load.redaction import REDACTOR
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Manifest, TargetRecord, WorkerRecord
from aether_load.rundata.process_usage import MASTER
from aether_load.runtime_client import check_url, probe
from aether_load.scenario.command_line.secrets import hidden_command
from aether_load.scenario.load import to_plain
from aether_load.scenario.parts import parts_of_phase
from aether_load.scenario.stage import variants
from aether_load.schedule.scenario_prompts import load_scenario_prompts
from aether_load.text import with_encodable_texts
from aether_load.tls import TlsSettings

if TYPE_CHECKING:
    from aether_load.dag.workload import Workload
    from aether_load.load.progress import ProgressLine
    from aether_load.load.sending.locust_feed import LocustFeed
    from aether_load.rundata.process_usage import SelfCheck
    from aether_load.scenario.gate_plan import GatePlan
    from aether_load.scenario.scenario import Scenario
    from aether_load.scenario.workload_plan import WorkloadPlan


PROBE_LIMIT_S = 3.5
Records = TypeVar("Records", bound=RecordSink)


class Session:
    """One Locust process's preparations; each start of the load makes a run of it."""

    def __init__(self, scenario: Scenario, results: Path, line: ProgressLine) -> None:
        self.scenario = scenario
        self.headers = TargetHeaders(scenario.target.headers)
        self._results = results
        self._line = line
        self._embedded: EmbeddedRuntime | None = None
        self._observer: ObserverClient | None = None
        self._target: TargetRecord | None = None
        self._gate: GatePlan | None = None
        self._candidate: TargetRecord | None = None
        self._candidate_workload: Workload | None = None
        self.sender_contexts = SenderContexts()
        self._self_check: SelfCheck | None = None
        self._self_check_reason = "the self-check was left out (--no-self-check)"

    @property
    def target(self) -> TargetRecord:
        """Return the target that was found."""
        assert self._target is not None
        return self._target

    def find_target(self, host: str | None, simulate: str | None) -> None:
        """Check the command line's host, or start the simulated runtime when it names none; raises TargetError."""
        if host is not None and simulate is not None:
            raise UsageError(f"--host and --simulate {simulate} contradict each other: leave one away.")
        if host is None:
            self._line.show("starting the simulated runtime")
            self._embedded = EmbeddedRuntime(Generation(simulate or Generation.V2))
            host = self._embedded.url
        self.headers.allow(check_url(host))
        self._take_target(host)

    def _take_target(self, host: str) -> None:
        self._target = self._find(host)
        self._refuse_what_v1_has_not()

    def find_candidate(self, plan: GatePlan) -> None:
        """Check the other runtime of a gate; raises UsageError where the two cannot be builds of one runtime."""
        self._gate = plan
        self.headers.allow(check_url(plan.candidate, "--candidate"))
        self._candidate = self._find(plan.candidate, "--candidate")
        for what, base, candidate in (
            ("generation of the wire format", self.target.generation.value, self._candidate.generation.value),
            ("kind of target", self.target.kind, self._candidate.kind),
        ):
            if base != candidate:
                raise UsageError(
                    f"The base at {self.target.url} and the candidate at {self._candidate.url} differ in their {what} "
                    f"({base} and {candidate}), so that they are not two builds of one runtime."
                )

    def _find(self, host: str, option: str = "--host") -> TargetRecord:
        host = check_url(host, option)
        self._line.show(f"looking for the runtime at {host}")
        # The probe limits each of its steps; this limits them together, and the look-up of the name with them.
        late = TargetError(f"What answers at {host} takes more than {PROBE_LIMIT_S:g} s to say that it is well.")
        with gevent.Timeout(PROBE_LIMIT_S, late):
            facts = probe(host, self.headers.sent_to(host), tls=self._tls_to(host), option=option)
        return TargetRecord(
            url=facts.url,
            kind="simulated" if facts.simulated else "runtime",
            generation=facts.generation,
            server=facts.server,
        )

    def follow_host(self, host: str) -> None:
        """Take another host as the target from the next run on, when the web page's form names one."""
        if check_url(host) != self.target.url:
            generation = self.target.generation
            self._take_target(host)
            if self.target.generation is not generation:
                self._write_requests()

    def change(self, scenario: Scenario, host: str) -> None:
        """Take another scenario and target from the next run on; raises AetherLoadError, and all is as it was then."""
        before = dict(vars(self))
        generation = self.target.generation
        try:
            self.scenario, self.headers = scenario, self.headers.of_scenario(scenario.target.headers)
            self._take_target(host)
            if _data_of(scenario) != _data_of(before["scenario"]):
                self.load_workload()
            elif self.target.generation is not generation:
                self._write_requests()
        except BaseException:
            vars(self).update(before)
            raise
        finally:
            self._line.clear()

    def load_workload(self) -> None:
        """Load the prompts and write every request's bytes."""
        self._line.show("loading the prompts")
        self.prompts = load_scenario_prompts(
            self.scenario,
            self._asked_columns,
            lambda done, rows, of: self._line.show(f"loading the prompts: {done} of {of} datasets, {rows} prompts"),
        )
        self._write_requests()
        self._line.clear()

    def _asked_columns(self, plan: WorkloadPlan) -> dict[str, str]:
        """Return what a DAG wants of each row; of a gate between two programs, what either wants."""
        if self._candidate_program is None:
            return asked_columns(plan)
        other = msgspec.structs.replace(plan, program=self._candidate_program)
        return asked_columns(other) | asked_columns(plan)

    def check_self(self) -> None:
        """Measure what this client costs here; that it could not be measured is no reason to send nothing."""
        self._line.show("measuring what this client itself costs")
        try:
            self._self_check = check_self(self.workload, self.target.generation)
        except SelfCheckFailed as error:
            self._self_check_reason = f"the self-check failed: {error}"
        self._line.clear()

    def _write_requests(self) -> None:
        self.workload = self.prompts.workload(self.target.generation)
        if self._candidate_program is not None:
            candidate = self.prompts.workload(self.target.generation, self._candidate_program)
            listed = list_dags([*self.workload.dags, *candidate.dags])
            own = len(self.workload.dags)
            self.workload = msgspec.structs.replace(self.workload, dags=listed[:own])
            self._candidate_workload = msgspec.structs.replace(candidate, dags=listed[own:])

    @property
    def _candidate_program(self) -> str | None:
        """Return the program that a gate between two programs sends as its candidate."""
        return None if self._gate is None else self._gate.candidate_program

    @property
    def _workloads(self) -> list[Workload]:
        """Return what is sent to each target."""
        others = [] if self._candidate is None else [self._candidate_workload or self.workload]
        return [self.workload, *others]

    def _refuse_what_v1_has_not(self) -> None:
        if self.target.generation is not Generation.V1:
            return
        for number, phase in enumerate(self.scenario.phases):
            for key, asked, plain in (("cache", phase.cache, "keep"), ("sequential", phase.sequential, False)):
                if asked != plain:
                    raise UsageError(
                        f"Scenario {self.scenario.name}: phases.{number}.{key} = {asked!r}: the runtime at "
                        f"{self.target.url} is of generation v1, which has no cache and no parallel mode; leave the "
                        "key away or give a v2 runtime."
                    )

    def handover(self, workers: int) -> tuple[str, bytes]:
        """Return all that a worker needs to send this session's requests, as bytes, and what tells it from others.

        `workers` is how many are expected.
        """
        handover = Handover(
            scenario=to_plain(self.scenario),
            headers=self.headers.as_given(self.target.url),
            url=self.target.url,
            generation=self.target.generation,
            workload=self.workload,
            traces=self.prompts.traces,
            workers=workers,
        )
        data = msgspec.msgpack.encode(handover)
        return hashlib.sha256(data).hexdigest()[:12], data

    @property
    def observer(self) -> ObserverClient:
        """Return the observer; a new one where the last is gone."""
        if self._observer is None or self._observer.lost.is_set():
            self._observer = ObserverClient()
        return self._observer

    def start_run(self, feed: LocustFeed, *, live: bool) -> tuple[Run, SenderContext]:
        """Make a new run folder, and what the users of this start share."""
        folder, manifest = self._new_run()
        workloads = self._workloads
        targets = [
            self._client(target.url, manifest.id, workload)
            for target, workload in zip(self._targets, workloads, strict=True)
        ]
        of_sides = workloads if self._candidate_workload is not None else ()
        context = SenderContext(self.scenario, self.workload, targets, self.prompts.traces, feed, of_sides=of_sides)
        manifest.workers = [WorkerRecord(worker=0, pid=os.getpid(), began=manifest.began)]
        try:
            records = OwnRecords(context.buffer, folder.records)
        except OSError as error:
            raise UsageError(f"{folder.records} cannot be written: {error.strerror}.") from None
        run = self._run(folder, manifest, targets, records, feed, live=live)
        context.recorder.dags.on_new = run.list_dag
        self.sender_contexts.current = context
        return run, context

    def start_fleet_run(
        self, feed: LocustFeed, records: Callable[[RunFolder, Manifest], Records], *, live: bool
    ) -> tuple[Run, Records]:
        """Make a new run folder for what workers will send."""
        folder, manifest = self._new_run()
        nothing = msgspec.structs.replace(self.workload, bodies=())
        targets = [self._client(target.url, manifest.id, nothing) for target in self._targets]
        received = records(folder, manifest)
        return self._run(folder, manifest, targets, received, feed, live=live, number=MASTER), received

    def _run(
        self,
        folder: RunFolder,
        manifest: Manifest,
        targets: list[TargetClient],
        records: RecordSink,
        feed: LocustFeed,
        *,
        live: bool,
        number: int = 0,
    ) -> Run:
        begin = Begin(
            folder=os.fsencode(folder.path),
            sender_pid=os.getpid(),
            sender_number=number,
            targets=tuple(target.metrics_target() for target in targets),
            scrapes=self.scenario.target.server_metrics,
            locust=not feed.every_request,
            live=live,
            secrets=REDACTOR.values,
        )
        observer = self.observer
        observer.on_counted = feed.merge
        return Run(folder, manifest, self.scenario, self.workload, targets, records, observer, begin)

    @property
    def _targets(self) -> list[TargetRecord]:
        return [self.target] if self._candidate is None else [self.target, self._candidate]

    def _client(self, url: str, mark_seed: str, workload: Workload) -> TargetClient:
        """Return the client of one target, which is sent the bodies of `workload`."""
        target = self.scenario.target
        endpoint = Endpoint.of(url, self.headers.sent_to(url), tls=self._tls_to(url))
        prepared = PreparedRequests(
            endpoint, workload.bodies, variants(self.scenario), mark_seed, workload.prompt_nodes
        )
        return TargetClient(endpoint, target, prepared, self.target.generation)

    def _tls_to(self, url: str) -> TlsSettings:
        tls = self.scenario.target.tls
        return tls if self.headers.go_to(url) else tls.without_identity()

    def _new_run(self) -> tuple[RunFolder, Manifest]:
        folder = RunFolder.create(self._results, self.scenario.name)
        withheld = self.headers.withheld_from(self.target.url)
        manifest = Manifest(
            id=folder.path.name,
            scenario=to_plain(self.scenario),
            command=hidden_command(sys.argv) if self._gate is None else list(self._gate.command),
            seed=self.scenario.seed,
            target=self.target,
            candidate=self._candidate,
            gate=self._gate,
            datasets=self.prompts.identities,
            node_ids=(),
            answer_node=self.workload.answer_node,
            unscored=self.workload.unscored,
            program=self.workload.program,
            candidate_program=None if self._candidate_workload is None else self._candidate_workload.program,
            notes=[*self.workload.notes, *([withheld] if withheld is not None else [])],
            began=now(),
            versions=versions(),
            machine=machine(),
            git=git_state(),
            self_check=self._self_check,
            self_check_reason=None if self._self_check else self._self_check_reason,
        )
        for workload in self._workloads:
            for place, dag in enumerate(workload.dags):
                manifest.list_dag(dag, workload.prompts_in(place))
        # Paths stand in it, and whatever the command line holds.
        return folder, with_encodable_texts(manifest)

    def end(self) -> None:
        """End the processes that were started."""
        if self._observer is not None:
            self._observer.close()
        if self._embedded is not None:
            self._embedded.end()


def _data_of(scenario: Scenario) -> tuple[object, ...]:
    """Return what of a scenario decides which requests there are."""
    parts = tuple(parts_of_phase(scenario, number) for number in range(len(scenario.phases)))
    return parts, scenario.seed, tuple(phase.trace for phase in scenario.phases)
