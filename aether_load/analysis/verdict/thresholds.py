"""Decide a scenario's thresholds, each phase by itself; nothing is averaged over phases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from aether_load.analysis.phase.phase_report import ALL, PhaseReport
from aether_load.analysis.phase.searches import SearchReport
from aether_load.analysis.statistics.distribution import STALLED
from aether_load.analysis.verdict.conditions import Decided, Finding, State, judge_condition, judge_number, metric_in
from aether_load.rundata.manifest import AbortRecord, Manifest, was_ended_early
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.scenario.check import check_threshold
from aether_load.scenario.command_line.scenario_options import with_asked_thresholds
from aether_load.scenario.load import from_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.stage import names_of
from aether_load.scenario.threshold import Names, Scope, Threshold, ThresholdPlan, scope_of, unnumbered

_WORST: tuple[State, ...] = ("broken", "undecided", "holds")
_WORDS = {
    "holds": "holds: {}",
    "broken": "broken: {}",
    "undecided": "undecided: {}, and the limit lies in that interval",
}

_SAMPLED_WORDS = "; more requests make it narrower"
_STALLED_WORDS = " (sender_stalled: it is as wide as what the sender itself may have added)"


class ThresholdFinding(Decided, frozen=True, kw_only=True):
    """What became of a threshold in one phase, or one search, of all its requests or one dataset's, and in words.

    `phase` is None where there was no phase to decide it on.
    """

    phase: str | None
    dataset: str
    sentence: str


class ThresholdReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one threshold: its state is the worst of its findings'.

    `ended_the_run` is what was seen of it when it ended the run early, which breaks it whatever was seen later.
    """

    condition: str
    abort_on_fail: bool
    delay_s: float
    state: State
    findings: tuple[ThresholdFinding, ...]
    ended_the_run: AbortRecord | None

    @property
    def broken(self) -> Iterator[str]:
        """Yield why it is broken, a sentence for each phase in which it is; that which ended the run first."""
        if (seen := self.ended_the_run) is not None:
            where = _place(seen.phase, seen.dataset)
            interval = f" ({seen.confidence:.1%} interval)" if "[" in seen.shown else ""
            yield (
                f"threshold {self.condition}: {where}: broken {seen.after_s:.3g} s into the window, which ended the "
                f"run early: {seen.shown}{interval}"
            )
        yield from self._reasons("broken")

    @property
    def undecided(self) -> Iterator[str]:
        """Yield why it is not decided, a sentence for each phase in which it is not."""
        return self._reasons("undecided")

    def _reasons(self, state: State) -> Iterator[str]:
        for finding in self.findings:
            if finding.state == state:
                dataset = None if finding.dataset == ALL else finding.dataset
                yield f"threshold {self.condition}: {_place(finding.phase, dataset)}: {finding.sentence}"


def _place(phase: str | None, dataset: str | None) -> str:
    where = "the run" if phase is None else f"phase {phase}"
    return where if dataset is None else f"{where}, {dataset}"


def names_in(manifest: Manifest, scenario: Scenario) -> Names:
    """Return the names that a run has, those that only its own folder tells among them."""
    names = names_of(scenario)
    # A phase of a search is one of its probes, which no threshold is about.
    driven = {record.name for record in manifest.phases if record.search is None}
    return Names(
        phases=names.phases | driven | set(map(unnumbered, driven)),
        searches=names.searches,
        datasets=names.datasets | {identity.name for identity in manifest.datasets if identity.source != "trace"},
    )


def asked_of_run(manifest: Manifest, conditions: Sequence[str], where: str = "of the run") -> tuple[ThresholdPlan, ...]:
    """Return a run's thresholds and those that are asked of it now; raises UsageError for one that it cannot answer.

    `where` says in a sentence which scenario it is.
    """
    scenario = from_plain(manifest.scenario, where)
    return with_asked_thresholds(scenario, conditions, names_in(manifest, scenario)).thresholds


