"""From a report to the verdict that a script reads: the exit code and its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from aether_load import ExitCode
from aether_load.analysis.ledger import REQUEST_LINES

if TYPE_CHECKING:
    from aether_load.analysis.phase_report import PhaseReport
    from aether_load.analysis.report import RunInfo
    from aether_load.analysis.searches import SearchReport
    from aether_load.analysis.warnings import Warning_
    from aether_load.workload.scenario import Scenario

Status = Literal["passed", "failed", "crossed", "invalid", "interrupted"]


class Verdict(msgspec.Struct, frozen=True):
    """Whether the run passed; every reason that speaks against it, the deciding one first."""

    status: Status
    exit_code: int
    reasons: tuple[str, ...]


def decide(
    run: RunInfo,
    phases: Sequence[PhaseReport],
    scenario: Scenario,
    warnings: Sequence[Warning_] = (),
    searches: Sequence[SearchReport] = (),
) -> Verdict:
    """Return the verdict on a run: failed, crossed, invalid, interrupted, passed, the first that applies.

    A run fails when nothing succeeded or errors other than refusals of the prompt guard are more than the
    scenario's `max_error_rate`, in any phase. It is invalid when its figures are not to be trusted, or when one of
    the `warnings` is there that the scenario forbids. A search under which no load held has crossed its limits; one
    that was not brought to its end has decided nothing. Its probes may fail: to find out which do is what they are
    for. An absence of data is never a pass.
    """
    interrupted = run.ended_as == "interrupted"
    findings: list[tuple[Status, ExitCode, str]] = []
    for phase in phases:
        row = phase.all
        if row.ok_total == 0 and phase.search is None and not (interrupted and row.error_rate is None):
            reason = f"phase {phase.name}: none of {row.requests_total} requests succeeded"
            findings.append(("failed", ExitCode.FAILED, reason))
        elif phase.search is None and row.error_rate is not None and row.error_rate > scenario.max_error_rate:
            reason = (
                f"phase {phase.name}: error rate {row.error_rate:.4f} is above max_error_rate "
                f"{scenario.max_error_rate:g}"
            )
            findings.append(("failed", ExitCode.FAILED, reason))
    if not phases and not interrupted:
        findings.append(("failed", ExitCode.FAILED, "no phase began, so nothing succeeded"))
    if run.ended_as == "running":
        findings.append(("invalid", ExitCode.INVALID, "the run was cut off by force; this is what was written by then"))
    elif scenario.target.server_metrics:
        findings += [
            (
                "invalid",
                ExitCode.INVALID,
                f"phase {phase.name}: {phase.reconciliation.trust}: {phase.reconciliation.reason}",
            )
            for phase in phases
            if phase.reconciliation.trust != "trusted"
        ]
    if run.ended_as != "running":
        findings += [
            (
                "invalid",
                ExitCode.INVALID,
                f"phase {phase.name}: {line.name} is {line.ours} by the samples and {line.theirs} by {line.against}",
            )
            for phase in phases
            for line in phase.reconciliation.lines
            if line.name in REQUEST_LINES and line.agrees is False
        ]
    findings += [
        (
            "invalid",
            ExitCode.INVALID,
            f"{_where(warning)}: forbidden warning {warning.code}: {warning.message.rstrip('.')}",
        )
        for warning in warnings
        if warning.code in scenario.forbid_warnings
    ]
    for search in searches:
        reason = f"search {search.name}: {search.sentence}"
        if search.end == "nothing_held":
            findings.append(("crossed", ExitCode.THRESHOLD, reason))
        elif not search.confirmed and not interrupted:
            findings.append(("invalid", ExitCode.INVALID, reason))
    if interrupted:
        findings.append(("interrupted", ExitCode.INTERRUPTED, "the run was interrupted; the results are of a part"))
    if not findings:
        return Verdict("passed", int(ExitCode.PASSED), ())
    findings.sort(key=lambda finding: _PRECEDENCE.index(finding[1]))
    status, code, _ = findings[0]
    return Verdict(status, int(code), tuple(reason for _, _, reason in findings))


def _where(warning: Warning_) -> str:
    return "the run" if warning.phase is None else f"phase {warning.phase}"


_PRECEDENCE = (ExitCode.FAILED, ExitCode.THRESHOLD, ExitCode.INVALID, ExitCode.INTERRUPTED)
