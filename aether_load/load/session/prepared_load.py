"""Prepare what a run sends and where to: its prompts, the bytes of its requests, its targets."""

from __future__ import annotations

import hashlib

import msgspec

from aether_load.dag.dag import asked_columns
from aether_load.dag.sent_dag import list_dags
from aether_load.dag.workload import Workload
from aether_load.load.distributed.handover import Handover
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.progress import ProgressLine
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.target_client import TargetClient
from aether_load.load.session.credentials import Credentials
from aether_load.load.session.targets import find_candidate, find_target
from aether_load.protocol import Generation
from aether_load.rundata.manifest import TargetRecord
from aether_load.runtime_client import check_url
from aether_load.scenario.gate_plan import GatePlan
from aether_load.scenario.load import to_plain
from aether_load.scenario.parts import parts_of_phase
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import variants
from aether_load.scenario.workload_plan import WorkloadPlan
from aether_load.schedule.scenario_prompts import ScenarioPrompts, load_scenario_prompts


class PreparedLoad(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario's requests and the runtime they go to; a gate has a `candidate` beside it.

    `candidate_workload` is what the candidate is sent where that is another program than the target's.
    """

    scenario: Scenario
    credentials: Credentials
    target: TargetRecord
    prompts: ScenarioPrompts
    workload: Workload
    gate: GatePlan | None = None
    candidate: TargetRecord | None = None
    candidate_workload: Workload | None = None

    @property
    def sides(self) -> list[tuple[TargetRecord, Workload]]:
        """Return each target with what is sent to it."""
        base = self.target, self.workload
        return [base] if self.candidate is None else [base, (self.candidate, self.candidate_workload or self.workload)]

    def clients(self, mark_seed: str, *, sends: bool = True) -> list[TargetClient]:
        """Return a client of each target; one that itself `sends` nothing, as a master's, holds no requests."""
        return [self._client(target.url, workload, mark_seed, sends=sends) for target, workload in self.sides]

    def _client(self, url: str, workload: Workload, mark_seed: str, *, sends: bool) -> TargetClient:
        endpoint = Endpoint.of(url, self.credentials.headers_to(url), tls=self.credentials.tls_to(url))
        prepared = PreparedRequests(
            endpoint, workload.bodies if sends else (), variants(self.scenario), mark_seed, workload.prompt_nodes
        )
        return TargetClient(endpoint, self.scenario.target, prepared, self.target.generation)

    def handover(self, workers: int) -> tuple[str, bytes]:
        """Return all that a worker needs to send these requests, as bytes, and what tells it from others.

        `workers` is how many are expected.
        """
        handover = Handover(
            scenario=to_plain(self.scenario),
            headers=self.credentials.headers_as_given(self.target.url),
            url=self.target.url,
            generation=self.target.generation,
            workload=self.workload,
            traces=self.prompts.traces,
            workers=workers,
        )
        data = msgspec.msgpack.encode(handover)
        return hashlib.sha256(data).hexdigest()[:12], data

    def changed_to(self, scenario: Scenario, host: str, line: ProgressLine) -> PreparedLoad:
        """Return another scenario's load on another target, with as much of this one as stays; of a plain run only."""
        credentials = self.credentials.of(scenario.target)
        target = find_target(scenario, host, credentials, line)
        prompts, workload = self.prompts, self.workload
        is_same_data = _data_of(scenario) == _data_of(self.scenario)
        if not is_same_data:
            prompts = _load_prompts(scenario, None, line)
        if not is_same_data or target.generation is not self.target.generation:
            workload = prompts.workload(target.generation)
        return msgspec.structs.replace(
            self, scenario=scenario, credentials=credentials, target=target, prompts=prompts, workload=workload
        )


def prepare_load(scenario: Scenario, host: str, gate: GatePlan | None, line: ProgressLine) -> PreparedLoad:
    """Find the targets, load the prompts, and write every request's bytes; raises AetherLoadError."""
    urls = [check_url(host)] if gate is None else [check_url(host), check_url(gate.candidate, "--candidate")]
    credentials = Credentials(scenario.target, urls)
    target = find_target(scenario, host, credentials, line)
    candidate = None if gate is None else find_candidate(gate.candidate, target, credentials, line)
    program = None if gate is None else gate.candidate_program
    prompts = _load_prompts(scenario, program, line)
    workload, candidate_workload = _write_requests(prompts, target.generation, program)
    return PreparedLoad(
        scenario=scenario,
        credentials=credentials,
        target=target,
        prompts=prompts,
        workload=workload,
        gate=gate,
        candidate=candidate,
        candidate_workload=candidate_workload,
    )


def _load_prompts(scenario: Scenario, candidate_program: str | None, line: ProgressLine) -> ScenarioPrompts:
    line.show("loading the prompts")

    def asked(plan: WorkloadPlan) -> dict[str, str]:
        """Return what a DAG wants of each row; of a gate between two programs, what either wants."""
        if candidate_program is None:
            return asked_columns(plan)
        return asked_columns(msgspec.structs.replace(plan, program=candidate_program)) | asked_columns(plan)

    return load_scenario_prompts(
        scenario,
        asked,
        lambda done, rows, of: line.show(f"loading the prompts: {done} of {of} datasets, {rows} prompts"),
    )


def _write_requests(
    prompts: ScenarioPrompts, generation: Generation, candidate_program: str | None
) -> tuple[Workload, Workload | None]:
    """Return what the target is sent, and the candidate where that is another program: no two nodes of one id."""
    workload = prompts.workload(generation)
    if candidate_program is None:
        return workload, None
    candidate = prompts.workload(generation, candidate_program)
    own = len(workload.dags)
    listed = list_dags([*workload.dags, *candidate.dags])
    return (
        msgspec.structs.replace(workload, dags=listed[:own]),
        msgspec.structs.replace(candidate, dags=listed[own:]),
    )


def _data_of(scenario: Scenario) -> tuple[object, ...]:
    """Return what of a scenario decides which requests there are."""
    parts = tuple(parts_of_phase(scenario, number) for number in range(len(scenario.phases)))
    return parts, scenario.seed, tuple(phase.trace for phase in scenario.phases)
