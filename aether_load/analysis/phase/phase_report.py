"""Put together one phase's part of the report from its samples, its readings and what its processes took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.latency.correlate import Correlation, correlate
from aether_load.analysis.latency.dag_shape import DagShape
from aether_load.analysis.latency.decomposition import Decomposition, Divisions, decompose, part_means
from aether_load.analysis.latency.nodes import NodeReport, node_reports
from aether_load.analysis.latency.tail import tail_sentence
from aether_load.analysis.phase.achieved_load import AchievedLoad, OpenLoad, achieved_load, open_load
from aether_load.analysis.phase.iterations import Iterations, iteration_reports
from aether_load.analysis.phase.rows import NO_CACHE_TOLD, Row, Terms, build_row
from aether_load.analysis.phase.sender_usage import Sender, SenderHolds, sender_holds, sender_over
from aether_load.analysis.phase.series import Series, phase_series
from aether_load.analysis.phase.workers import lost_in
from aether_load.analysis.server.checks import Check, check_phase
from aether_load.analysis.server.client_counts import OwnCounts, own_counts
from aether_load.analysis.server.readings import Readings, take_together
from aether_load.analysis.server.reconciliation import Reconciliation, reconcile
from aether_load.analysis.server.server_nodes import ServerNodes, server_nodes
from aether_load.analysis.server.server_process import ServerProcess, server_process_over
from aether_load.analysis.statistics.distribution import rounded
from aether_load.analysis.statistics.latency_curve import LatencyCurve, latency_curve
from aether_load.analysis.statistics.steady import Steadiness, mser5
from aether_load.analysis.statistics.window_rates import WindowRates, clock_error_s, window_rates
from aether_load.protocol import Generation
from aether_load.rundata.manifest import Manifest, PhaseRecord, WorkerRecord, was_ended_early
from aether_load.rundata.run_data import RunData
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.scenario.scenario import Scenario

ALL = "all"
_MOST_ERRORS = 10
_WHY_NOT_DUE = "a worker was there for a part of the phase only, and nothing was due of its schedule from then on"


class ErrorReport(msgspec.Struct, frozen=True, kw_only=True):
    """An error in the runtime's or the client's words, and how many requests ended in it."""

    outcome: str
    text: str
    requests_total: int


class PhaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """One phase: the load, its window, its rows, and the server's side.

    `reconciliation`, `cached_nodes_total`, `uncached_nodes_total` and `server` are of the whole phase; rows,
    `correlation`, `decomposition`, `nodes` and `steadiness` of requests due inside the window. `sequential` tells
    whether the runtime was to run one node at a time, which a v1 runtime always does. Phases `joined_in` a shape
    follow each other without a rest: then `reconciliation`, `checks` and `server` are of the whole shape. `phase` is
    its name in the scenario, which several share where it is repeated (`repeat` counts from 1) or has a shape.
    `search` is the search that it was a probe of.
    """

    name: str  # name of the phase
    phase: str | None  # its name in the scenario
    repeat: int | None  # number of the repetition, from 1
    joined_in: str | None  # shape whose loads follow each other without a rest
    search: str | None  # search that it was a probe of
    users: int | None  # users, or most requests in flight
    load: Literal["closed", "open"]  # closed or open
    achieved_load: AchievedLoad  # load asked for and reached
    sequential: bool  # whether nodes ran one at a time
    cache: Literal["keep", "cold", "warm"]  # state of the cache that was asked for
    unique_prompts: bool  # whether each prompt was marked
    began_utc: str  # when it began
    ended_by: str | None  # what ended its window
    window_s: float | None  # length of the window
    requests_outside_window_total: int  # requests due outside it
    latency_curve: LatencyCurve | None  # percentiles at up to 128 shares
    errors: tuple[ErrorReport, ...] = ()  # the most frequent errors, of the whole phase
    all: Row  # figures of all requests
    datasets: tuple[Row, ...]  # figures of each request name, and of each dataset
    iterations: tuple[Iterations, ...] = ()  # passes of the tasks of own user classes
    cached_nodes_total: int | None  # nodes from the cache, of the whole phase
    uncached_nodes_total: int | None  # nodes not from it
    server: ServerNodes | None  # the server's node times as intervals
    reconciliation: Reconciliation  # nodes seen by the client versus nodes counted by the server
    checks: tuple[Check, ...]  # what must hold between figures
    correlation: Correlation  # client and server together
    decomposition: Decomposition  # where the time went
    tail_sentence: str | None  # where the slowest requests' time went
    nodes: tuple[NodeReport, ...]  # each node of the DAG
    open_load: OpenLoad | None  # rates of an open load
    steadiness: Steadiness | None  # whether the window began steady
    sender: Sender | None  # CPU and memory of the sender
    sender_holds: SenderHolds  # times in which the sender did not read answers
    server_process: ServerProcess | None  # CPU and memory of the target's processes
    series: Series  # the phase over time
    reasons: dict[str, str]  # why a key is null


class Whole(msgspec.Struct, frozen=True):
    """What lies between two readings of the server at rest: one phase, or those of a shape; monotonic ns."""

    samples: PhaseSamples
    began_ns: int
    ended_ns: int | None


class PhaseInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a phase's report is made of beside its samples: `data` is that of the whole run."""

    manifest: Manifest
    scenario: Scenario
    shape: DagShape | None
    data: RunData


