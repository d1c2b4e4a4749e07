"""Put a report's figures into the tables of its page; a column in which nothing stands is left out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.outputs import formatting as cells
from aether_load.outputs.probes import probe_header, probe_rows

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.searches import SearchReport
    from aether_load.analysis.report import Report
    from aether_load.analysis.statistics.histogram import Interval, QuantileInterval

MOST_FILTERED = 20
"""Datasets that the page can be filtered by."""
_OFF = ("broken", "ended the run")


class TableRow(msgspec.Struct, frozen=True):
    """A row's cells, and the names by which its looks and its filter are told."""

    cells: tuple[str, ...]
    classes: str = ""


class PageTable(msgspec.Struct, frozen=True):
    """A table: its header, its rows, and the places of the columns that hold words and not figures."""

    header: tuple[str, ...]
    rows: tuple[TableRow, ...]
    words: tuple[int, ...] = ()


def _table(header: Sequence[str], rows: Iterable[TableRow | tuple[str, ...]], words: Sequence[str] = ()) -> PageTable:
    """Return a table without the columns in which nothing stands."""
    own = [row if isinstance(row, TableRow) else TableRow(row) for row in rows]
    kept = [
        place for place, _ in enumerate(header) if place == 0 or any(row.cells[place] not in {"", "-"} for row in own)
    ]
    return PageTable(
        tuple(header[place] for place in kept),
        tuple(TableRow(tuple(row.cells[place] for place in kept), row.classes) for row in own),
        tuple(number for number, place in enumerate(kept) if header[place] in words),
    )


def filtered_datasets(report: Report) -> list[str]:
    """Return the names that one click filters by; none where there is one dataset alone, or too many for buttons."""
    names = [identity.name for identity in report.datasets]
    return names if 1 < len(names) <= MOST_FILTERED else []


def filter_classes(report: Report, dataset: str, *, among_all: bool) -> str:
    """Return the classes of what belongs to a dataset, and with `among_all` stands where no dataset is chosen too."""
    names = filtered_datasets(report)
    if not names:
        return ""
    mine = f" of-{names.index(dataset)}" if dataset in names else ""
    return f"of{' of-all' if among_all else ''}{mine}"


def overview(report: Report, phases: Sequence[PhaseReport]) -> PageTable:
    """Return a row for each phase, and hidden behind the filter one for each of its datasets."""
    figures = [
        "requests", "per s", "goodput per s", "p50 ms", "p95 ms", "p99 ms (95 % interval)", "failed", "cached",
        "accuracy (95 % interval)",
    ]  # fmt: skip
    if not report.scenario.get("goodput_slo"):
        figures.remove("goodput per s")
    filtered = filtered_datasets(report)
    rows = []
    for phase in phases:
        for row in (phase.all, *(phase.datasets if filtered else ())):
            classes = filter_classes(report, row.dataset, among_all=row is phase.all)
            if row is phase.all and phase.reconciliation.trust != "trusted":
                classes += " off"
            trust = phase.reconciliation.trust.replace("_", " ") if row is phase.all else "-"
            own = (phase.name, *_load(phase), *cells.row_cells(row, figures), trust)
            rows.append(TableRow(own, classes))
    return _table(("phase", "load", "reached", *figures, "trusted"), rows)


def _load(phase: PhaseReport) -> tuple[str, str]:
    """Return the load that was asked for, and of an open load the one that was reached."""
    load = phase.achieved_load
    reached = "-" if load.reached is None or phase.load != "open" else f"{load.reached:.4g}"
    if load.asked is None:
        return "-", reached
    return "1 user" if (load.asked, load.unit) == (1, "users") else f"{load.asked:g} {load.unit}", reached


def thresholds(report: Report) -> PageTable:
    """Return each threshold in each phase that it was decided in, with its number and state."""
    rows = [TableRow(row, "off" if row[-1] in _OFF else "") for row in cells.threshold_rows(report.thresholds)]
    return _table(cells.THRESHOLD_HEADER, rows, cells.THRESHOLD_HEADER[1:])


def probes(search: SearchReport) -> PageTable:
    """Return a search's probes."""
    return _table(probe_header(search), probe_rows(search))


def repeats(report: Report) -> PageTable:
    """Return the ratios of phases that were repeated in turns."""
    return _table(cells.REPEATS_HEADER, map(cells.repeat_cells, report.comparisons), ("of",))


