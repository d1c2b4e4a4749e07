"""Define a run's manifest, which says what the run was."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic_ns
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from aether_load.dag.program import ProgramIdentity
from aether_load.dag.sent_dag import WorkloadDag
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import Generation, NodeShape
from aether_load.rundata.clock import ClockReading
from aether_load.rundata.process_usage import SelfCheck
from aether_load.scenario.gate_plan import GatePlan
from aether_load.schedule.probe import LimitedBy, ProbeMeasurement, Purpose
from aether_load.schedule.search import Found

if TYPE_CHECKING:
    from aether_load.runtime_client import TargetFacts

SCHEMA_VERSION = "1.0"
UTC_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

Ended = Literal["running", "completed", "interrupted", "aborted"]
"""How a run ended; one is `aborted` when a threshold that was broken ended it early."""


STALLED, FAILED, FOLDER_GONE = FAULTS = "nothing happened", "an error ended the run", "its folder was gone"
"""What a phase says that it was ended by, where nobody wanted that and no limit asks for it."""


Instant = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""Nanoseconds of a monotonic clock, of a machine that has not run for longer than 146 years."""


class TargetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured; `kind` is `simulated` for our own simulator, by whomever it was started."""

    url: str
    kind: Literal["simulated", "runtime"]
    generation: Generation
    server: str | None

    @classmethod
    def of(cls, facts: TargetFacts) -> TargetRecord:
        """Return what a probe found, as a run's manifest has it."""
        kind: Literal["simulated", "runtime"] = "simulated" if facts.simulated else "runtime"
        return cls(url=facts.url, kind=kind, generation=facts.generation, server=facts.server)


class ClockPair(msgspec.Struct, frozen=True):
    """One instant on both clocks: monotonic ns of this machine, and UTC."""

    monotonic_ns: Instant
    utc: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d\d-\d\dT[0-9:.]{5,20}Z$")]


def now() -> ClockPair:
    """Return this instant on both clocks."""
    return ClockPair(monotonic_ns(), datetime.now(UTC).strftime(UTC_FORMAT))


class PhaseRecord(msgspec.Struct, kw_only=True):
    """When a phase began, when its window was open, and how it ended; None for what did not come to pass.

    `users` is how many were active, None where Locust's page decided and could change it, or where the load
    changed meanwhile; in open load it is the most that could be in flight. `rate_rps` is the open load that was
    asked for, None in closed load and where it changed. The window is open from `window_began_ns`, when all are
    active, until no further request may start; the phase ends when the last answer is in.

    `phase` is its name in the scenario, which several records share where it is repeated or has a shape. Those
    `joined_in` a shape follow each other without a rest: the server was read at rest only before the first and
    after the last of them. `search` is the search that the phase was a probe of. With `own_tasks` users ran tasks of
    their own, which take time beside their requests.
    """

    name: str
    users: int | None
    load: Literal["closed", "open"] = "closed"
    rate_rps: float | None = None
    think_time_mean_s: float = 0.0
    sequential: bool = False
    cache: Literal["keep", "cold", "warm"] = "keep"
    unique_prompts: bool = False
    phase: str | None = None
    repeat: int | None = None
    joined_in: str | None = None
    search: str | None = None
    own_tasks: bool = False
    began: ClockPair
    window_began_ns: Instant | None = None
    window_ended_ns: Instant | None = None
    ended: ClockPair | None = None
    ended_by: str | None = None


def was_ended_early(ended_as: Ended, ended_by: str | None) -> bool:
    """Tell whether a phase was ended by hand, so that requests that were cut off were cancelled by the sender itself.

    That is no interruption of a load that goes on until it is ended from Locust's page.
    """
    return ended_as == "interrupted" or ended_by == "stopped"


class ProbeRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A probe of a search: its load, its phase, and whether the SLO held (None: undecided).

    `limited_by` is what kept the SLO from holding: `server` or `client`; `held` where it held, None where the probe is
    undecided.
    """

    phase: str
    purpose: Purpose
    load: float
    duration_s: float
    holds: bool | None
    against: tuple[str, ...]
    limited_by: LimitedBy | None = None
    measured: ProbeMeasurement | None = None


class SearchRecord(msgspec.Struct, kw_only=True):
    """A search for the largest load that holds; `found` is None while it goes on."""

    name: str
    kind: Literal["users", "rate"]
    slo: tuple[str, ...]
    tolerance: float | None = None
    probes: list[ProbeRecord] = []
    found: Found | None = None


class AbortRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The threshold that ended a run early: what was seen of it, and when, in seconds of the phase's window."""

    condition: str
    phase: str
    dataset: str | None
    shown: str
    confidence: float
    after_s: float