def judge_thresholds(
    plans: Sequence[ThresholdPlan],
    manifest: Manifest,
    scenario: Scenario,
    phases: Sequence[PhaseReport],
    samples: Sequence[PhaseSamples],
    searches: Sequence[SearchReport],
) -> tuple[ThresholdReport, ...]:
    """Return what became of each threshold; one that this release cannot ask is undecided, with the reason."""
    run = _Run(names_in(manifest, scenario), manifest, list(zip(phases, samples, strict=True)), searches)
    return tuple(_judge(plan, run) for plan in plans)


class _Run(NamedTuple):
    """What thresholds are decided on: each phase's report with its samples, and the searches."""

    names: Names
    manifest: Manifest
    phases: Sequence[tuple[PhaseReport, PhaseSamples]]
    searches: Sequence[SearchReport]


def _judge(plan: ThresholdPlan, run: _Run) -> ThresholdReport:
    try:
        check_threshold(plan, run.names)
        findings = tuple(_findings(plan.condition, scope_of(plan.condition.where, run.names), run))
    except ValueError as error:
        findings = (_nothing(ALL, str(error).rstrip(".")),)
    aborted = run.manifest.aborted
    ended = aborted if aborted is not None and aborted.condition == plan.condition.text else None
    state = next(state for state in _WORST if state in {finding.state for finding in findings})
    return ThresholdReport(
        condition=plan.condition.text,
        abort_on_fail=plan.abort_on_fail,
        delay_s=float(plan.delay_abort_eval),
        state="broken" if ended is not None else state,
        findings=findings,
        ended_the_run=ended,
    )


def _findings(condition: Threshold, scope: Scope, run: _Run) -> Iterator[ThresholdFinding]:
    metric = metric_in(condition)
    if metric.of == "search":
        mine = [search for search in run.searches if scope.covers(search.name)]
        yield from (_finding(search.name, ALL, _judge_search(condition, search)) for search in mine)
        if not mine:
            yield _nothing(ALL, "no search began")
        return
    dataset = ALL if scope.dataset is None else scope.dataset
    covered = [
        (phase, part) for phase, part in run.phases if phase.search is None and scope.covers(phase.name, phase.phase)
    ]
    if not covered:
        yield _nothing(dataset, "no phase began" if scope.phase is None else f"phase {scope.phase} never began")
    datasets = [identity.name for identity in run.manifest.datasets]
    for phase, part in covered:
        if metric.of == "phase":
            yield _finding(phase.name, dataset, judge_number(condition, phase))
            continue
        which = part.in_window
        if scope.dataset is not None:
            which = which & part.labelled(scope.dataset, datasets)
        rows = (phase.all,) if scope.dataset is None else phase.datasets
        row = next((row for row in rows if row.dataset == dataset), None)
        if row is None:
            yield _nothing(dataset, f"no request of {dataset} was sent", phase.name)
        else:
            interrupted = was_ended_early(run.manifest.ended_as, phase.ended_by)
            yield _finding(
                phase.name, dataset, judge_condition(condition, row, part, np.asarray(which), interrupted=interrupted)
            )


def _judge_search(condition: Threshold, search: SearchReport) -> Finding:
    finding = judge_number(condition, search)
    if search.confirmed and finding.value is not None:
        return finding
    return msgspec.structs.replace(
        finding, state="undecided", value=None, low=None, high=None, shown="", reason=search.sentence
    )


def _finding(phase: str | None, dataset: str, decided: Decided) -> ThresholdFinding:
    sentence = _WORDS[decided.state].format(decided.shown)
    if decided.reason == STALLED:
        sentence += _STALLED_WORDS
    elif decided.state == "undecided" and decided.value is not None:
        # An interval around a value is one of sampling; without a value it is a bucket's, however many are counted.
        sentence += _SAMPLED_WORDS
    if not decided.shown:
        sentence = f"undecided: nothing to decide on: {decided.reason}"
    known = {name: getattr(decided, name) for name in Decided.__struct_fields__}
    return ThresholdFinding(phase=phase, dataset=dataset, sentence=sentence, **known)


def _nothing(dataset: str, why: str, phase: str | None = None) -> ThresholdFinding:
    nothing = Decided(state="undecided", value=None, low=None, high=None, reason=why, shown="")
    return _finding(phase, dataset, nothing)