def workers(report: Report) -> PageTable | None:
    """Return the sending processes, None where there was one alone."""
    rows = [TableRow(row, "" if row[-2] == "finished" else "off") for row in cells.worker_rows(report.workers)]
    return _table(cells.WORKER_HEADER, rows, cells.WORKER_HEADER[1:]) if rows else None


def dataset_rows(report: Report, phase: PhaseReport) -> PageTable:
    """Return a phase's figures by dataset."""
    header = (
        "dataset", "requests", "ok", "per s", "p50 ms", "p95 ms", "p99 ms (95 % interval)",
        "accuracy (95 % interval)", "tokens", "tokens per right answer", "USD per right answer", "nodes from cache",
    )  # fmt: skip
    several = len(phase.datasets) > 1
    rows = [
        TableRow(cells.row_cells(row, header), filter_classes(report, row.dataset, among_all=True))
        for row in (*phase.datasets, *((phase.all,) if several else ()))
    ]
    return _table(header, rows)


def parts(phase: PhaseReport) -> PageTable | None:
    """Return the parts of a phase's response latency that took any time, None where there are none."""
    rows = [cells.part_cells(name, part) for name, part in parts_of(phase.decomposition) if part.mean_contribution_ms]
    return _table(("part", "mean ms", "p50 ms", "p99 ms", "of mean", "of tail", "of variance"), rows) if rows else None


def variance_note(phase: PhaseReport) -> str:
    """Return what a negative share of the variance means, empty where there is none."""
    shares = [part.variance_share or 0.0 for _, part in parts_of(phase.decomposition)]
    below = any(share < -cells.LEAST_SHARE for share in shares)
    return "A negative share of the variance: that part is smaller where latency is larger." if below else ""


def tasks(phase: PhaseReport) -> PageTable | None:
    """Return the tasks of own user classes, None where there are none."""
    return _table(cells.ITERATIONS_HEADER, map(cells.iteration_cells, phase.iterations)) if phase.iterations else None


def nodes(phase: PhaseReport) -> PageTable | None:
    """Return the nodes of a DAG, None where it has one alone."""
    if len(phase.nodes) < 2:
        return None
    header = (
        "node",
        "level",
        "succeeded",
        "other",
        "mean ms",
        "p50 ms",
        "p99 ms",
        "from cache",
        "of path",
        "of tail path",
    )
    return _table(header, map(cells.node_cells, phase.nodes))


def server(phase: PhaseReport) -> str:
    """Return what the server's own histogram says of its nodes, in one sentence."""
    found = phase.server
    if found is None:
        return f"The server's node times are not known: {phase.reasons.get('server', 'it said nothing')}."
    named = (
        ("mean", found.node_time_mean_ms), ("p50", found.node_time_p50_ms), ("p95", found.node_time_p95_ms),
        ("p99", found.node_time_p99_ms),
    )  # fmt: skip
    said = ", ".join(f"{name} in {_interval(interval)}" for name, interval in named)
    return f"The server counted {found.nodes_total} nodes; their time in ms: {said}."


def _interval(interval: Interval | QuantileInterval) -> str:
    high = "no bound" if interval.high is None else f"{interval.high:.4g}"
    return f"[{interval.low:.4g}, {high})"


def reconciliation(phase: PhaseReport) -> tuple[str, PageTable | None]:
    """Return what the comparison of both sides' counts came to, and the lines that do not agree."""
    lines = phase.reconciliation.lines
    known = [line for line in lines if line.agrees is not None]
    off = [line for line in known if not line.agrees]
    why = f" {phase.reconciliation.reason}." if phase.reconciliation.reason else ""
    sentence = f"{len(known) - len(off)} of {len(known)} counts agree.{why}"
    if not off:
        return sentence, None
    rows = [
        TableRow(
            (
                line.name,
                line.against,
                "-" if line.ours is None else str(line.ours),
                "-" if line.theirs is None else str(line.theirs),
                "-" if line.difference is None else f"{line.difference:+d}",
                line.reason or " or ".join(line.causes),
            ),
            "off",
        )
        for line in off
    ]
    header = ("count", "against", "ours", "theirs", "difference", "likely cause")
    return sentence, _table(header, rows, ("against", "likely cause"))