class LossRecord(msgspec.Struct, frozen=True, kw_only=True):
    """When a worker was lost, or left by itself, before the run's end.

    It had announced to take on `announced_total` requests at most before it took on any of them, and samples of
    `received_total` came: as many as lie between may have been sent without a trace here.
    """

    at: ClockPair
    phase: str | None
    how: Literal["lost", "left"]
    received_total: int
    announced_total: int

    @property
    def unaccounted_at_most(self) -> int:
        """Return how many requests may have been sent of which no sample came."""
        return max(0, self.announced_total - self.received_total)


class WorkerRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A sending process: its clocks at start and end, and how often it had to open a connection again.

    Of a worker beside others `clock` has what its monotonic clock was ahead of the run's by, and `utc_ahead_s` what
    its UTC was; its `began` and `ended` are by the run's clock.
    """

    worker: int
    pid: int
    host: str | None = None
    began: ClockPair
    ended: ClockPair | None = None
    connections_opened: int | None = None
    stale_connections_reopened: int | None = None
    requests_total: int | None = None
    clock: tuple[ClockReading, ...] = ()
    utc_ahead_s: float | None = None
    loss: LossRecord | None = None


class DagRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One DAG of a run: its nodes as the run lists them, and how many prompts were written in it.

    `part` is the part of a mix, or the phase, that it is of. A DAG of a user's own code has no prompts beforehand.
    """

    part: str | None
    node_ids: tuple[str, ...]
    answer_node: str | None
    prompts_total: int = 0


class UserClassRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A user class of the locustfile: `is_measured` where it is an AetherUser, `own_tasks` where that has tasks."""

    name: str
    weight: float
    fixed_count: int
    is_measured: bool
    own_tasks: bool


class Manifest(msgspec.Struct, kw_only=True):
    """run.json: everything about a run that is not a sample or a reading.

    `seed` is None where the run's order was not ours to choose; its scenario says whose it was. `node_ids` is the
    order in which samples list the nodes; `nodes` says what each waits for, and is empty in runs of releases that did
    not write it down. Both are of all DAGs that were sent; `dags` says which nodes each has.
    `answer_node` is the one whose output was scored; where there is none, `unscored` says why.
    `rows_total` and `lines_total` say how many rows and lines each file had when the run ended; None until then.
    Only a gate has a `gate` and a `candidate`; its `target` is the base, and its phases are windows of either side.
    `program` is the compiled program that was sent, if one was; a gate between two programs has the other one, too, and
    lists the nodes of both.
    """

    schema_version: str = SCHEMA_VERSION
    id: str
    scenario: dict[str, Any]
    command: list[str]
    seed: int | None
    target: TargetRecord
    candidate: TargetRecord | None = None
    gate: GatePlan | None = None
    datasets: tuple[DatasetIdentity, ...]
    node_ids: tuple[str, ...]
    nodes: tuple[NodeShape, ...] = ()
    dags: tuple[DagRecord, ...] = ()
    answer_node: str | None = None
    unscored: str | None = None
    program: ProgramIdentity | None = None
    candidate_program: ProgramIdentity | None = None
    began: ClockPair
    ended: ClockPair | None = None
    ended_as: Ended = "running"
    phases: list[PhaseRecord] = []
    searches: list[SearchRecord] = []
    aborted: AbortRecord | None = None
    user_classes: list[UserClassRecord] = []
    workers: list[WorkerRecord] = []
    versions: dict[str, str] = {}
    machine: dict[str, str | int | float | None] = {}
    git: dict[str, str | bool | None] = {}
    rows_total: dict[str, int] | None = None
    lines_total: dict[str, int] | None = None
    self_check: SelfCheck | None = None
    self_check_reason: str | None = None
    notes: list[str] = []

    def list_dag(self, dag: WorkloadDag, prompts_total: int = 0) -> None:
        """Take in a DAG, and its nodes beside those that are known."""
        ids = tuple(node.id for node in dag.columns)
        if (ids, dag.part) in [(known.node_ids, known.part) for known in self.dags]:
            return
        new = [node for node in dag.columns if node.id not in self.node_ids]
        self.nodes = (*self.nodes, *new)
        self.node_ids = (*self.node_ids, *(node.id for node in new))
        record = DagRecord(
            part=dag.part,
            node_ids=ids,
            answer_node=dag.answer_column,
            prompts_total=prompts_total,
        )
        self.dags = (*self.dags, record)
