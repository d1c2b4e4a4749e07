"""Answer in a few sentences what a run was made for: its verdict and why, and what it found."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aether_load.analysis.phase.repeats import RepeatComparison
    from aether_load.analysis.phase.sweeps import SweepReport
    from aether_load.analysis.report import Report
    from aether_load.analysis.verdict.thresholds import ThresholdReport

_METRIC_NAMES = {
    "ok_throughput_rps": "throughput",
    "response_latency_p50_ms": "p50",
    "response_latency_p99_ms": "p99",
}


def verdict_name(report: Report) -> str:
    """Return the verdict's status in capitals."""
    return report.verdict.status.replace("_", " ").upper()


def why(report: Report) -> str:
    """Return the deciding reason for the verdict, or what a run that passed has shown."""
    reasons = report.verdict.reasons
    if reasons:
        return reasons[0]
    if (found := next(_answers(report), None)) is not None:
        return found
    rows = [phase.all for phase in report.phases]
    ok, sent = sum(row.ok_total for row in rows), sum(row.requests_total for row in rows)
    held = len(report.thresholds)
    thresholds = f"{held} threshold{'s' if held > 1 else ''} hold{'s' if held == 1 else ''}; " if held else ""
    return f"{thresholds}{ok} of {sent} requests succeeded"


def findings(report: Report) -> Iterator[str]:
    """Yield what the run found out: the largest load that held, repeated phases compared, the knees of sweeps."""
    yield from _answers(report)
    yield from (_knee(sweep) for sweep in _sweeps(report) if sweep.knee_load is None)


def _answers(report: Report) -> Iterator[str]:
    """Yield each finding that is an answer; that a sweep shows no knee is none."""
    for search in report.searches:
        yield f"search {search.name} for the largest load under {' and '.join(search.slo)}: {search.sentence}"
    for _, pair in groupby(report.comparisons, key=lambda one: (one.base, one.other)):
        yield _comparison(list(pair))
    yield from (_knee(sweep) for sweep in _sweeps(report) if sweep.knee_load is not None)


def _sweeps(report: Report) -> list[SweepReport]:
    """Return the sweeps that are no search; the loads of a search are told by its sentence."""
    searched = {search.name for search in report.searches}
    return [sweep for sweep in report.sweeps if sweep.name not in searched]


def threshold_lines(report: Report) -> list[tuple[str, str]]:
    """Return each threshold's state and what it is about, the broken ones first."""
    order = ("broken", "undecided", "holds")
    return [(one.state, _threshold(one)) for one in sorted(report.thresholds, key=lambda one: order.index(one.state))]


def _comparison(metrics: list[RepeatComparison]) -> str:
    first = metrics[0]
    reasons = {one.reason for one in metrics}
    said = []
    for one in metrics:
        name, why = _METRIC_NAMES.get(one.metric, one.metric), f" ({one.reason})" if len(reasons) > 1 else ""
        if one.ratio_median is None:
            said.append(f"{name} none{why}")
        elif one.ratio_low is None or one.ratio_high is None:
            said.append(f"{name} {one.ratio_median:.3f}{why}")
        else:
            said.append(f"{name} {one.ratio_median:.3f} [{one.ratio_low:.3f}, {one.ratio_high:.3f}]")
    note = ""
    if len(reasons) == 1:
        note = f" ({first.reason or f'median of {first.pairs_total} pairs, 95 % interval'})"
    return f"{first.other} / {first.base}: {', '.join(said)}{note}"


def _knee(sweep: SweepReport) -> str:
    if sweep.knee_load is None:
        return f"{sweep.name}: no knee; {sweep.knee_reason}"
    point = next(point for point in sweep.points if point.load == sweep.knee_load)
    rate = "" if point.ok_throughput_rps is None else f", {point.ok_throughput_rps:.1f} good answers/s"
    mean = point.response_latency_mean_ms
    latency = "" if mean is None else f", mean response latency {mean:.1f} ms"
    return f"{sweep.name}: the knee is at {sweep.knee_load:g} {sweep.unit}{rate}{latency}"


def _threshold(threshold: ThresholdReport) -> str:
    """Return a threshold with the first finding of its state, and in how many phases it is so."""
    same = [finding for finding in threshold.findings if finding.state == threshold.state]
    if threshold.state == "holds" or not same:
        return threshold.condition
    first = same[0]
    more = f", and {len(same) - 1} more" if len(same) > 1 else ""
    where = "" if first.phase is None else f"{first.phase}: "
    return f"{threshold.condition} ({where}{first.shown or first.reason}{more})"
