"""Warn of what makes a run's figures doubtful, each time with a sentence of advice."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from aether_load.analysis.phase.workers import lost_in
from aether_load.analysis.server.reconciliation import REQUEST_LINES
from aether_load.analysis.statistics.distribution import QUANTILES, STALLED
from aether_load.protocol import Generation
from aether_load.scenario.warning_codes import MEANINGS
from aether_load.scenario.warning_codes import WarningCode as Code

if TYPE_CHECKING:
    from aether_load.analysis.phase.achieved_load import OpenLoad
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.server.repeated_answers import RepeatedAnswers
    from aether_load.rundata.manifest import Manifest
    from aether_load.scenario.scenario import Scenario

SATURATED_ABOVE = 0.9
SATURATED_BELOW = 0.95
COUNTED_TWICE_ABOVE = 1.02
ACHIEVED_BELOW = 0.99
UNSTEADY_ABOVE = 0.05
FALLING_BEHIND_ABOVE = 0.05
CHANCE_OF_WAITING = 3
FLOORS_BELOW_MEDIAN = 5
CEILING_SHARE = 0.7
SHORTEST_JUDGED_S = 1.0
CACHE_ENTRIES = 1000
UTC_OFF_ABOVE_S = 1.0
_NO_OTHER_WORK = "Use fewer users, or a machine that has nothing else to do."


class Warning_(msgspec.Struct, frozen=True):  # noqa: N801 -- Warning is Python's own
    """A threat to validity: a code for scripts, what is so, and what to do; `phase` None when it is the run's."""

    code: Code
    phase: str | None
    message: str
    advice: str


def warn(code: Code, message: str, advice: str | None = None, *, phase: str | None = None) -> Warning_:
    """Return a warning, with the code's own remedy for advice unless there is a better one."""
    return Warning_(code, phase, message, advice or MEANINGS[code].remedy)


def run_warnings(
    manifest: Manifest,
    scenario: Scenario,
    damage: Sequence[str] = (),
    torn: Sequence[str] = (),
    repeated: Sequence[RepeatedAnswers] = (),
) -> Iterator[Warning_]:
    """Yield what concerns the run as a whole, and which answers were read twice."""
    for answers in repeated:
        yield warn(Code.ANSWERS_REPEATED, f"Answers were read twice: {answers.sentence}.", phase=answers.phase)
    if manifest.target.kind == "simulated":
        yield warn(
            Code.SIMULATED_TARGET, "The target is the simulated runtime: these figures say nothing about Aether."
        )
    if not scenario.target.verify_tls:
        yield warn(
            Code.TLS_NOT_VERIFIED,
            "Certificates were not verified (--insecure): whoever answered, it may not have been the target.",
        )
    if manifest.ended_as == "running":
        yield warn(
            Code.CRASHED,
            "The run was cut off by force, so its last second and its last reading of /metrics are missing."
            + (
                " Workers on other machines may have gone on for some seconds more."
                if len(manifest.workers) > 1
                else ""
            ),
        )
    for found in damage:
        yield warn(Code.DAMAGED, f"{found}.")
    if torn:
        yield warn(
            Code.NOTE,
            f"The end of {' and '.join(torn)} is cut off; all that was whole was read.",
            "Take the figures as those of a run that ended there.",
        )
    yield from _of_workers(manifest)
    for note in manifest.notes:
        yield warn(Code.NOTE, note)
    if manifest.target.generation is Generation.V1 and any(node.depends_on for node in manifest.nodes):
        yield warn(
            Code.OUTPUTS_NOT_PASSED_ON,
            "A v1 runtime fills in nothing and runs a DAG's nodes one after the other: no node read another's output.",
        )
    limit = scenario.workload.limit
    for identity in manifest.datasets:
        if limit is not None and identity.rows_available is not None and identity.rows_available < limit:
            yield warn(
                Code.DATASET_SHORTER_THAN_ASKED,
                f"{identity.name} has {identity.rows_available} rows, fewer than the {limit} asked for.",
            )


