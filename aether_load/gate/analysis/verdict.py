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
    invalid = list(_untrusted(pairs))
    for warning in warnings:
        said = warning.message.rstrip(".")
        if warning.code in scenario.fail_on_warning:
            invalid.append(f"forbidden warning {warning.code}: {said}")
        if warning.code == WarningCode.ANSWERS_REPEATED:
            invalid.append(f"{warning.phase}: {said}")
    if ended_as == "running":
        invalid.insert(0, "the gate was cut off by force; this is what was written by then")
    lost = [comparison.sentence for comparison in comparisons if comparison.test.finding == "regression"]
    open_ = [comparison.sentence for comparison in comparisons if comparison.test.finding == "inconclusive"]
    cut_short = ["the gate was interrupted", *open_] if ended_as == "interrupted" else []
    unmeasured = any(comparison.reason is not None for comparison in comparisons)
    in_order: tuple[tuple[Status, ExitCode, Sequence[str]], ...] = (
        ("invalid", ExitCode.INVALID, [one.message.rstrip(".") for one in warnings if one.code == WarningCode.DAMAGED]),
        ("failed", ExitCode.FAILED, list(_failures(sides, scenario, interrupted=ended_as == "interrupted"))),
        ("invalid", ExitCode.INVALID, invalid),
        ("regression", ExitCode.THRESHOLD, [*lost, *open_] if lost else []),
        ("interrupted", ExitCode.INTERRUPTED, cut_short),
        ("invalid", ExitCode.INVALID, [*open_, *why_not_used(pairs)] if unmeasured else []),
        ("inconclusive", ExitCode.INVALID, open_),
    )
    for status, code, reasons in in_order:
        if reasons:
            return GateVerdict(status, int(code), reasons[0], tuple(reasons))
    passed = "; ".join(comparison.sentence for comparison in comparisons)
    return GateVerdict("passed", int(ExitCode.PASSED), passed, ())


def _failures(sides: Sequence[SideReport], scenario: Scenario, *, interrupted: bool) -> Iterator[str]:
    """Yield each side on which too many requests failed; of an interrupted gate a side without requests is left out."""
    for side in sides:
        if side.ok_total == 0 and (side.requests_total or not interrupted):
            yield f"{side.side}: none of {side.requests_total} requests succeeded"
        elif side.ok_total and side.error_rate is not None and side.error_rate > scenario.max_error_rate:
            limit = f"max_error_rate {scenario.max_error_rate:g}"
            yield f"{side.side}: error rate {side.error_rate:.4f} is above {limit}"


def _untrusted(pairs: Sequence[GatePair]) -> Iterator[str]:
    """Yield each window whose counts show another client or a restart."""
    for pair in pairs:
        for side, window in (("base", pair.base), ("candidate", pair.candidate)):
            if window is not None and window.trust in {"contaminated", "restarted"}:
                yield f"{side}, pair {pair.pair}: {window.trust}: {window.trust_reason}"
