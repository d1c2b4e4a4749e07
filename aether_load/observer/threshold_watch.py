"""Watch thresholds on a run's records as they are written: those that may end it, and those that a page shows."""

from __future__ import annotations

from time import monotonic_ns
from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.latency.dag_shape import shape_of
from aether_load.analysis.latency.decomposition import decompose
from aether_load.analysis.phase.phase_report import ALL
from aether_load.analysis.phase.rows import Terms, build_row
from aether_load.analysis.statistics.window_rates import clock_error_s, window_rates
from aether_load.analysis.verdict.conditions import Finding, judge_condition, metric_in
from aether_load.analysis.verdict.thresholds import names_in
from aether_load.protocol import Generation
from aether_load.rundata.manifest import AbortRecord, Manifest, PhaseRecord
from aether_load.rundata.records.record_reader import RecordBatch, Tables
from aether_load.rundata.samples.holds import Holds
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.rundata.samples.table_reader import GrowingPhase, RecordColumns
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import Scope, ThresholdPlan, scope_of

CONFIDENCE = 0.999
"""Of the intervals here: looking a hundred times must not be wrong one time in twenty."""
MOST_ROWS = 200_000
"""Requests of a phase that are kept; beyond it every second one is, so that memory does not grow with the run."""
_TOTALS = (
    "requests_total", "ok_total", "tokens_total", "request_throughput_rps", "ok_throughput_rps", "goodput_rps",
    "tokens_per_s",
)  # fmt: skip


_WORST = ("broken", "undecided", "holds")


class LiveThreshold(msgspec.Struct, frozen=True, kw_only=True):
    """A threshold as it stands by now: the worst of its phases so far, and what was seen there."""

    condition: str
    state: Literal["holds", "broken", "undecided"]
    phase: str | None
    shown: str


class ThresholdWatch:
    """Takes in records once and decides the thresholds with `abort_on_fail` on what there is, if `live` all others too.

    A number that is known only when its phase is over is not looked at.
    """

    def __init__(self, manifest: Manifest, scenario: Scenario, *, live: bool = False) -> None:
        self._scenario = scenario
        self._plans = [
            plan
            for plan in scenario.thresholds
            if plan.abort_on_fail or (live and metric_in(plan.condition).of == "row")
        ]
        self._found: dict[str, dict[str, Finding]] = {}
        self._node_ids = manifest.node_ids
        datasets = [identity.name for identity in manifest.datasets]
        self._columns = RecordColumns(datasets, manifest.node_ids, _levels_of(manifest))
        self._phases: dict[str, GrowingPhase] = {}
        self._weights: dict[str, int] = {}
        self._done: set[str] = set()
        self._holds = Holds()

    def learn(self, manifest: Manifest) -> None:
        """Take in the nodes of a DAG that the run has taken on."""
        if manifest.node_ids == self._node_ids:
            return
        self._node_ids = manifest.node_ids
        self._columns.list_nodes(manifest.node_ids, _levels_of(manifest))
        for phase in self._phases.values():
            phase.widen(len(manifest.node_ids))

    def add(self, batch: RecordBatch, tables: Tables) -> None:
        """Take in records."""
        if not self._plans:
            return
        self._holds.add(batch.holds)
        columns = self._columns(batch, tables)
        for place in np.unique(batch.requests["phase"]):
            # A damaged block may have taken the name with it.
            name = tables.phases[place] if 0 <= place < len(tables.phases) else None
            if name is None or name in self._done:
                continue
            phase = self._phases.setdefault(name, GrowingPhase(len(self._node_ids)))
            which = batch.requests["phase"] == place
            # As thinned as what is kept already.
            weight = self._weights.setdefault(name, 1)
            if weight > 1:
                which &= np.arange(len(which)) % weight == 0
            phase.add(columns, which)
            if len(phase) > MOST_ROWS:
                phase.thin()
                self._weights[name] *= 2

    def look(self, manifest: Manifest) -> AbortRecord | None:
        """Return the first threshold that is broken by now, if any."""
        if not self._plans:
            return None
        now_ns = monotonic_ns()
        for record in manifest.phases:
            phase = self._phases.get(record.name)
            if phase is None or record.search is not None or record.window_began_ns is None:
                continue
            samples = phase.snapshot(record, self._holds, self._columns.names)
            for plan in self._plans:
                found = _judge(plan, manifest, self._scenario, record, samples, self._weights[record.name])
                if found is None:
                    continue
                self._found.setdefault(plan.condition.text, {})[record.name] = found[1]
                is_due = _open_for_ns(record, now_ns) >= plan.delay_abort_eval * 1e9
                if plan.abort_on_fail and is_due and found[1].state == "broken":
                    return AbortRecord(
                        condition=plan.condition.text,
                        phase=record.name,
                        dataset=found[0].dataset,
                        shown=found[1].shown,
                        confidence=CONFIDENCE,
                        after_s=round(_open_for_ns(record, now_ns) / 1e9, 3),
                    )
            if record.ended is not None:
                self._done.add(record.name)
                del self._phases[record.name]
                if not self._phases:
                    self._holds = Holds()
        return None

    def states(self) -> list[LiveThreshold]:
        """Return how each threshold of the scenario stands by now."""
        return [self._state(plan.condition.text) for plan in self._scenario.thresholds]

    def _state(self, condition: str) -> LiveThreshold:
        found = sorted(self._found.get(condition, {}).items(), key=lambda pair: _WORST.index(pair[1].state))
        if not found:
            return LiveThreshold(condition=condition, state="undecided", phase=None, shown="")
        # Of several phases in the same state the latest one is of interest.
        phase, worst = [pair for pair in found if pair[1].state == found[0][1].state][-1]
        return LiveThreshold(condition=condition, state=worst.state, phase=phase, shown=worst.shown)


