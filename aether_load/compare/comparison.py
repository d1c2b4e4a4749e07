"""Compare runs by phase and dataset, and rank those figures whose difference is not chance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from aether_load.analysis.phase.rows import Row
from aether_load.analysis.report import Report
from aether_load.analysis.statistics.distribution import Percentile, Share, wilson
from aether_load.analysis.statistics.multiple import difference_p, holm
from aether_load.compare.comparable import letter, obstacles
from aether_load.dag.program import ProgramIdentity
from aether_load.scenario.metrics import METRICS, Metric

Rank = Literal["better", "worse", "not told apart"]
COMPARISON_SCHEMA_VERSION = "1.0"
_SIGNIFICANT = 0.05

CAVEAT = (
    "Runs that were made one after the other differ by what else the machine did, too: a difference here is a reason "
    "to look, not a verdict on a build."
)


class Figure(msgspec.Struct, frozen=True):
    """One run's figure with its 95 % interval; None for a bound that there is not, and for the value likewise.

    A latency whose value the sender may have added to is its interval alone.
    """

    value: float | None
    low: float | None
    high: float | None
    at_least: bool = False


class ComparedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of one phase and dataset in each run, in the runs' order.

    `ratio` is each run's value over the first's. `rank` compares each run with the first: `better` or `worse` where
    their 95 % intervals do not overlap and `p_adjusted` is below 0.05, None where the figure has no interval or the
    runs may not be ranked. `p_adjusted` is corrected for the number of ranks in the whole comparison (Holm).
    """

    phase: str
    dataset: str
    figure: str
    unit: str
    smaller_is_better: bool
    runs: tuple[Figure | None, ...]
    ratio: tuple[float | None, ...]
    rank: tuple[Rank | None, ...]
    p_adjusted: tuple[float | None, ...]


class ComparedRun(msgspec.Struct, frozen=True, kw_only=True):
    """Which run a letter stands for; `name` is the label by which the runs differ, or when it began."""

    letter: str
    name: str
    labels: dict[str, str]
    id: str
    began_utc: str
    commit: str | None
    target: str
    target_kind: str
    program: ProgramIdentity | None = None
    status: str


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Runs compared with the first of them; `obstacles` are why they are not ranked, if they are not."""

    schema_version: str
    comparable: bool
    obstacles: tuple[str, ...]
    runs: tuple[ComparedRun, ...]
    rows: tuple[ComparedRow, ...]


def compare(reports: Sequence[Report], *, datasets: bool = False) -> Comparison:
    """Return what the runs have in common and where they differ; with `datasets`, a row a dataset too."""
    against = obstacles(reports)
    slos_differ = len({report.scenario.get("goodput_slo") for report in reports}) > 1
    tables = [_rows(report, datasets=datasets) for report in reports]
    rows = []
    for key in dict.fromkeys(key for table in tables for key in table):
        mine = [table.get(key) for table in tables]
        for figure, (metric, read) in _FIGURES.items():
            runs = tuple(None if row is None else read(row) for row in mine)
            if all(run is None for run in runs):
                continue
            ranked = not against and not (figure in _BY_SLO and slos_differ)
            p_values = tuple(_p(runs[0], run) if ranked and place else None for place, run in enumerate(runs))
            rows.append(
                ComparedRow(
                    phase=key[0],
                    dataset=key[1],
                    figure=figure,
                    unit=metric.unit,
                    smaller_is_better=metric.better == "lower",
                    runs=runs,
                    ratio=tuple(_ratio(runs[0], run) for run in runs),
                    rank=(),
                    p_adjusted=p_values,
                )
            )
    return Comparison(
        schema_version=COMPARISON_SCHEMA_VERSION,
        comparable=not against,
        obstacles=against,
        runs=tuple(map(_run, range(len(reports)), reports, _names(reports))),
        rows=tuple(_ranked(rows)),
    )


def _ranked(rows: Sequence[ComparedRow]) -> Iterator[ComparedRow]:
    """Yield the rows with p-values adjusted for their number, and the ranks that follow."""
    adjusted = iter(holm([p for row in rows for p in row.p_adjusted if p is not None]))
    for row in rows:
        p_adjusted = tuple(None if p is None else round(next(adjusted), 6) for p in row.p_adjusted)
        rank = tuple(
            None if p is None else _rank(row.runs[0], run, p, smaller=row.smaller_is_better)
            for run, p in zip(row.runs, p_adjusted, strict=True)
        )
        yield msgspec.structs.replace(row, p_adjusted=p_adjusted, rank=rank)


def _names(reports: Sequence[Report]) -> list[str]:
    """Return each run's name: the values of the labels in which they differ, else the day or the minute it began."""
    keys = dict.fromkeys(key for report in reports for key in report.run.labels)
    differing = [key for key in keys if len({report.run.labels.get(key) for report in reports}) > 1]
    names = [" ".join(report.run.labels.get(key, "-") for key in differing) for report in reports]
    if differing and len(set(names)) == len(names):
        return names
    began = [report.run.began_utc for report in reports]
    days = {utc[:10] for utc in began}
    if len(days) == len(began):
        return [utc[5:10] for utc in began]
    return [utc[11:16] if len(days) == 1 else utc[5:16].replace("T", " ") for utc in began]


