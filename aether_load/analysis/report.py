"""Build the report of a run from its folder; every output is written from this one value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from aether_load.analysis.latency.dag_shape import shape_of
from aether_load.analysis.latency.slowest import SlowRequest, slow_requests
from aether_load.analysis.phase.phase_report import PhaseInputs, PhaseReport, Whole, phase_readings, phase_report
from aether_load.analysis.phase.repeats import RepeatComparison, compare_repeats
from aether_load.analysis.phase.searches import SearchReport, search_report
from aether_load.analysis.phase.series import MOST_SECONDS, Series, phase_series, resolution_for
from aether_load.analysis.phase.sweeps import SweepReport, sweep_reports
from aether_load.analysis.phase.workers import WorkerReport, worker_reports
from aether_load.analysis.server.readings import Readings
from aether_load.analysis.server.repeated_answers import repeated_answers
from aether_load.analysis.verdict.thresholds import ThresholdReport, judge_thresholds
from aether_load.analysis.verdict.verdict import Against, Verdict, all_against, decide
from aether_load.analysis.verdict.warnings import Warning_, phase_warnings, run_warnings
from aether_load.dag.program import ProgramIdentity
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import Ended, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.process_usage import SelfCheck
from aether_load.rundata.run_data import read_run
from aether_load.rundata.samples.table import PhaseSamples, together
from aether_load.scenario.load import from_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import ThresholdPlan

REPORT_SCHEMA_VERSION = "1.0"

_NO_SELF_CHECK = "the release that made this run had no self-check"


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is, and how it ended; `seed` is None where its order was not ours to choose."""

    id: str  # name of the run's folder
    scenario: str  # name of the scenario
    purpose: str  # its purpose
    labels: dict[str, str] = {}  # labels of the run
    command: list[str]  # command line, secrets left out
    seed: int | None  # seed of the order
    began_utc: str  # when the run began
    ended_utc: str | None  # when it ended
    ended_as: Ended  # how it ended


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run found out; the nightly JSON is this, key for key."""

    schema_version: str  # first number: a key changed its meaning; second: keys were added
    run: RunInfo  # which run this is
    target: TargetRecord  # what was measured
    self_check: SelfCheck | None  # what the client itself costs
    self_check_reason: str | None  # why there is no self-check
    verdict: Verdict  # status, exit code and reasons
    warnings: tuple[Warning_, ...]  # what threatens the figures
    phases: tuple[PhaseReport, ...]  # a phase each
    workers: tuple[WorkerReport, ...] = ()  # a sending process each
    slowest_requests: tuple[SlowRequest, ...] = ()  # the slowest requests of each dataset, part by part
    searches: tuple[SearchReport, ...]  # a search each
    thresholds: tuple[ThresholdReport, ...]  # a threshold each
    comparisons: tuple[RepeatComparison, ...]  # repeated phases, a pair and metric each
    sweeps: tuple[SweepReport, ...]  # the loads of one phase together
    datasets: tuple[DatasetIdentity, ...]  # which rows were sent
    program: ProgramIdentity | None = None  # the Aether program that was sent
    scenario: dict[str, Any]  # the scenario with every default
    environment: dict[str, dict[str, Any]]  # versions, machine and git state


class Analysis(msgspec.Struct, frozen=True):
    """A run's report, and beside it each phase second by second, which is too much for a report."""

    report: Report
    series: tuple[Series, ...]


def build_report(folder: RunFolder) -> Report:
    """Return the report of a run, whether it ended well or was cut off; the same folder gives the same report."""
    return analyse(folder).report


