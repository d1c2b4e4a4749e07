"""Derive a gate's verdict from its pairs and comparisons: the exit code and its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from aether_load.analysis.verdict.warnings import Warning_
from aether_load.errors import ExitCode
from aether_load.gate.analysis.comparison import GateComparison
from aether_load.gate.analysis.pairs import GatePair, SideReport, why_not_used
from aether_load.rundata.manifest import Ended
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.warning_codes import WarningCode

Status = Literal["passed", "failed", "regression", "inconclusive", "invalid", "interrupted"]


class GateVerdict(msgspec.Struct, frozen=True):
    """What a script and a reviewer read: the exit code, one sentence, and whatever else speaks against a pass."""

    status: Status
    exit_code: int
    sentence: str
    reasons: tuple[str, ...]


def decide_gate(
    ended_as: Ended,
    scenario: Scenario,
    pairs: Sequence[GatePair],
    sides: Sequence[SideReport],
    comparisons: Sequence[GateComparison],
    warnings: Sequence[Warning_] = (),
) -> GateVerdict:
    """Return the verdict: failed, invalid, regression, interrupted, inconclusive, passed, the first that applies.

    A gate whose records are damaged is invalid before all else. Counts that are not to be trusted void every
    comparison, so that they come before a regression: what was measured may have been another client's load.
    """
    damaged = [warning.message.rstrip(".") for warning in warnings if warning.code == WarningCode.DAMAGED]
    if damaged:
        return _verdict("invalid", ExitCode.INVALID, damaged)
    failed = [
        f"{side.side}: {_failure(side, scenario)}"
        for side in sides
        if _failure(side, scenario) is not None and not (ended_as == "interrupted" and not side.requests_total)
    ]
    if failed:
        return _verdict("failed", ExitCode.FAILED, failed)
    invalid = [*_untrusted(pairs)]
    invalid += [
        f"forbidden warning {warning.code}: {warning.message.rstrip('.')}"
        for warning in warnings
        if warning.code in scenario.fail_on_warning
    ]
    invalid += [
        f"{warning.phase}: {warning.message.rstrip('.')}"
        for warning in warnings
        if warning.code == WarningCode.ANSWERS_REPEATED
    ]
    if ended_as == "running":
        invalid.insert(0, "the gate was cut off by force; this is what was written by then")
    if invalid:
        return _verdict("invalid", ExitCode.INVALID, invalid)
    lost = [comparison.sentence for comparison in comparisons if comparison.test.finding == "regression"]
    open_ = [comparison.sentence for comparison in comparisons if comparison.test.finding == "inconclusive"]
    if lost:
        return _verdict("regression", ExitCode.THRESHOLD, [*lost, *open_])
    if ended_as == "interrupted":
        return _verdict("interrupted", ExitCode.INTERRUPTED, ["the gate was interrupted", *open_])
    if any(comparison.reason is not None for comparison in comparisons):
        return _verdict("invalid", ExitCode.INVALID, [*open_, *why_not_used(pairs)])
    if open_:
        return _verdict("inconclusive", ExitCode.INVALID, open_)
    passed = [comparison.sentence for comparison in comparisons]
    return GateVerdict("passed", int(ExitCode.PASSED), "; ".join(passed), ())


def _verdict(status: Status, code: ExitCode, reasons: Sequence[str]) -> GateVerdict:
    return GateVerdict(status, int(code), reasons[0], tuple(reasons))


def _failure(side: SideReport, scenario: Scenario) -> str | None:
    if side.ok_total == 0:
        return f"none of {side.requests_total} requests succeeded"
    if side.error_rate is not None and side.error_rate > scenario.max_error_rate:
        return f"error rate {side.error_rate:.4f} is above max_error_rate {scenario.max_error_rate:g}"
    return None


def _untrusted(pairs: Sequence[GatePair]) -> Iterator[str]:
    """Yield each window whose counts show another client or a restart."""
    for pair in pairs:
        for side, window in (("base", pair.base), ("candidate", pair.candidate)):
            if window is not None and window.trust in {"contaminated", "restarted"}:
                yield f"{side}, pair {pair.pair}: {window.trust}: {window.trust_reason}"
