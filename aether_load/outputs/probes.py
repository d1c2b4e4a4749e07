"""Write the probes of a capacity search as rows of a table."""

from __future__ import annotations

from aether_load.analysis.phase.searches import SearchReport
from aether_load.outputs.formatting import share
from aether_load.outputs.table import Column, columns_of
from aether_load.rundata.manifest import ProbeRecord
from aether_load.schedule.probe import SloReading

_LEFT_OUT_FIRST = ("for s", "why", "errors", "sender CPU", "server CPU")


def probe_header(search: SearchReport) -> tuple[str, ...]:
    """Return the header of a search's probe table; each condition of its SLO has a column with the metric."""
    asked = "users asked" if search.unit == "users" else "req/s asked"
    return asked, "achieved", "for s", "why", *search.slo, "errors", "sender CPU", "server CPU", "limited by"


def probe_columns(search: SearchReport) -> list[Column]:
    """Return the table's columns; where there is little room the first to go says how long a probe lasted."""
    return columns_of(probe_header(search), probe_rows(search), _LEFT_OUT_FIRST)


def probe_rows(search: SearchReport) -> list[tuple[str, ...]]:
    """Return a row for each probe, in the order in which they were driven."""
    return [_row(probe, len(search.slo)) for probe in search.probes]


def _row(probe: ProbeRecord, conditions: int) -> tuple[str, ...]:
    measured = probe.measured
    return (
        f"{probe.load:g}",
        "-" if measured is None or measured.achieved_load is None else f"{measured.achieved_load:.4g}",
        f"{probe.duration_s:g}",
        probe.purpose,
        *(["-"] * conditions if measured is None else map(_reading, measured.slo)),
        share(measured.error_rate if measured else None),
        share(measured.sender_cpu_share if measured else None),
        share(measured.server_cpu_share if measured else None),
        probe.limited_by or "undecided",
    )


def _reading(reading: SloReading) -> str:
    """Return the metric's value with its interval; `>=` and `<=` where one side is unbounded."""
    low, high = (None if end is None else f"{end:.4g}" for end in (reading.low, reading.high))
    value = "" if reading.value is None else f"{reading.value:.4g}"
    if low is None and high is None:
        return value or "-"
    if high is None:
        return f">= {low}"
    return f"<= {high}" if low is None else f"{value} [{low}, {high}]".strip()
