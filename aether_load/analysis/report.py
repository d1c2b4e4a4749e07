"""A run's folder made into one typed value, from which every output is written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import pandas as pd

from aether_load.analysis.correlate import (
    Correlation,
    Reconciliation,
    ServerNodes,
    correlate,
    reconcile,
    server_nodes,
)
from aether_load.analysis.gate import Verdict, decide
from aether_load.analysis.lines import read_lines
from aether_load.analysis.run import Ended, Manifest, PhaseRecord, RunFolder, TargetRecord
from aether_load.analysis.sample_reader import read_samples
from aether_load.analysis.scrape import RawScrape
from aether_load.analysis.sender import Sender, SenderReading, sender_over
from aether_load.analysis.statistics import Distribution, Share, distribution, wilson
from aether_load.analysis.summary import ResultsError
from aether_load.analysis.table import READABLE, PhaseSamples, phase_samples
from aether_load.analysis.warnings import Warning_, phase_warnings, run_warnings
from aether_load.protocol import Outcome
from aether_load.workload.prompt import DatasetIdentity
from aether_load.workload.scenario import from_plain

REPORT_SCHEMA_VERSION = "1.0"
ALL = "all"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One dataset's requests in one phase's window, or all of them; `reasons` says of each None why.

    `error_rate` counts failures other than `rejected`, `rejected_rate` those; requests that we gave up ourselves
    when a run was interrupted are in neither. Throughputs count answers that came in inside the window; latencies
    are of every request sent inside it, failures too.
    """

    dataset: str
    requests_total: int
    outcomes: dict[str, int]
    ok_total: int
    error_rate: float | None
    rejected_rate: float | None
    request_throughput_rps: float | None
    ok_throughput_rps: float | None
    service_latency_ms: Distribution | None
    response_latency_ms: Distribution | None
    server_time_share: float | None
    token_cost_total: int | None
    unanswered_total: int | None
    accuracy: Share | None
    reasons: dict[str, str]


class PhaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """One phase: the load, its window, its rows, and the server's side."""

    name: str
    users: int | None
    began_utc: str
    ended_by: str | None
    window_s: float | None
    requests_outside_window_total: int
    all: Row
    datasets: tuple[Row, ...]
    cached_nodes_total: int | None
    server: ServerNodes | None
    reconciliation: Reconciliation
    correlation: Correlation
    sender: Sender | None
    reasons: dict[str, str]


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """Which run this is, and how it ended; `seed` is None where its order was not ours to choose."""

    id: str
    scenario: str
    purpose: str
    command: list[str]
    seed: int | None
    began_utc: str
    ended_utc: str | None
    ended_as: Ended


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a run found out; the nightly JSON is this, key for key."""

    schema_version: str
    run: RunInfo
    target: TargetRecord
    verdict: Verdict
    warnings: tuple[Warning_, ...]
    phases: tuple[PhaseReport, ...]
    datasets: tuple[DatasetIdentity, ...]
    scenario: dict[str, Any]
    environment: dict[str, dict[str, Any]]


def build_report(folder: RunFolder) -> Report:
    """Return the report of a run, whether it ended well or was cut off; the same folder gives the same report."""
    manifest = folder.read_manifest()
    scenario = from_plain(manifest.scenario)
    table, torn = read_samples(folder.samples)
    if torn and table.num_rows == 0 and manifest.ended_as != "running":
        raise ResultsError(
            f"{folder.samples} is missing or damaged: no sample of the run can be read. Nothing was written; what "
            "was reported before stays as it is."
        )
    scrapes = read_lines(folder.scrapes, RawScrape)
    readings = read_lines(folder.sender, SenderReading)
    phases = []
    warnings = list(run_warnings(manifest, scenario, torn=torn))
    for record in manifest.phases:
        samples = phase_samples(table, record)
        sender = sender_over(readings, samples.window_began_ns, samples.window_ended_ns)
        own_scrapes = [scrape for scrape in scrapes if scrape.phase == record.name]
        phase = _phase_report(manifest, record, samples, own_scrapes, sender, torn=torn)
        phases.append(phase)
        warnings += phase_warnings(manifest, scenario, phase)
    run = RunInfo(
        id=manifest.id,
        scenario=scenario.name,
        purpose=scenario.purpose,
        command=manifest.command,
        seed=manifest.seed,
        began_utc=manifest.began.utc,
        ended_utc=manifest.ended.utc if manifest.ended else None,
        ended_as=manifest.ended_as,
    )
    return Report(
        schema_version=REPORT_SCHEMA_VERSION,
        run=run,
        target=manifest.target,
        verdict=decide(run, phases, scenario),
        warnings=tuple(warnings),
        phases=tuple(phases),
        datasets=manifest.datasets,
        scenario=manifest.scenario,
        environment={"versions": manifest.versions, "machine": manifest.machine, "git": manifest.git},
    )


def _phase_report(
    manifest: Manifest,
    record: PhaseRecord,
    samples: PhaseSamples,
    scrapes: list[RawScrape],
    sender: Sender | None,
    *,
    torn: bool,
) -> PhaseReport:
    void = None
    if not from_plain(manifest.scenario).target.server_metrics:
        void = "the scenario says that there are no metrics (target.server_metrics = false)"
    elif torn and manifest.ended_as != "running":
        void = "the end of samples.arrow is missing, so that the server's counts have nothing to be held against"
    reconciliation, counted = reconcile(samples, scrapes, len(manifest.node_ids), void=void)
    ended_ns = record.ended.monotonic_ns if record.ended else None
    elapsed_s = (ended_ns - record.began.monotonic_ns) / 1e9 if ended_ns else None
    interrupted = manifest.ended_as == "interrupted"
    window, completed = samples.window, samples.completed
    names = [identity.name for identity in manifest.datasets]
    reasons = {}
    server = server_nodes(counted, elapsed_s)
    if server is None:
        reasons["server"] = reconciliation.reason or "the server counted no node that succeeded"
    if samples.nodes.cached_total is None:
        reasons["cached_nodes_total"] = "no answer said whether a node came from the cache"
    if record.users is None:
        reasons["users"] = "Locust's page decided how many there were, and could change it"
    if sender is None:
        reasons["sender"] = "the sending process was not read twice inside the window"
    if samples.window_s is None:
        reasons["window_s"] = "the phase ended before its window opened"
    return PhaseReport(
        name=record.name,
        users=record.users,
        began_utc=record.began.utc,
        ended_by=record.ended_by,
        window_s=_rounded(samples.window_s),
        requests_outside_window_total=len(samples.everything) - len(window),
        all=_row(ALL, window, completed, samples.window_s, interrupted=interrupted),
        datasets=tuple(
            _row(
                name,
                window[window["dataset"] == name],
                completed[completed["dataset"] == name],
                samples.window_s,
                interrupted=interrupted,
            )
            for name in names
        ),
        cached_nodes_total=samples.nodes.cached_total,
        server=server,
        reconciliation=reconciliation,
        correlation=correlate(samples, record.users),
        sender=sender,
        reasons=reasons,
    )


def _row(name: str, frame: pd.DataFrame, completed: pd.DataFrame, window_s: float | None, *, interrupted: bool) -> Row:
    """Return a row of requests sent inside the window, and of answers that came in inside it, whenever sent."""
    reasons: dict[str, str] = {}
    counts = frame["outcome"].value_counts()
    outcomes = {outcome.label: int(counts.get(outcome.label, 0)) for outcome in Outcome}
    ok = outcomes["ok"]
    judged = len(frame) - (outcomes["cut_off"] if interrupted else 0)
    errors = judged - ok - outcomes["rejected"]
    told = frame[frame["outcome"].isin(READABLE)]
    client_us = float(told["service_latency_us"].sum())
    window_s = window_s or None
    sent = frame.dropna(subset=["sent_ns"])
    if judged == 0:
        reasons["error_rate"] = reasons["rejected_rate"] = "no request was sent in the window and had its time"
    if window_s is None:
        reasons["request_throughput_rps"] = reasons["ok_throughput_rps"] = "there was no window"
    if len(sent) == 0:
        reasons["service_latency_ms"] = reasons["response_latency_ms"] = "no request was sent in the window"
    if len(told) == 0:
        reasons.update(
            dict.fromkeys(("server_time_share", "token_cost_total"), "no answer in the window could be read")
        )
    accuracy, unanswered, why = _accuracy(frame)
    reasons.update(why)
    return Row(
        dataset=name,
        requests_total=len(frame),
        outcomes=outcomes,
        ok_total=ok,
        error_rate=_rounded(errors / judged) if judged else None,
        rejected_rate=_rounded(outcomes["rejected"] / judged) if judged else None,
        request_throughput_rps=_rounded(len(completed) / window_s) if window_s else None,
        ok_throughput_rps=_rounded(int((completed["outcome"] == "ok").sum()) / window_s) if window_s else None,
        service_latency_ms=distribution(sent["service_latency_us"].to_numpy(np.float64) / 1000),
        response_latency_ms=distribution(sent["response_latency_us"].to_numpy(np.float64) / 1000),
        server_time_share=_rounded(float(told["server_total_ms"].sum()) * 1000 / client_us) if client_us else None,
        token_cost_total=int(told["token_cost"].sum()) if len(told) else None,
        unanswered_total=unanswered,
        accuracy=accuracy,
        reasons=reasons,
    )


def _accuracy(frame: pd.DataFrame) -> tuple[Share | None, int | None, Mapping[str, str]]:
    """Return the share of right answers among those scored, how many gave no letter, and why either is None.

    An answer without a letter is wrong, not left out. The mock's fixed text is no answer, so one of it voids the
    figure: what the rest scored would stand for a mixture that nobody asked about.
    """
    states = frame["answer_state"].value_counts()
    mock = int(states.get("mock", 0))
    if mock:
        why = f"{mock} of {len(frame)} answers are the mock provider's fixed text, which answers nothing"
        return None, None, {"accuracy": why, "unanswered_total": why}
    scored = frame["correct"].dropna()
    if len(scored) == 0:
        why = "no answer was scored: none came, or the rows do not say which option is right"
        return None, None, {"accuracy": why, "unanswered_total": why}
    return wilson(int(scored.astype(bool).sum()), len(scored)), int(states.get("unanswered", 0)), {}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 6)
