"""Compare the loads of a sweep: latency and throughput by load, and the knee between them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aether_load.analysis.phase.achieved_load import LoadUnit
from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.statistics.distribution import Percentile

_FEWEST_LOADS = 3


class SweepPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One load of a sweep, in the sweep's unit, and what it brought; latencies are from due to answered, in ms."""

    phase: str
    load: float
    ok_throughput_rps: float | None
    response_latency_mean_ms: float | None
    response_latency_p50_ms: Percentile | None
    response_latency_p95_ms: Percentile | None
    response_latency_p99_ms: Percentile | None
    error_rate: float | None


class SweepReport(msgspec.Struct, frozen=True, kw_only=True):
    """The loads that one phase of the scenario went through, ascending; a load that was tried twice is there twice.

    `knee_load` is the load at which throughput of good answers over mean response latency is largest, Kleinrock's
    power (Power and deterministic rules of thumb for probabilistic problems in computer communications, ICC 1979):
    below it more load brings more throughput than waiting, above it more waiting than throughput. It is one of the
    loads that were tried; None, with a reason, where the largest lies at an end, beyond which no load was tried.
    """

    name: str
    unit: LoadUnit
    points: tuple[SweepPoint, ...]
    knee_load: float | None
    knee_reason: str | None


def sweep_reports(phases: Sequence[PhaseReport]) -> tuple[SweepReport, ...]:
    """Return a report of each phase of the scenario that had more than one load, searches included."""
    groups: dict[str, list[PhaseReport]] = {}
    for phase in phases:
        name = phase.search or phase.phase
        if name is not None and phase.achieved_load.asked is not None:
            groups.setdefault(name, []).append(phase)
    return tuple(
        _sweep(name, members)
        for name, members in groups.items()
        if len({phase.achieved_load.asked for phase in members}) > 1
    )


def _sweep(name: str, phases: Sequence[PhaseReport]) -> SweepReport:
    points = tuple(sorted(map(_point, phases), key=lambda point: point.load))
    knee, reason = _knee(points)
    return SweepReport(name=name, unit=phases[0].achieved_load.unit, points=points, knee_load=knee, knee_reason=reason)


def _point(phase: PhaseReport) -> SweepPoint:
    latency = phase.all.response_latency_ms
    assert phase.achieved_load.asked is not None
    return SweepPoint(
        phase=phase.name,
        load=phase.achieved_load.asked,
        ok_throughput_rps=phase.all.ok_throughput_rps,
        error_rate=phase.all.error_rate,
        **{f"response_latency_{name}_ms": getattr(latency, name, None) for name in ("mean", "p50", "p95", "p99")},
    )


def _knee(points: Sequence[SweepPoint]) -> tuple[float | None, str | None]:
    """Return the load of the largest power, or why there is none; a load tried more than once counts by its mean."""
    powers: dict[float, list[float]] = {}
    for point in points:
        if point.ok_throughput_rps is not None and point.response_latency_mean_ms:
            powers.setdefault(point.load, []).append(point.ok_throughput_rps / point.response_latency_mean_ms)
    loads = sorted(powers)
    if len(loads) < _FEWEST_LOADS:
        return None, f"{len(loads)} loads were measured, of {_FEWEST_LOADS} needed"
    means = {load: sum(values) / len(values) for load, values in powers.items()}
    knee = max(loads, key=lambda load: means[load])
    if knee == loads[-1]:
        return None, f"throughput over latency still rises at the largest load, {knee:g}: the knee lies beyond it"
    if knee == loads[0]:
        return None, f"throughput over latency falls from the smallest load, {knee:g}, on: the knee lies at or below it"
    return knee, None
