"""Judge a probe of a capacity search: whether its SLO held, and what kept it from holding."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from aether_load.analysis.latency.correlate import littles_law_ratio, mean_in_flight
from aether_load.analysis.phase.achieved_load import OpenLoad, achieved_load, open_load
from aether_load.analysis.phase.queue_growth import queue_growth
from aether_load.analysis.phase.rows import Row, build_row
from aether_load.analysis.phase.sender_usage import Sender
from aether_load.analysis.server.server_process import ServerProcess
from aether_load.analysis.statistics.distribution import STALLED
from aether_load.analysis.statistics.window_rates import window_rates
from aether_load.analysis.verdict.conditions import Finding, judge_condition
from aether_load.analysis.verdict.warnings import ACHIEVED_BELOW, SATURATED_ABOVE, SATURATED_BELOW, SHORTEST_JUDGED_S
from aether_load.protocol import Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.scenario.phase import Phase
from aether_load.scenario.threshold import Threshold
from aether_load.schedule.probe import Judgement, LimitedBy, ProbeMeasurement, SloReading

BUSY_ABOVE = 0.9
"""The share of the users' time in flight from which on all of them count as waiting for the server."""
SERVER_SHARE_ABOVE = 0.9
"""The share of latency that the server accounts for from which on it is the limit, however busy the client is."""
QUEUE = "requests queue before the server"


class ProbeInputs(msgspec.Struct, frozen=True, kw_only=True):
    """What a probe is judged on; `sender` and `server` are None where they were not read.

    `lost_worker` is a worker that was lost while the probe lasted.
    """

    plan: Phase
    max_error_rate: float
    samples: PhaseSamples
    record: PhaseRecord
    sender: Sender | None
    server: ServerProcess | None
    server_reason: str | None
    lost_worker: int | None = None


def judge_probe(inputs: ProbeInputs) -> Judgement:
    """Return whether a probe held every condition of its search, and what was measured.

    Where the SLO says nothing of errors, the scenario's `max_error_rate` is one of its conditions: a runtime that
    refuses at once is fast. An open load must have been sent in full and must not pile up, whatever the latency is by
    then. A client without CPU left shows nothing of the runtime.
    """
    samples = inputs.samples
    row = build_row("all", samples, rates=window_rates(samples, inputs.record))
    conditions = inputs.plan.slo
    everything = np.ones(len(samples), np.bool_) & samples.in_window
    findings = [judge_condition(condition, row, samples, everything) for condition in conditions]
    sent = open_load(samples, inputs.record, worker_lost=inputs.lost_worker is not None)
    measured = _measurement(inputs, row, findings, sent)
    if inputs.lost_worker is not None:
        why = f"worker {inputs.lost_worker} was there for a part of the phase only"
        return Judgement(holds=None, against=(why,), throughput_rps=row.request_throughput_rps, measured=measured)
    broken = [finding.sentence for finding in findings if finding.state == "broken"]
    undecided = [finding.sentence for finding in findings if finding.state == "undecided"]
    broken += _errors(inputs, conditions, row)
    client = _of_client(inputs, row, sent, is_broken=bool(broken))
    if not client:
        broken += _of_queue(inputs, sent)
    broken += client
    limited_by: LimitedBy | None = None if undecided else "held"
    if broken:
        limited_by = "client" if client else "server"
    return Judgement(
        holds=False if broken else None if undecided else True,
        more_decides=all(finding.value is not None or finding.reason == STALLED for finding in findings),
        against=tuple(broken or undecided),
        limited_by=limited_by,
        throughput_rps=row.request_throughput_rps,
        measured=measured,
    )


def _errors(inputs: ProbeInputs, conditions: Sequence[Threshold], row: Row) -> list[str]:
    limit = inputs.max_error_rate
    if any(condition.metric == "error_rate" for condition in conditions):
        return []
    if row.error_rate is None or row.error_rate <= limit:
        return []
    return [f"error_rate<={limit:g} (max_error_rate) is broken: {row.error_rate:g}"]