def _of_workers(manifest: Manifest) -> Iterator[Warning_]:
    for worker in manifest.workers:
        which = f"{worker.worker} (process {worker.pid}" + (f" on {worker.host})" if worker.host else ")")
        loss = worker.loss
        if loss is not None:
            at_most = loss.unaccounted_at_most
            yield warn(
                Code.WORKER_LOST,
                f"Worker {which} "
                + ("was lost" if loss.how == "lost" else "left before the run's end")
                + f", heard of last at {loss.at.utc}: its part of the load was missing from then on, and "
                + (
                    f"of up to {at_most} requests that it may have sent there is no sample."
                    if at_most
                    else "there is a sample of all that it sent."
                ),
                phase=loss.phase,
            )
        if worker.utc_ahead_s is not None and abs(worker.utc_ahead_s) > UTC_OFF_ABOVE_S:
            yield warn(
                Code.WORKER_CLOCK_OFF,
                f"The clock of worker {which} is {abs(worker.utc_ahead_s):.1f} s "
                f"{'ahead of' if worker.utc_ahead_s > 0 else 'behind'} the master's; that is corrected for in all "
                "figures but those of Locust's own table and charts.",
            )


def phase_warnings(manifest: Manifest, scenario: Scenario, phase: PhaseReport) -> Iterator[Warning_]:
    """Yield what concerns one phase."""
    found = _of_phase(manifest, scenario, phase)
    return (msgspec.structs.replace(warning, phase=phase.name) for warning in found)


def _of_phase(manifest: Manifest, scenario: Scenario, phase: PhaseReport) -> Iterator[Warning_]:
    record = next((record for record in manifest.phases if record.name == phase.name), None)
    lost = (
        [worker for worker in lost_in(manifest, record) if worker.loss and worker.loss.how == "lost"] if record else []
    )
    yield from _of_counts(scenario, phase, cut_off=manifest.ended_as == "running", worker_lost=bool(lost))
    yield from _of_client(phase)
    yield from _of_self_check(manifest, phase)
    yield from _of_load(phase)
    latency = phase.all.response_latency_ms
    if latency is not None and latency.p99.reliability != "ok":
        known = "only bounded from below" if latency.p99.reliability == "unreliable" else "weak"
        yield warn(Code.FEW_SAMPLES, f"{latency.count} samples: p99 is {known} (368 bound it, 1,000 make it firm).")
    if "accuracy" in phase.all.reasons and "mock provider" in phase.all.reasons["accuracy"]:
        yield warn(
            Code.MOCK_PROVIDER, "The runtime answers with its mock provider's fixed text, so there is no accuracy."
        )
    yield from _of_cache(manifest, phase)


def _of_self_check(manifest: Manifest, phase: PhaseReport) -> Iterator[Warning_]:
    """Yield where the client's own cost is no longer small beside what was measured."""
    check, latency, rate = manifest.self_check, phase.all.service_latency_ms, phase.all.request_throughput_rps
    if check is None:
        return
    if latency is not None and latency.p50.at_most < FLOORS_BELOW_MEDIAN * check.latency_p50_ms:
        yield warn(
            Code.LATENCY_NEAR_OWN_FLOOR,
            f"The median of {latency.p50.at_most:.2f} ms is less than {FLOORS_BELOW_MEDIAN} times what this client "
            f"takes for an exchange with a server that does nothing ({check.latency_p50_ms:.2f} ms).",
        )
    senders = phase.sender.processes_total if phase.sender is not None else 1
    if rate is not None and rate > CEILING_SHARE * check.most_rps * senders:
        yield warn(
            Code.RATE_NEAR_OWN_CEILING,
            f"{rate:.0f} requests/s are more than {CEILING_SHARE:.0%} of what {senders} process"
            f"{'es' * (senders > 1)} of this client can send here ({check.most_rps:.0f}/s each).",
        )