def phase_readings(inputs: PhaseInputs, record: PhaseRecord) -> Readings:
    """Return a phase's own readings of /metrics, void where a difference of them would mean nothing."""
    void = None
    if not inputs.scenario.target.server_metrics:
        void = "the scenario says that there are no metrics (target.server_metrics = false)"
    elif inputs.data.damage:
        void = f"{inputs.data.damage[0]}, so that the server's counts have nothing to be compared with"
    read_as = record.joined_in or record.name
    return take_together([scrape for scrape in inputs.data.scrapes if scrape.phase == read_as], void=void)


def phase_report(
    inputs: PhaseInputs, record: PhaseRecord, samples: PhaseSamples, readings: Readings, whole: Whole | None = None
) -> PhaseReport:
    """Return one phase's report; `readings` are its own, `whole` is the shape that it is joined in, if it is."""
    whole = whole or Whole(samples, record.began.monotonic_ns, record.ended.monotonic_ns if record.ended else None)
    manifest = inputs.manifest
    sequential = record.sequential or manifest.target.generation is Generation.V1
    lost = lost_in(manifest, record)
    own, checks, reconciliation, server = _server_side(inputs, samples, readings, whole, lost)
    rates = window_rates(samples, record, clock_error_s(manifest))
    load = open_load(samples, record, rates, worker_lost=bool(lost))
    correlation = correlate(samples, record, rates)
    groups = _groups(manifest, samples)
    divisions = decompose(samples, inputs.shape, sequential=sequential, groups=[*groups.values()])
    decomposition, shares = divisions.whole, divisions.shares
    nodes = node_reports(samples, manifest.node_ids, manifest.nodes, inputs.shape, shares, decomposition.reasons)
    all_, *rows = _rows(inputs, record, samples, rates, groups, divisions)
    sentence, why_no_sentence = tail_sentence(decomposition, nodes)
    errors = samples.errors[:_MOST_ERRORS]
    process, why_no_process = server_process_over(inputs.data.server, samples.window_began_ns, samples.window_ended_ns)
    report = PhaseReport(
        name=record.name,
        phase=record.phase,
        repeat=record.repeat,
        joined_in=record.joined_in,
        search=record.search,
        users=record.users,
        load=record.load,
        achieved_load=_achieved_load(record, load, correlation, rates),
        sequential=sequential,
        cache=record.cache,
        unique_prompts=record.unique_prompts,
        began_utc=record.began.utc,
        ended_by=record.ended_by,
        window_s=rounded(samples.window_s),
        requests_outside_window_total=len(samples) - int(np.count_nonzero(samples.in_window)),
        latency_curve=latency_curve(samples),
        errors=tuple(ErrorReport(outcome=how, text=text, requests_total=count) for how, text, count in errors),
        all=all_,
        datasets=tuple(rows),
        iterations=iteration_reports(samples.iterations, samples.window_began_ns, samples.window_ended_ns),
        cached_nodes_total=own.cached_nodes_total,
        uncached_nodes_total=own.uncached_nodes_total,
        server=server,
        reconciliation=reconciliation,
        checks=checks,
        correlation=correlation,
        decomposition=decomposition,
        tail_sentence=sentence,
        nodes=nodes,
        open_load=load,
        steadiness=_steadiness(samples),
        sender=sender_over(inputs.data.sender, samples.window_began_ns, samples.window_ended_ns),
        sender_holds=sender_holds(samples),
        server_process=process,
        series=phase_series(samples, record, readings, inputs.data, manifest.began.monotonic_ns),
        reasons={"tail_sentence": why_no_sentence or "", "server_process": why_no_process or ""},
    )
    return msgspec.structs.replace(report, reasons=_reasons(report, rates, lost))


