"""Warn of what makes a gate's comparisons doubtful, each time with a sentence of advice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from aether_load.analysis.verdict.warnings import Warning_, warn
from aether_load.gate.analysis.pairs import GatePair, SideReport, why_not_used
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.warning_codes import WarningCode as Code

FEW_REQUESTS = 50
"""Requests in a window below which chance alone moves a window's figures by a tenth or so."""

_REMEDIES = {
    Code.SIMULATED_TARGET: "Give runtimes with --base URL and --candidate URL, or with commands.",
    Code.DATASET_SHORTER_THAN_ASKED: "Lower --limit, or use a larger --dataset-source.",
}
"""What to do about warnings of a run, in the gate's own options."""


def for_gate(warning: Warning_) -> Warning_:
    """Return a run's warning with advice that names options of the gate."""
    return msgspec.structs.replace(warning, advice=_REMEDIES.get(warning.code, warning.advice))


def gate_warnings(scenario: Scenario, pairs: Sequence[GatePair], sides: Sequence[SideReport]) -> Iterator[Warning_]:
    """Yield what a reader has to know beside the verdict."""
    dropped = [pair for pair in pairs if pair.not_used is not None and pair.pair != 1]
    if dropped:
        yield warn(
            Code.PAIRS_NOT_USED,
            f"{len(dropped)} of {len(pairs) - 1} pairs are not used: {'; '.join(why_not_used(dropped)[:3])}.",
        )
    stalled = sum(
        bool(window.stalled) for pair in pairs for window in (pair.base, pair.candidate) if window is not None
    )
    if stalled:
        yield warn(
            Code.SENDER_STALLED,
            f"In {stalled} windows the sender may have read answers late, so that their latencies are intervals.",
        )
    hits = {side.side: side.cached_share for side in sides if side.cached_share}
    if hits and scenario.phases[0].cache == "keep":
        said = " and ".join(f"{share:.0%} of the {side}'s" for side, share in hits.items())
        yield warn(
            Code.CACHE_ANSWERED,
            f"{said} nodes came from the runtime's cache, so that the path behind it is compared only in part.",
            "Send each prompt once with --set phases.0.unique_prompts=true, or judge hits alone with --set "
            "phases.0.cache='warm'.",
        )
    small = sorted(
        window.requests_total for pair in pairs for window in (pair.base, pair.candidate) if window is not None
    )
    if small and small[len(small) // 2] < FEW_REQUESTS:
        yield warn(
            Code.FEW_SAMPLES,
            f"The windows have {small[len(small) // 2]} requests each (the middle one), so that chance moves them.",
            "Give longer windows, with --window.",
        )
