"""Figures as they stand in the cells of a table: `-` for what was not measured, `>=` for what is only bounded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from aether_load.analysis.statistics import Distribution, Percentile, Share

if TYPE_CHECKING:
    from aether_load.analysis.thresholds import ThresholdReport

THRESHOLD_HEADER = ("threshold", "phase", "dataset", "number", "state")


def number(value: float | None, digits: int) -> str:
    """Return a number with so many digits behind the point."""
    return "-" if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "-" if value is None else f"{value:.1%}"


def bounded(point: Percentile) -> str:
    """Return a percentile, or what it is at least where the samples do not bound it."""
    return f">= {point.value:.1f}" if point.reliability == "unreliable" else f"{point.value:.1f}"


def with_interval(point: Percentile) -> str:
    """Return a percentile with its 95 % interval."""
    if point.low is None or point.high is None:
        return bounded(point)
    return f"{bounded(point)} [{point.low:.1f}, {point.high:.1f}]"


def points(latency: Distribution | None, *names: str) -> list[str]:
    """Return percentiles of a distribution by name."""
    return ["-" if latency is None else bounded(getattr(latency, name)) for name in names]


def share_with_interval(value: Share | None) -> str:
    """Return a share with its 95 % interval."""
    return "-" if value is None else f"{value.value:.3f} [{value.low:.3f}, {value.high:.3f}]"


def threshold_rows(thresholds: Iterable[ThresholdReport]) -> list[tuple[str, ...]]:
    """Return a row for each phase that a threshold was decided in, and one for what ended the run early, if so."""
    rows: list[tuple[str, ...]] = []
    for asked in thresholds:
        for found in asked.findings:
            number = found.shown or f"none; {found.reason}"
            rows.append((asked.condition, found.phase or "-", found.dataset, number, found.state))
        if (seen := asked.ended_the_run) is not None:
            rows.append((asked.condition, seen.phase, seen.dataset or "all", seen.shown, "ended the run"))
    return rows