def _of_client(inputs: ProbeInputs, row: Row, sent: OpenLoad | None, *, is_broken: bool) -> list[str]:
    """Return why the client is the limit, if it is."""
    failed = row.requests_total - row.ok_total - row.outcomes[Outcome.DROPPED.label]
    # A user whose connection was lost pauses before the next request.
    few_failed = failed <= inputs.max_error_rate * row.requests_total
    share = None if sent is None else sent.achieved_share
    if share is not None and share < ACHIEVED_BELOW and few_failed and not _all_users_wait(inputs):
        return [f"the client is the limit: it sent {share:.1%} of what was due, with users to spare"]
    if row.server_time_share is not None and row.server_time_share >= SERVER_SHARE_ABOVE:
        return []
    sender, little = inputs.sender, littles_law_ratio(inputs.samples, inputs.record)[0]
    if sender is not None and sender.cpu_share_max > SATURATED_ABOVE:
        return [f"the client is the limit: it used {sender.cpu_share_max:.0%} of a core in its busiest second"]
    long_enough = (inputs.samples.window_s or 0.0) >= SHORTEST_JUDGED_S
    if is_broken and few_failed and long_enough and little is not None and little < SATURATED_BELOW:
        return [f"the client is the limit: requests account for {little:.1%} of its users' time"]
    return []


def _of_queue(inputs: ProbeInputs, sent: OpenLoad | None) -> list[str]:
    """Return how requests queue before the server, if they do."""
    if sent is None:
        return []
    users, share = inputs.record.users, sent.achieved_share
    if share is not None and share < ACHIEVED_BELOW and _all_users_wait(inputs):
        return [f"{QUEUE}: all {users} users waited for answers, so {share:.1%} of what was due was sent"]
    growth = queue_growth(inputs.samples)
    if growth is not None and growth.low > 0 and growth.per_second > inputs.plan.tolerance / 2:
        return [f"{QUEUE}: each second of the load added {growth.per_second * 1000:.0f} ms to their latency"]
    return []


def _all_users_wait(inputs: ProbeInputs) -> bool:
    """Tell whether the users of an open load were all waiting for answers while requests were due and not sent."""
    samples, users, end = inputs.samples, inputs.record.users, inputs.samples.window_ended_ns
    if users is None or end is None:
        return False
    unsent = samples.in_window & ~(samples.was_sent & (samples.sent_ns <= end))
    if not unsent.any():
        return False
    in_flight = mean_in_flight(samples, int(samples.due_ns[unsent].min()))
    return in_flight is not None and in_flight >= BUSY_ABOVE * users


def _measurement(inputs: ProbeInputs, row: Row, findings: list[Finding], sent: OpenLoad | None) -> ProbeMeasurement:
    rates = window_rates(inputs.samples, inputs.record)
    little, why_no_ratio = littles_law_ratio(inputs.samples, inputs.record, rates)
    reached = achieved_load(inputs.record, sent, little, why_no_ratio=why_no_ratio, why_no_rate=rates.reason)
    reasons = {
        "achieved_load": reached.reasons["reached"] if reached.reached is None else None,
        "error_rate": row.reasons.get("error_rate"),
        "sender_cpu_share": None if inputs.sender else "the sender was not read twice inside the window",
        "server_cpu_share": None if inputs.server else inputs.server_reason or "the target's process was not read",
    }
    return ProbeMeasurement(
        achieved_load=reached.reached,
        slo=tuple(
            SloReading(**{name: getattr(finding, name) for name in SloReading.__struct_fields__})
            for finding in findings
        ),
        error_rate=row.error_rate,
        sender_cpu_share=inputs.sender.cpu_share_max if inputs.sender else None,
        server_cpu_share=inputs.server.cpu_share_max if inputs.server else None,
        reasons={key: why for key, why in reasons.items() if why},
    )