def _server_side(
    inputs: PhaseInputs, samples: PhaseSamples, readings: Readings, whole: Whole, lost: Sequence[WorkerRecord]
) -> tuple[OwnCounts, tuple[Check, ...], Reconciliation, ServerNodes | None]:
    """Reconcile the answers of a phase, or of the shape that it is joined in, with the server's counts.

    The node times are None where the server's counts cannot be used.
    """
    checks = check_phase(whole.samples, readings)
    lost_at_most = sum(worker.loss.unaccounted_at_most for worker in lost if worker.loss is not None)
    own = own_counts(samples, lost_at_most)
    reconciliation = reconcile(
        whole.samples,
        own if whole.samples is samples else own_counts(whole.samples, lost_at_most),
        readings,
        behind=next(check.violated_total for check in checks if check.code == "reading_not_behind"),
        was_cut_off=inputs.manifest.ended_as == "running",
    )
    elapsed_s = (whole.ended_ns - whole.began_ns) / 1e9 if whole.ended_ns is not None else None
    counted = readings.counted if reconciliation.counted_nodes_total is not None else None
    return own, checks, reconciliation, server_nodes(whole.samples, counted, elapsed_s)


def _rows(
    inputs: PhaseInputs,
    record: PhaseRecord,
    samples: PhaseSamples,
    rates: WindowRates,
    groups: Mapping[str, NDArray[np.bool_]],
    divisions: Divisions,
) -> list[Row]:
    """Return the row of all of a phase's requests, and that of each group of them."""
    manifest = inputs.manifest
    terms = Terms(
        interrupted=was_ended_early(manifest.ended_as, record.ended_by),
        unscored=manifest.unscored,
        goodput_slo=inputs.scenario.goodput_slo,
        price_usd_per_1000_tokens=inputs.scenario.workload.price_usd_per_1000_tokens,
    )
    rows = [build_row(ALL, samples, None, terms, part_means(divisions.whole), rates)]
    for (label, which), means in zip(groups.items(), divisions.of_groups, strict=True):
        rows.append(build_row(label, samples, which, terms, means, rates))
    return rows


def _achieved_load(
    record: PhaseRecord, load: OpenLoad | None, correlation: Correlation, rates: WindowRates
) -> AchievedLoad:
    ratio, why_no_ratio = correlation.littles_law_ratio, correlation.reasons.get("littles_law_ratio")
    return achieved_load(record, load, ratio, why_no_ratio=why_no_ratio, why_no_rate=rates.reason)


def _groups(manifest: Manifest, samples: PhaseSamples) -> dict[str, NDArray[np.bool_]]:
    """Return which requests are of each name, and behind them of each dataset that requests are of."""
    datasets = [identity.name for identity in manifest.datasets]
    names = [samples.names[place] for place in np.unique(samples.name) if place >= 0]
    groups = {label: samples.labelled(label, datasets) for label in dict.fromkeys([*names, *datasets])}
    return {label: which for label, which in groups.items() if not names or which.any()}


def _reasons(report: PhaseReport, rates: WindowRates, lost: Sequence[WorkerRecord]) -> dict[str, str]:
    """Return why each figure of a phase is missing that is."""
    load, untold = report.open_load, NO_CACHE_TOLD if report.cached_nodes_total is None else None
    not_due = _WHY_NOT_DUE if load and lost else None
    why_no_load = "the load was closed" if report.load == "closed" else rates.reason
    reasons = {
        "server": None
        if report.server
        else report.reconciliation.reason or "the server counted no node that succeeded",
        "cached_nodes_total": untold,
        "uncached_nodes_total": untold,
        "users": None if report.users is not None else _why_no_users(lost),
        "sender": None if report.sender else "the sending process was not read twice inside the window",
        "window_s": None if report.window_s is not None else "the phase ended before its window opened",
        "open_load": None if load else why_no_load,
        "open_load.due_rps": not_due,
        "open_load.achieved_share": not_due,
        "open_load.waiting_at_middle_total": not_due,
        "open_load.waiting_at_end_total": not_due,
        "steadiness": None if report.steadiness else "the window is shorter than two minutes",
        "latency_curve": None if report.latency_curve else "no request was sent in the window",
        **report.reasons,
    }
    return {key: why for key, why in reasons.items() if why}


def _why_no_users(lost: Sequence[WorkerRecord]) -> str:
    if lost:
        return f"worker {lost[0].worker} was there for a part of the phase only, and its users with it"
    return "Locust's page or load shape decided how many there were, and could change it"


def _steadiness(samples: PhaseSamples) -> Steadiness | None:
    """Return what MSER-5 makes of the answers by the whole second of the window."""
    began, seconds = samples.window_began_ns, int(samples.window_s or 0)
    if began is None or seconds == 0:
        return None
    second = (samples.ended_ns[samples.completed] - began) // 1_000_000_000
    return mser5(np.bincount(second, minlength=seconds)[:seconds].tolist())