def _levels_of(manifest: Manifest) -> tuple[int, ...]:
    shape = shape_of(manifest.node_ids, manifest.nodes)
    return shape.level_of if shape else (0,) * len(manifest.node_ids)


def _open_for_ns(record: PhaseRecord, now_ns: int) -> int:
    assert record.window_began_ns is not None
    return (record.window_ended_ns or now_ns) - record.window_began_ns


def _judge(
    plan: ThresholdPlan,
    manifest: Manifest,
    scenario: Scenario,
    record: PhaseRecord,
    samples: PhaseSamples,
    weight: int,
) -> tuple[Scope, Finding] | None:
    """Return what a threshold comes to in a phase that is going on; None where it is not about that phase."""
    condition = plan.condition
    scope = scope_of(condition.where, names_in(manifest, scenario))
    datasets = [identity.name for identity in manifest.datasets]
    if not scope.covers(record.name, record.phase) or not {scope.dataset} <= {None, *datasets, *samples.names}:
        return None
    which = samples.in_window
    if scope.dataset is not None:
        which = which & samples.labelled(scope.dataset, datasets)
    terms = Terms(
        unscored=manifest.unscored,
        goodput_slo=scenario.goodput_slo,
        price_usd_per_1000_tokens=scenario.workload.price_usd_per_1000_tokens,
    )
    parts = None
    if condition.metric.startswith("decomposition_mean_ms."):
        shape = shape_of(manifest.node_ids, manifest.nodes)
        sequential = record.sequential or manifest.target.generation is Generation.V1
        (parts,) = decompose(samples, shape, sequential=sequential, groups=[which]).of_groups
    rates = window_rates(samples, record, clock_error_s(manifest))
    row = build_row(scope.dataset or ALL, samples, which if scope.dataset else None, terms, parts, rates)
    if weight > 1:
        # Only a part of the requests is kept: totals and rates are those of all.
        scaled = {name: value * weight for name in _TOTALS if (value := getattr(row, name, None)) is not None}
        row = msgspec.structs.replace(row, **scaled)
    return scope, judge_condition(condition, row, samples, which, confidence=CONFIDENCE)