def _of_counts(scenario: Scenario, phase: PhaseReport, *, cut_off: bool, worker_lost: bool) -> Iterator[Warning_]:
    reconciliation = phase.reconciliation
    if reconciliation.trust != "trusted" and scenario.target.server_metrics:
        code = Code(reconciliation.trust)
        yield warn(code, f"The server's counts cannot be used: {reconciliation.reason}.")
    elif reconciliation.trust == "trusted" and reconciliation.reason is not None and not worker_lost:
        yield warn(Code.UNREAD_ANSWERS, f"Counts agree only within bounds: {reconciliation.reason}.")
    if reconciliation.readings_unreadable_total and reconciliation.trust != "no_server_data":
        yield warn(
            Code.READINGS_MISSING,
            f"{reconciliation.readings_unreadable_total} of {reconciliation.readings_total} readings of /metrics could "
            "not be read: the time series has gaps there, and a restart in one may have gone unseen.",
        )
    lost = [line for line in reconciliation.lines if line.agrees is False and line.name in REQUEST_LINES]
    if lost and not cut_off:
        line = lost[0]
        yield warn(
            Code.REQUESTS_UNACCOUNTED, f"{line.name} is {line.ours} by the samples and {line.theirs} by {line.against}."
        )
    # The server is ahead of samples that a lost worker took with it: that is said once, with its bound.
    expected = {"reading_not_ahead"} if worker_lost else set()
    broken = [check for check in phase.checks if check.violated_total and check.code not in expected]
    if broken and reconciliation.trust not in {"no_server_data", "restarted"}:
        which = ", ".join(f"{check.code} ({check.violated_total} of {check.checked_total})" for check in broken)
        yield warn(Code.FIGURES_CONTRADICT, f"Figures contradict what must hold: {which}.")


def _of_client(phase: PhaseReport) -> Iterator[Warning_]:
    if phase.sender is not None and phase.sender.cpu_share_max > SATURATED_ABOVE:
        yield warn(
            Code.CLIENT_SATURATED,
            f"The sending process used {phase.sender.cpu_share_max:.0%} of a core in its busiest second, so latencies "
            "are its own in part.",
            f"{_NO_OTHER_WORK} With cores to spare, more processes carry it together: --processes "
            f"{2 * phase.sender.processes_total}.",
        )
    if stalled := _stalled(phase):
        holds = phase.sender_holds
        yield warn(
            Code.SENDER_STALLED,
            f"The sender's event loop was held {holds.holds_total} times, for up to {holds.longest_ms:.0f} ms at a "
            f"time: {holds.late_requests_total} answers may have been read late, and {', '.join(stalled)} of latency "
            f"{'is' if len(stalled) == 1 else 'are'} known as intervals only.",
        )
    little = phase.correlation.littles_law_ratio
    long_enough = phase.window_s is not None and phase.window_s >= SHORTEST_JUDGED_S
    if long_enough and little is not None and little < SATURATED_BELOW:
        yield warn(
            Code.USERS_NOT_BUSY,
            f"Requests account for {little:.1%} of the users' time; the rest went by in this client or in pauses "
            "after lost connections.",
        )
    elif long_enough and little is not None and little > COUNTED_TWICE_ABOVE:
        yield warn(Code.MORE_IN_FLIGHT_THAN_USERS, f"Little's ratio is {little:.3f}.")


def _stalled(phase: PhaseReport) -> list[str]:
    """Return the percentiles of latency that are known as intervals only, in any of a phase's rows."""
    latencies = [
        latency
        for row in (phase.all, *phase.datasets)
        for latency in (row.service_latency_ms, row.response_latency_ms)
        if latency is not None
    ]
    return [
        name.replace("_", ".")
        for name in QUANTILES
        if any(getattr(latency, name).reason == STALLED for latency in latencies)
    ]


