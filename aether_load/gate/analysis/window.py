"""Compute the figures of one window of a gate, and say why a window cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np

from aether_load.analysis.latency.correlate import littles_law_ratio
from aether_load.analysis.phase.achieved_load import open_load
from aether_load.analysis.phase.phase_report import PhaseInputs, phase_readings
from aether_load.analysis.phase.rows import Row, Terms, build_row
from aether_load.analysis.phase.sender_usage import sender_over
from aether_load.analysis.server.checks import check_phase
from aether_load.analysis.server.client_counts import own_counts
from aether_load.analysis.server.reconciliation import Trust, reconcile
from aether_load.analysis.statistics.distribution import is_stalled, rounded
from aether_load.analysis.statistics.window_rates import WindowRates, window_rates
from aether_load.analysis.verdict.warnings import ACHIEVED_BELOW, SATURATED_ABOVE, SATURATED_BELOW
from aether_load.gate.analysis.value import Ends, gate_value
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.samples.table import PhaseSamples
from aether_load.scenario.gate_plan import GateMetric


class GateWindow(msgspec.Struct, frozen=True, kw_only=True):
    """A window on one side; `values` has each metric's figure by its name, None where it was not measured.

    Where the sender may have added more than the larger of 2 % and 0.2 ms to it, it is None too, and `stalled` has the
    least and the most that it may be. `cached_nodes_total` of `nodes_told_total` nodes came from the runtime's cache.
    `void` says why the window is of no use in its pair, None where it is. `trust` is the reconciliation's word on the
    server's counts, None without them.
    """

    window_s: float | None
    requests_total: int
    ok_total: int
    rejected_total: int
    error_rate: float | None
    littles_law_ratio: float | None
    achieved_share: float | None
    cached_nodes_total: int
    nodes_told_total: int
    trust: Trust | None
    trust_reason: str | None
    values: dict[str, float | None]
    stalled: dict[str, Ends]
    void: str | None


def gate_window(
    inputs: PhaseInputs, record: PhaseRecord, samples: PhaseSamples, metrics: Sequence[GateMetric]
) -> GateWindow:
    """Return what one window showed."""
    scenario = inputs.scenario
    terms = Terms(
        interrupted=inputs.manifest.ended_as == "interrupted",
        unscored=inputs.manifest.unscored,
        goodput_slo=scenario.goodput_slo,
    )
    rates = window_rates(samples, record)
    row = build_row("all", samples, terms=terms, rates=rates)
    trust, trust_reason = _trust(inputs, record, samples)
    little, _ = littles_law_ratio(samples, record, rates)
    load = open_load(samples, record, rates)
    achieved = load.achieved_share if load is not None else None
    values, stalled = _figures(inputs, samples, metrics, terms, rates)
    return GateWindow(
        window_s=rounded(samples.window_s),
        requests_total=row.requests_total,
        ok_total=row.ok_total,
        rejected_total=row.outcomes["rejected"],
        error_rate=row.error_rate,
        littles_law_ratio=little,
        achieved_share=achieved,
        cached_nodes_total=row.cached_nodes_total or 0,
        nodes_told_total=(row.cached_nodes_total or 0) + (row.uncached_nodes_total or 0),
        trust=trust,
        trust_reason=trust_reason,
        values=values,
        stalled=stalled,
        void=_why_unmeasured(samples, row, rates, scenario.max_error_rate)
        or (f"no_server_data: {trust_reason}" if trust == "no_server_data" else None)
        or _why_overloaded(inputs, samples, little, achieved),
    )


def _figures(
    inputs: PhaseInputs, samples: PhaseSamples, metrics: Sequence[GateMetric], terms: Terms, rates: WindowRates
) -> tuple[dict[str, float | None], dict[str, Ends]]:
    """Return each metric's figure, and both ends of those that the sender may have moved too far to be figures."""
    names = [identity.name for identity in inputs.manifest.datasets]
    values: dict[str, float | None] = {}
    stalled: dict[str, Ends] = {}
    for metric in metrics:
        which = np.ones(len(samples), np.bool_)
        if metric.dataset is not None:
            which = samples.labelled(metric.dataset, names)
        ends = gate_value(metric, samples, which, terms, rates)
        values[metric.text] = None if ends is None or is_stalled(*ends) else rounded(ends[1])
        if ends is not None and is_stalled(*ends):
            stalled[metric.text] = round(ends[0], 6), round(ends[1], 6)
    return values, stalled


def _why_unmeasured(samples: PhaseSamples, row: Row, rates: WindowRates, max_error_rate: float) -> str | None:
    """Return why the window's own requests give no figures, None where they do."""
    if samples.window_s is None:
        return "its window never opened"
    if row.error_rate is None or row.ok_total == 0:
        return "no request succeeded in it"
    if row.error_rate > max_error_rate:
        return f"its error rate is {row.error_rate:.4f}, above max_error_rate {max_error_rate:g}"
    return rates.reason


def _why_overloaded(
    inputs: PhaseInputs, samples: PhaseSamples, little: float | None, achieved: float | None
) -> str | None:
    """Return why the sender did not send what it should have sent, None where it did."""
    if little is not None and little < SATURATED_BELOW:
        return f"requests account for {little:.1%} of the users' time (Little): the client had no time to send"
    sender = sender_over(inputs.data.sender, samples.window_began_ns, samples.window_ended_ns)
    if sender is not None and sender.cpu_share_mean > SATURATED_ABOVE:
        return f"the sending process used {sender.cpu_share_mean:.0%} of a core"
    if achieved is not None and achieved < ACHIEVED_BELOW:
        return f"{achieved:.1%} of the requests due were sent"
    return None


def _trust(inputs: PhaseInputs, record: PhaseRecord, samples: PhaseSamples) -> tuple[Trust | None, str | None]:
    """Return the reconciliation's word on the window's counts; None where the scenario says that there are none."""
    if not inputs.scenario.target.server_metrics:
        return None, None
    readings = phase_readings(inputs, record)
    checks = check_phase(samples, readings)
    behind = next(check.violated_total for check in checks if check.code == "reading_not_behind")
    cut_off = inputs.manifest.ended_as == "running"
    reconciliation = reconcile(samples, own_counts(samples), readings, behind=behind, was_cut_off=cut_off)
    return reconciliation.trust, reconciliation.reason