def _run(place: int, report: Report, name: str) -> ComparedRun:
    return ComparedRun(
        letter=letter(place),
        name=name,
        labels=report.run.labels,
        id=report.run.id,
        began_utc=report.run.began_utc,
        commit=report.environment["git"].get("commit"),
        target=report.target.url,
        target_kind=f"{report.target.kind} {report.target.generation.value}",
        program=report.program,
        status=report.verdict.status,
    )


def _rows(report: Report, *, datasets: bool) -> dict[tuple[str, str], Row]:
    """Return a report's rows by phase and dataset; the probes of a search are left out."""
    return {
        (phase.name, row.dataset): row
        for phase in report.phases
        if phase.search is None
        for row in (phase.all, *(phase.datasets if datasets else ()))
    }


def _latency(name: str) -> Callable[[Row], Figure | None]:
    def read(row: Row) -> Figure | None:
        if row.response_latency_ms is None:
            return None
        point: Percentile = getattr(row.response_latency_ms, name)
        return Figure(point.value, point.low, point.high, point.reliability == "unreliable")

    return read


def _share(share: Share | None) -> Figure | None:
    return None if share is None else Figure(share.value, share.low, share.high)


def _errors(row: Row) -> Figure | None:
    if row.error_rate is None:
        return None
    if row.outcomes["cancelled"]:
        # Whether cancelled requests count as failures depends on how the run ended; the rate takes that into account.
        return Figure(row.error_rate, None, None)
    return _share(wilson(row.requests_total - row.outcomes["ok"] - row.outcomes["rejected"], row.requests_total))


def _plain(name: str) -> Callable[[Row], Figure | None]:
    def read(row: Row) -> Figure | None:
        value = getattr(row, name)
        return None if value is None else Figure(float(value), None, None)

    return read


_FIGURES: dict[str, tuple[Metric, Callable[[Row], Figure | None]]] = {
    "response latency p50": (METRICS["response_latency_ms"], _latency("p50")),
    "response latency p95": (METRICS["response_latency_ms"], _latency("p95")),
    "response latency p99": (METRICS["response_latency_ms"], _latency("p99")),
    "good answers": (METRICS["ok_throughput_rps"], _plain("ok_throughput_rps")),
    "goodput": (METRICS["goodput_rps"], _plain("goodput_rps")),
    "within the SLO": (METRICS["goodput_share"], lambda row: _share(row.goodput_share)),
    "error rate": (METRICS["error_rate"], _errors),
    "accuracy": (METRICS["accuracy"], lambda row: _share(row.accuracy)),
    "tokens per right answer": (METRICS["tokens_per_correct_answer"], _plain("tokens_per_correct_answer")),
}
_BY_SLO = {"goodput", "within the SLO"}


def _ratio(first: Figure | None, other: Figure | None) -> float | None:
    if first is None or other is None or not first.value or other.value is None or first.at_least or other.at_least:
        return None
    return round(other.value / first.value, 4)


def _p(first: Figure | None, other: Figure | None) -> float | None:
    """Return the p-value of no difference, None where a figure has no interval."""
    if first is None or first.value is None or (first.low is None and first.high is None):
        return None
    if other is None or other.value is None or (other.low is None and other.high is None):
        return None
    return difference_p((first.value, first.low, first.high), (other.value, other.low, other.high))


def _rank(first: Figure | None, other: Figure | None, p_adjusted: float, *, smaller: bool) -> Rank:
    """Return whether a run lies beside the first for certain; a bound that is not there overlaps everything."""
    assert first is not None
    assert other is not None
    below = other.high is not None and first.low is not None and other.high < first.low
    above = other.low is not None and first.high is not None and other.low > first.high
    if p_adjusted >= _SIGNIFICANT or not (below or above):
        return "not told apart"
    return "better" if below == smaller else "worse"
