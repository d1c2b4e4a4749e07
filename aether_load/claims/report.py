"""Put together the report on claims from the folders of the runs that were made for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any, Literal

import msgspec

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.statistics.distribution import rounded
from aether_load.claims.claim import Claim, ClaimsFile
from aether_load.claims.figures import Figures, PhaseFigures, RunFigures
from aether_load.claims.measurement import Measured, measure, measure_phase, possible_hit_rate
from aether_load.claims.verdict import Finding, decide_claim
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.rundata.manifest import Ended, TargetRecord

CLAIMS_SCHEMA_VERSION = "1.0"
_POINTS = ("p50", "p95", "p99")


class ClaimReport(msgspec.Struct, frozen=True, kw_only=True):
    """A claim, what was measured of it, and the verdict."""

    claim: Claim
    measured: Measured
    verdict: Finding
    reason: str


class MeasuredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run that figures come from."""

    id: str
    scenario: str
    status: str
    reasons: tuple[str, ...]
    ended_as: Ended
    warnings: dict[str, int]


class Spread(msgspec.Struct, frozen=True):
    """Mean and standard deviation of a figure over repetitions; no deviation of a single one."""

    mean: float
    stddev: float | None


class Curve(msgspec.Struct, frozen=True):
    """The latency in ms that each share of a repetition's requests did not exceed."""

    repeat: int
    share: tuple[float, ...]
    latency_ms: tuple[float, ...]


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """A phase that was repeated: the cells of the paper's tables, in ms over complete repetitions."""

    scenario: str
    phase: str
    repetitions_total: int
    requests_total: int
    latency_mean_ms: Spread
    latency_p50_ms: Spread
    latency_p95_ms: Spread
    latency_p99_ms: Spread
    speedup: float | None
    speedup_low: float | None
    speedup_high: float | None
    speedup_bound: float | None
    curves: tuple[Curve, ...]


class Repetition(msgspec.Struct, frozen=True, kw_only=True):
    """A pattern of requests that come again, and the hit rate of the cache under it."""

    scenario: str
    phase: str
    requests_total: int
    distinct_prompts: int
    hit_rate: Measured


class ClaimsReport(msgspec.Struct, frozen=True, kw_only=True):
    """Every claim with its verdict, and the tables and curves behind them; claims.json is this, key for key."""

    schema_version: str
    ended_as: Literal["completed", "interrupted"]
    scenarios: tuple[str, ...]
    simulated: bool
    targets: tuple[TargetRecord, ...]
    labels: dict[str, str]
    claims: tuple[ClaimReport, ...]
    configurations: tuple[Configuration, ...]
    repetitions: tuple[Repetition, ...]
    runs: tuple[MeasuredRun, ...]
    datasets: tuple[DatasetIdentity, ...]
    began_utc: str | None
    environment: dict[str, dict[str, Any]]


def build_claims_report(file: ClaimsFile, runs: Sequence[RunFigures], scenarios: Sequence[str]) -> ClaimsReport:
    """Return the report on the claims that some scenarios decide, and on those that nothing does.

    It is interrupted where one of the scenarios did not run to its end.
    """
    figures = Figures(runs)
    reports = [run.report for run in runs]
    simulated = any(report.target.kind == "simulated" for report in reports)
    whole = {report.run.scenario for report in reports if report.run.ended_as == "completed"}
    return ClaimsReport(
        schema_version=CLAIMS_SCHEMA_VERSION,
        ended_as="completed" if set(scenarios) <= whole else "interrupted",
        scenarios=tuple(scenarios),
        simulated=simulated,
        targets=tuple({report.target.url: report.target for report in reports}.values()),
        labels=reports[0].run.labels if reports else {},
        claims=tuple(
            _claim_report(claim, figures, simulated=simulated)
            for claim in file.claims
            if claim.of is None or claim.of.partition("/")[0] in scenarios
        ),
        configurations=tuple(_configurations(runs, figures)),
        repetitions=tuple(_repetitions(runs, figures)),
        runs=tuple(map(_measured_run, runs)),
        datasets=tuple({one.name: one for report in reports for one in report.datasets}.values()),
        began_utc=reports[0].run.began_utc if reports else None,
        environment=reports[0].environment if reports else {},
    )


def _claim_report(claim: Claim, figures: Figures, *, simulated: bool) -> ClaimReport:
    measured = measure(claim, figures)
    verdict = decide_claim(claim, measured, simulated=simulated)
    return ClaimReport(claim=claim, measured=measured, verdict=verdict.finding, reason=verdict.reason)


def _measured_run(run: RunFigures) -> MeasuredRun:
    report = run.report
    return MeasuredRun(
        id=report.run.id,
        scenario=report.run.scenario,
        status=report.verdict.status,
        reasons=report.verdict.reasons,
        ended_as=report.run.ended_as,
        warnings=Counter(warning.code for warning in report.warnings),
    )


def _phases(runs: Sequence[RunFigures], figures: Figures) -> Iterator[tuple[str, str, PhaseFigures]]:
    """Yield scenario, phase and figures of each phase of the runs that is no search and can be used."""
    for run in runs:
        names = dict.fromkeys(phase.phase or phase.name for phase in run.report.phases if phase.search is None)
        for name in names:
            found = figures.phase(f"{run.report.run.scenario}/{name}")
            if found.reason is None:
                yield run.report.run.scenario, name, found


def _configurations(runs: Sequence[RunFigures], figures: Figures) -> Iterator[Configuration]:
    """Yield each phase that was repeated; speed-ups are against the first of its scenario."""
    firsts: dict[str, PhaseFigures] = {}
    for scenario, name, found in _phases(runs, figures):
        if found.phases[0].repeat is None:
            continue
        speedup = measure_phase("speedup", found, firsts.setdefault(scenario, found))
        yield Configuration(
            scenario=scenario,
            phase=name,
            repetitions_total=len(found.phases),
            requests_total=sum(phase.all.requests_total for phase in found.phases),
            latency_mean_ms=_spread([phase.all.response_latency_ms.mean for phase in found.phases]),  # type: ignore[union-attr] # a phase that can be used has latencies
            **{f"latency_{point}_ms": _spread([_point(phase, point) for phase in found.phases]) for point in _POINTS},
            speedup=speedup.value,
            speedup_low=speedup.low,
            speedup_high=speedup.high,
            speedup_bound=None if found.phases[0].sequential else speedup.possible,
            curves=tuple(
                Curve(phase.repeat, curve.share, curve.response_latency_ms)
                for phase in found.phases
                if (curve := phase.latency_curve) is not None and phase.repeat is not None
            ),
        )


def _spread(values: Sequence[float]) -> Spread:
    deviation = rounded(stdev(values)) if len(values) > 1 else None
    return Spread(rounded(fmean(values)) or 0.0, deviation)


def _point(phase: PhaseReport, name: str) -> float:
    value: float = getattr(phase.all.response_latency_ms, name).at_most
    return value


def _repetitions(runs: Sequence[RunFigures], figures: Figures) -> Iterator[Repetition]:
    """Yield each phase that began with an empty cache and sent a prompt more than once."""
    for scenario, name, found in _phases(runs, figures):
        phase = found.phases[0]
        if phase.repeat is not None or phase.cache != "cold" or not possible_hit_rate(found):
            continue
        assert found.distinct_prompts is not None
        yield Repetition(
            scenario=scenario,
            phase=name,
            requests_total=phase.all.requests_total,
            distinct_prompts=found.distinct_prompts,
            hit_rate=measure_phase("hit_rate", found, found),
        )
