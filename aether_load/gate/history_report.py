"""A candidate's report held against stored ones: allowed, and weak, because a machine is not the same twice."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

import msgspec
import numpy as np

from aether_load.analysis.phase.rows import Row
from aether_load.analysis.report import Report
from aether_load.analysis.report import against as all_against
from aether_load.analysis.statistics.distribution import Distribution, Share, clopper_pearson, rounded
from aether_load.compare.comparable import differences, void
from aether_load.errors import ExitCode
from aether_load.scenario.gate_plan import GateMetric, parse_gate_metric

_WIDTH = 110
FEWEST_FOR_A_RATE = 5
KNOWN_FALSE_ALARMS = (0.17, 0.44)
"""The share of gates against stored baselines that fail with nothing changed, on shared machines: why this is weak."""

Kind = Literal["scenario", "target", "machine"]


class HistoryComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One phase by one metric: the candidate beside the median of the stored runs that have it.

    `ratio` is candidate over baseline. `false_alarms` tells how many of the stored runs would themselves have failed
    against the others, with the exact (Clopper-Pearson) interval; None with fewer than `FEWEST_FOR_A_RATE` of them.
    """

    phase: str
    metric: str
    better: Literal["higher", "lower"]
    baseline_runs_total: int
    baseline_median: float | None
    candidate: float | None
    ratio: float | None
    is_regression: bool | None
    false_alarms: Share | None
    sentence: str