def _of_load(phase: PhaseReport) -> Iterator[Warning_]:
    load = phase.open_load
    share = load.achieved_share if load is not None else None
    if load is not None and load.due_rps is not None and share is not None and share < ACHIEVED_BELOW:
        yield warn(
            Code.ACHIEVED_RATE_LOW,
            f"{load.achieved_rps:.1f} requests/s were sent, {share:.1%} of the {load.due_rps:.1f} due.",
        )
    if load is not None and load.dropped_total:
        yield warn(Code.DROPPED, f"{load.dropped_total} requests were due and never sent; no latency counts them.")
    if load is not None and _falls_behind(phase, load):
        yield warn(
            Code.FALLING_BEHIND,
            f"{load.waiting_at_middle_total} requests waited in the middle of the window and "
            f"{load.waiting_at_end_total} at its end: latency grew meanwhile, and depends on the window's length.",
        )
    steady = phase.steadiness
    if steady is None or steady.rate_before_rps is None or not steady.rate_after_rps:
        return
    off = steady.rate_before_rps / steady.rate_after_rps - 1
    if abs(off) > UNSTEADY_ABOVE:
        yield warn(
            Code.NOT_STEADY,
            f"Throughput in the window's first {steady.cut_s} s was {off:+.1%} off the rest of it (MSER-5).",
            f"Look at the time series, and give the phase a warm-up longer by {steady.cut_s} s if it shows one.",
        )


def _falls_behind(phase: PhaseReport, load: OpenLoad) -> bool:
    """Tell whether more and more requests waited; by chance their number varies with its root.

    Where a request takes as long as half of the window, all that it shows is how the load began.
    """
    latency = phase.all.response_latency_ms
    middle, end = load.waiting_at_middle_total, load.waiting_at_end_total
    if load.due_rps is None or latency is None or phase.window_s is None or middle is None or end is None:
        return False
    half_s = phase.window_s / 2
    if latency.mean > half_s * 1000:
        return False
    return end - middle > max(FALLING_BEHIND_ABOVE * load.due_rps * half_s, CHANCE_OF_WAITING * math.sqrt(end))


def _of_cache(manifest: Manifest, phase: PhaseReport) -> Iterator[Warning_]:
    hits = phase.cached_nodes_total or 0
    told = hits + (phase.uncached_nodes_total or 0)
    if hits and phase.cache == "keep":
        yield warn(
            Code.CACHE_ANSWERED,
            f"{hits / told:.0%} of the nodes came from the runtime's cache, so latency is of "
            + ("hits." if hits == told else "hits and misses mixed."),
        )
    if hits and phase.cache == "cold":
        yield warn(Code.COLD_PHASE_WITH_HITS, f"The cache was to be cold, and {hits} of {told} nodes came from it.")
    if phase.cache == "warm" and hits < told:
        yield warn(
            Code.WARM_PHASE_WITH_MISSES,
            f"The cache was to be warm, and {told - hits} of {told} nodes were not in it.",
            f"Take prompts that fit into its {CACHE_ENTRIES} entries, and let nobody else evict them.",
        )
    prompts = sum(identity.rows_used for identity in manifest.datasets)
    sent = phase.all.requests_total + phase.requests_outside_window_total
    entries = sum(dag.prompts_total * len(dag.node_ids) for dag in manifest.dags) or prompts * len(manifest.node_ids)
    if manifest.target.generation is Generation.V2 and sent > prompts and entries > CACHE_ENTRIES:
        nodes = "" if len(manifest.node_ids) == 1 or len(manifest.dags) > 1 else f" of {len(manifest.node_ids)} nodes"
        yield warn(
            Code.PROMPTS_EXCEED_CACHE,
            f"{prompts} prompts{nodes} were sent more than once to a cache of {CACHE_ENTRIES} entries, which evicts "
            "itself.",
        )