def analyse(folder: RunFolder, asked: Sequence[ThresholdPlan] = ()) -> Analysis:
    """Return what a run's folder says; raises ResultsError when not one sample of it can be read.

    `asked` are thresholds to judge instead of the scenario's.
    """
    manifest = folder.read_manifest()
    scenario = from_plain(manifest.scenario, f"in {folder.manifest}")
    shape = shape_of(manifest.node_ids, manifest.nodes)
    level_of = shape.level_of if shape else (0,) * len(manifest.node_ids)
    data = read_run(folder, manifest, level_of)
    inputs = PhaseInputs(manifest=manifest, scenario=scenario, shape=shape, data=data)
    wholes = _wholes(manifest.phases, data.phases)
    readings = [phase_readings(inputs, record) for record in manifest.phases]
    phases = tuple(
        phase_report(inputs, record, samples, own, wholes.get(record.joined_in))
        for record, samples, own in zip(manifest.phases, data.phases, readings, strict=True)
    )
    repeated = repeated_answers([record.name for record in manifest.phases], data.phases)
    warnings = list(run_warnings(manifest, scenario, data.damage, data.torn, repeated))
    for phase in phases:
        warnings += phase_warnings(manifest, scenario, phase)
    searches = tuple(map(search_report, manifest.searches))
    plans = asked or scenario.thresholds
    thresholds = judge_thresholds(plans, manifest, scenario, phases, data.phases, searches)
    run = run_info(manifest, scenario)
    report = Report(
        schema_version=REPORT_SCHEMA_VERSION,
        run=run,
        target=manifest.target,
        self_check=manifest.self_check,
        self_check_reason=manifest.self_check_reason or (None if manifest.self_check else _NO_SELF_CHECK),
        verdict=decide(all_against(run.ended_as, phases, scenario, warnings, searches, thresholds)),
        warnings=tuple(warnings),
        phases=phases,
        workers=worker_reports(manifest, data.phases),
        slowest_requests=slow_requests(manifest, data.slowest, shape),
        searches=searches,
        thresholds=thresholds,
        comparisons=compare_repeats(phases),
        sweeps=sweep_reports(phases),
        datasets=manifest.datasets,
        program=manifest.program,
        scenario=manifest.scenario,
        environment={"versions": manifest.versions, "machine": manifest.machine, "git": manifest.git},
    )
    parts = zip(phases, manifest.phases, data.phases, readings, strict=True)
    return Analysis(report, tuple(_by_second(inputs, *part) for part in parts))


def against(report: Report) -> list[Against]:
    """Return everything that speaks against a run, as in its verdict, with what each makes of it."""
    scenario = from_plain(report.scenario)
    return all_against(
        report.run.ended_as, report.phases, scenario, report.warnings, report.searches, report.thresholds
    )


def run_info(manifest: Manifest, scenario: Scenario) -> RunInfo:
    """Return which run a manifest is of."""
    return RunInfo(
        id=manifest.id,
        scenario=scenario.name,
        purpose=scenario.purpose,
        labels=scenario.labels,
        command=manifest.command,
        seed=manifest.seed,
        began_utc=manifest.began.utc,
        ended_utc=manifest.ended.utc if manifest.ended else None,
        ended_as=manifest.ended_as,
    )


def _wholes(records: Sequence[PhaseRecord], samples: Sequence[PhaseSamples]) -> dict[str | None, Whole]:
    """Return, for each shape of joined phases, its samples together and the instants between which they lie."""
    wholes: dict[str | None, Whole] = {}
    for name in dict.fromkeys(record.joined_in for record in records if record.joined_in is not None):
        mine = [(record, part) for record, part in zip(records, samples, strict=True) if record.joined_in == name]
        last = mine[-1][0].ended
        wholes[name] = Whole(
            together([part for _, part in mine]), mine[0][0].began.monotonic_ns, last.monotonic_ns if last else None
        )
    return wholes


def _by_second(
    inputs: PhaseInputs, phase: PhaseReport, record: PhaseRecord, samples: PhaseSamples, readings: Readings
) -> Series:
    seconds = len(phase.series.second) * phase.series.resolution_s
    resolution_s = resolution_for(seconds, MOST_SECONDS)
    if phase.series.resolution_s == resolution_s:
        return phase.series
    return phase_series(samples, record, readings, inputs.data, inputs.manifest.began.monotonic_ns, resolution_s)