class HistoryReport(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate against history; `weak` says in a sentence how far that is to be trusted."""

    candidate: str
    baseline: tuple[str, ...]
    refused: tuple[str, ...]
    margin: float
    weak: str
    comparisons: tuple[HistoryComparison, ...]
    status: Literal["passed", "regression", "invalid"]
    exit_code: int
    sentence: str


def against_history(
    candidate: Report,
    stored: Sequence[tuple[str, Report]],
    metrics: Sequence[GateMetric],
    *,
    margin: float,
    allowed: Sequence[Kind] = (),
) -> HistoryReport:
    """Hold a report against those `stored`, each with the name of its file.

    A stored run that is void is refused; one of another scenario, kind of target or machine unless that is `allowed`.
    A regression is a median ratio below 1 - `margin`, the better way up; one run has no interval, so nothing else can
    be asked of it.
    """
    refused: list[tuple[str, Report, list[str]]] = []
    taken: list[tuple[str, Report, list[str]]] = []
    for name, report in stored:
        against = [f"it {why}" for why in void(report)]
        against += [what for kind, what in differences(report, candidate) if kind not in allowed]
        if report.run.id == candidate.run.id:
            against = ["it is the candidate's own run"]
        (refused if against else taken).append((name, report, against))
    comparisons = tuple(
        _compare(phase.name, metric, candidate, [report for _, report, _ in taken], margin)
        for phase in candidate.phases
        if phase.search is None
        for metric in metrics
    )
    lost = [found.sentence for found in comparisons if found.is_regression]
    undecided = [found.sentence for found in comparisons if found.is_regression is None]
    status: Literal["passed", "regression", "invalid"] = "passed"
    code, sentence = ExitCode.PASSED, "; ".join(found.sentence for found in comparisons)
    # A broken threshold stands before what makes a run invalid, and hides it in the verdict.
    fault = next((one for one in all_against(candidate) if one.status not in {"crossed", "inconclusive"}), None)
    if fault is not None:
        status, code = "invalid", ExitCode.INVALID
        sentence = f"the candidate's own run is {fault.status}: {fault.reason}"
    elif not taken:
        # Why each was refused stands in `refused`.
        why = f"all {len(refused)} stored are refused" if refused else "there is no stored run"
        status, code, sentence = "invalid", ExitCode.INVALID, f"nothing to hold the candidate against: {why}"
    elif lost:
        status, code, sentence = "regression", ExitCode.THRESHOLD, "; ".join(lost)
    elif undecided or not comparisons:
        status, code, sentence = "invalid", ExitCode.INVALID, "; ".join(undecided) or "the candidate has no phase"
    return HistoryReport(
        candidate=candidate.run.id,
        baseline=tuple(name for name, _, _ in taken),
        refused=tuple(f"{name}: {'; '.join(against)}" for name, _, against in refused),
        margin=margin,
        weak=_weakness(comparisons),
        comparisons=comparisons,
        status=status,
        exit_code=int(code),
        sentence=sentence,
    )


def metric_of_history(text: str) -> GateMetric:
    """Return a metric that reports have; raises ValueError for one that only a gate's windows have."""
    metric = parse_gate_metric(text)
    if metric.metric in {"server_total_ms", "node_time_ms", "token_cost_mean"}:
        raise ValueError(f"{metric.metric} is taken of windows; of a stored report it is not known.")
    if metric.quantile is not None and metric.quantile not in _STORED:
        raise ValueError(f"a stored report has the percentiles {', '.join(f'p({q * 100:g})' for q in _STORED)}.")
    return metric


def write_history(report: HistoryReport, out: TextIO) -> None:
    """Write the comparison for the terminal."""
    out.write(f"\naether-load gate: {report.candidate} against {len(report.baseline)} stored\n")
    said = [f"WEAK: {report.weak}", *(f"refused: {refusal}" for refusal in report.refused)]
    said += [found.sentence for found in report.comparisons]
    out.writelines(_filled(line) for line in said)
    out.write(f"\n{report.status.upper()} (exit code {report.exit_code})\n{_filled(report.sentence)}")


def _filled(text: str) -> str:
    return textwrap.fill(text, _WIDTH, initial_indent="  ", subsequent_indent="    ", break_long_words=False) + "\n"


_STORED = {0.5: "p50", 0.9: "p90", 0.95: "p95", 0.99: "p99", 0.999: "p99_9"}


def _compare(
    phase: str, metric: GateMetric, candidate: Report, stored: Sequence[Report], margin: float
) -> HistoryComparison:
    theirs = [value for report in stored if (value := _value(report, phase, metric))]
    ours = _value(candidate, phase, metric)
    middle = float(np.median(theirs)) if theirs else None
    goodness = None if middle is None or not ours else _goodness(ours, middle, metric)
    alarms = None
    if len(theirs) >= FEWEST_FOR_A_RATE:
        failing = [
            _goodness(value, float(np.median([*theirs[:place], *theirs[place + 1 :]])), metric) < 1 - margin
            for place, value in enumerate(theirs)
        ]
        alarms = clopper_pearson(sum(failing), len(failing))
    what = f"phase {phase}, {metric.text}"
    if goodness is None or middle is None or ours is None:
        sentence = f"{what}: not decided: {'no stored run has' if ours else 'the candidate has no'} such figure"
    else:
        change = "a loss" if goodness < 1 else "a gain"
        beyond = "beyond" if goodness < 1 - margin else "within"
        runs = f"{len(theirs)} run{'s' * (len(theirs) > 1)}"
        sentence = (
            f"{what}: {ours:g} beside a median of {middle:g} of {runs}, {change} of {abs(1 - goodness):.1%}, {beyond} "
            f"the margin of {margin:.1%}"
        )
    return HistoryComparison(
        phase=phase,
        metric=metric.text,
        better=metric.better,
        baseline_runs_total=len(theirs),
        baseline_median=rounded(middle),
        candidate=rounded(ours),
        ratio=None if goodness is None or not middle or ours is None else rounded(ours / middle),
        is_regression=None if goodness is None else goodness < 1 - margin,
        false_alarms=alarms,
        sentence=sentence,
    )


def _goodness(ours: float, theirs: float, metric: GateMetric) -> float:
    return ours / theirs if metric.better == "higher" else theirs / ours


def _value(report: Report, phase: str, metric: GateMetric) -> float | None:
    found = next((each for each in report.phases if each.name == phase), None)
    if found is None:
        return None
    rows: Iterator[Row] = (row for row in (found.all, *found.datasets) if row.dataset == (metric.dataset or "all"))
    row = next(rows, None)
    if row is None:
        return None
    value = found.correlation.overhead_ms if metric.metric == "overhead_ms" else getattr(row, metric.metric)
    if isinstance(value, Distribution):
        name = _STORED[metric.quantile] if metric.quantile is not None else metric.aggregation
        point = getattr(value, name or "mean")
        return float(getattr(point, "value", point))
    if isinstance(value, Share):
        return value.value
    return None if value is None else float(value)


def _weakness(comparisons: Sequence[HistoryComparison]) -> str:
    low, high = KNOWN_FALSE_ALARMS
    rates = [found.false_alarms for found in comparisons if found.false_alarms is not None]
    measured = ""
    if rates:
        worst = max(rates, key=lambda rate: rate.value)
        measured = (
            f" Of these stored runs {worst.hits} of {worst.count} would have failed against the others "
            f"({worst.value:.0%} [{worst.low:.0%}, {worst.high:.0%}])."
        )
    return (
        f"a stored baseline fails {low:.0%} to {high:.0%} of the time with nothing changed, because a machine is "
        f"not the same twice.{measured} Hold two builds against each other side by side (--base and --candidate)."
    )
