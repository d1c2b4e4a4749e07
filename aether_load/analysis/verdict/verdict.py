"""Derive the verdict from a report: the exit code and its reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from aether_load.analysis.server.reconciliation import REQUEST_LINES
from aether_load.errors import ExitCode
from aether_load.rundata.manifest import FAULTS
from aether_load.scenario.warning_codes import WarningCode as Code

if TYPE_CHECKING:
    from aether_load.analysis.phase.phase_report import PhaseReport
    from aether_load.analysis.phase.searches import SearchReport
    from aether_load.analysis.verdict.thresholds import ThresholdReport
    from aether_load.analysis.verdict.warnings import Warning_
    from aether_load.rundata.manifest import Ended
    from aether_load.scenario.scenario import Scenario

Status = Literal["passed", "failed", "threshold_failed", "invalid", "inconclusive", "interrupted"]


class Verdict(msgspec.Struct, frozen=True):
    """Whether the run passed; every reason that speaks against it, the deciding one first."""

    status: Status
    exit_code: int
    reasons: tuple[str, ...]


class Against(msgspec.Struct, frozen=True):
    """One reason against a run: what it makes of it, and in words that begin with what they are of."""

    status: Status
    reason: str


def decide(against: Sequence[Against]) -> Verdict:
    """Return the verdict that follows from everything that speaks against a run; an absence of data is never a pass."""
    if not against:
        return Verdict("passed", int(ExitCode.PASSED), ())
    first = against[0].status
    return Verdict(first, int(_EXIT_CODES[first]), tuple(one.reason for one in against))


def all_against(
    ended_as: Ended,
    phases: Sequence[PhaseReport],
    scenario: Scenario,
    warnings: Sequence[Warning_] = (),
    searches: Sequence[SearchReport] = (),
    thresholds: Sequence[ThresholdReport] = (),
) -> list[Against]:
    """Return everything that speaks against a run, the deciding reason first, with what each makes of it.

    A run with damaged or missing records is invalid, whatever its other records show. It fails when nothing succeeded
    or errors other than refusals of the prompt guard are more than the scenario's `max_error_rate`, in any phase. It is
    invalid when its figures are not to be trusted, or when one of the `warnings` is there that the scenario forbids,
    and inconclusive when a threshold could not be decided. A search under which no load held has failed its thresholds;
    one that was not brought to its end has decided nothing. Its probes may fail: to find out which do is what they are
    for.
    """
    damage = [Against("invalid", warning.message.rstrip(".")) for warning in warnings if warning.code == Code.DAMAGED]
    interrupted = ended_as == "interrupted"
    found: list[Against] = []
    for phase in phases:
        failures = [*_failed_requests(phase, scenario, interrupted=interrupted), *_failed_iterations(phase, scenario)]
        # Where no request was sent, the tasks say why.
        found += failures if phase.all.requests_total else reversed(failures)
    if not phases and not interrupted:
        found.append(Against("failed", "no phase began, so nothing succeeded"))
    found += _invalid(ended_as, phases, scenario, warnings)
    for search in searches:
        reason = f"search {search.name}: {search.sentence}"
        if search.end == "nothing_held":
            found.append(Against("threshold_failed", reason))
        elif not search.confirmed and not interrupted:
            found.append(Against("inconclusive", reason))
    for threshold in thresholds:
        found += (Against("threshold_failed", reason) for reason in threshold.broken)
        found += (Against("inconclusive", reason) for reason in threshold.undecided)
    if interrupted:
        found.append(Against("interrupted", "the run was interrupted; the results are of a part"))
    found.sort(key=lambda one: _PRECEDENCE.index(_EXIT_CODES[one.status]))
    return [*damage, *found]


def _failed_requests(phase: PhaseReport, scenario: Scenario, *, interrupted: bool) -> Iterator[Against]:
    row = phase.all
    if phase.search is not None:
        return
    if row.ok_total == 0 and not (interrupted and row.error_rate is None):
        sent = f"none of {row.requests_total} requests succeeded" if row.requests_total else "no request was sent"
        yield Against("failed", f"phase {phase.name}: {sent}")
    elif row.error_rate is not None and row.error_rate > scenario.max_error_rate:
        yield Against(
            "failed",
            f"phase {phase.name}: error rate {row.error_rate:.4f} is above max_error_rate {scenario.max_error_rate:g}",
        )


def _failed_iterations(phase: PhaseReport, scenario: Scenario) -> Iterator[Against]:
    for task in phase.iterations:
        if task.error_rate is not None and task.error_rate > scenario.max_error_rate:
            yield Against(
                "failed",
                f"phase {phase.name}: {task.failed_total} of {task.completed_total + task.failed_total} iterations "
                f"of {task.task} failed, above max_error_rate {scenario.max_error_rate:g}: {task.errors[0].text}",
            )


def _invalid(
    ended_as: Ended, phases: Sequence[PhaseReport], scenario: Scenario, warnings: Sequence[Warning_]
) -> Iterator[Against]:
    for phase in phases:
        if phase.ended_by in FAULTS:
            yield Against("invalid", f"phase {phase.name}: it was ended early ({phase.ended_by})")
    if ended_as == "running":
        yield Against("invalid", "the run was cut off by force; this is what was written by then")
    elif scenario.target.server_metrics:
        for phase in phases:
            if phase.reconciliation.trust != "trusted":
                reason = f"{phase.reconciliation.trust}: {phase.reconciliation.reason}"
                yield Against("invalid", f"phase {phase.name}: {reason}")
    if ended_as != "running":
        for phase in phases:
            for line in phase.reconciliation.lines:
                if line.name in REQUEST_LINES and line.agrees is False:
                    counts = f"{line.name} is {line.ours} by the samples and {line.theirs} by {line.against}"
                    yield Against("invalid", f"phase {phase.name}: {counts}")
    for warning in warnings:
        if warning.code in {Code.WORKER_LOST, Code.ANSWERS_REPEATED}:
            yield Against("invalid", f"{_where(warning)}: {warning.message.rstrip('.')}")
        if warning.code in scenario.fail_on_warning:
            said = f"forbidden warning {warning.code}: {warning.message.rstrip('.')}"
            yield Against("invalid", f"{_where(warning)}: {said}")


def _where(warning: Warning_) -> str:
    return "the run" if warning.phase is None else f"phase {warning.phase}"


_EXIT_CODES: dict[Status, ExitCode] = {
    "passed": ExitCode.PASSED,
    "failed": ExitCode.FAILED,
    "threshold_failed": ExitCode.THRESHOLD,
    "invalid": ExitCode.INVALID,
    "inconclusive": ExitCode.INVALID,
    "interrupted": ExitCode.INTERRUPTED,
}
_PRECEDENCE = (ExitCode.FAILED, ExitCode.THRESHOLD, ExitCode.INVALID, ExitCode.INTERRUPTED)
