"""Count what became of an evaluation's documents, and write our part of lm-eval's results file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from aether_load.analysis.phase.rows import Row
from aether_load.analysis.report import Report
from aether_load.analysis.statistics.distribution import Distribution
from aether_load.errors import AetherLoadError, ExitCode
from aether_load.evaluation.asking import Reply
from aether_load.evaluation.generation import GenerationPlan
from aether_load.protocol import Outcome

MEANING = (
    "The share of documents whose option was named by its letter alone. The runtime only generates: each document is "
    "asked once, the letter counts 0.0 and every other option a large negative number, so that no figure that weighs "
    "likelihoods (acc_norm, Brier, perplexity) says more than acc. Failed and unanswered documents count as wrong."
)


class NothingSucceeded(AetherLoadError):
    """No document of a call was answered, so there is nothing to score."""

    exit_code = ExitCode.FAILED


class TaskAccount:
    """Counts one task's documents by what became of them; `add` each after its last attempt."""

    def __init__(self) -> None:
        self.unanswered = 0
        self.mock = 0
        self.outcomes: Counter[Outcome] = Counter()
        self._plans: list[GenerationPlan] = []

    def add(self, reply: Reply, sent: GenerationPlan, *, unanswered: bool) -> None:
        """Count a document and the arguments that it was sent with; `unanswered` when its answer named no option."""
        self._plans.append(sent)
        self.outcomes[reply.outcome] += 1
        self.unanswered += unanswered and not reply.mock
        self.mock += reply.mock

    def plain(self, model: str) -> dict[str, Any]:
        """Return the counts by name, and the arguments that were sent and those that were not, with their values.

        A mock provider's documents are neither answered nor unanswered.
        """
        failures = {
            outcome.label: count for outcome, count in sorted(self.outcomes.items()) if outcome is not Outcome.OK
        }
        sent = {
            name: sorted({getattr(plan, name) for plan in self._plans} - {None})
            for name in ("temperature", "max_tokens")
        }
        not_sent: dict[str, list[Any]] = {}
        for name, value in (item for plan in self._plans for item in plan.not_sent.items()):
            if value not in not_sent.setdefault(name, []):
                not_sent[name].append(value)
        return {
            "documents_total": len(self._plans),
            "answered_total": self.outcomes[Outcome.OK] - self.unanswered - self.mock,
            "unanswered_total": self.unanswered,
            "rejected_total": self.outcomes[Outcome.REJECTED],
            "failed_total": sum(failures.values()) - self.outcomes[Outcome.REJECTED],
            "failures_by_outcome": failures,
            "mock_answers_total": self.mock,
            "sent": {"model": model, **sent},
            "not_sent": not_sent,
        }


def model_info(report: Report, tasks: dict[str, TaskAccount], folder: str, model: str) -> dict[str, Any]:
    """Return our part of lm-eval's results file; latencies in ms, null with a reason where not measured."""
    return {
        "aether_load": {
            "run_id": report.run.id,
            "run_folder": folder,
            "target": msgspec.to_builtins(report.target),
            "verdict": msgspec.to_builtins(report.verdict),
            "accuracy_meaning": meaningless(tasks.values()) or MEANING,
            "tasks": {name: task.plain(model) for name, task in tasks.items()},
            "phases": {
                phase.name: {
                    "num_concurrent": phase.users,
                    "trust": phase.reconciliation.trust,
                    "all": _row(phase.all),
                    **{row.dataset: _row(row) for row in phase.datasets if row.requests_total},
                }
                for phase in report.phases
            },
            "warnings": [warning.code for warning in report.warnings],
        }
    }


def meaningless(tasks: Collection[TaskAccount]) -> str | None:
    """Return why accuracy means nothing, None where it means something."""
    mock = sum(task.mock for task in tasks)
    answers = sum(task.outcomes[Outcome.OK] for task in tasks)
    if not mock:
        return None
    return (
        f"MEANINGLESS: {mock} of {answers} answers are the mock provider's fixed text, which answers nothing; give the "
        "runtime a real provider to measure accuracy."
    )


def _row(row: Row) -> dict[str, Any]:
    return {
        "calls_total": row.requests_total,
        "outcomes": {name: count for name, count in row.outcomes.items() if count},
        "service_latency_ms": _points(row.service_latency_ms),
        "server_time_share": row.server_time_share,
        "rejected_rate": row.rejected_rate,
        "unanswered_total": row.unanswered_total,
        "accuracy": msgspec.to_builtins(row.accuracy),
        "reasons": row.reasons,
    }


def _points(latency: Distribution | None) -> dict[str, Any] | None:
    if latency is None:
        return None
    points = {name: msgspec.to_builtins(getattr(latency, name)) for name in ("p50", "p95", "p99")}
    return {"count": latency.count, "mean": latency.mean, **points, "max": latency.max}


def check_success(replies: Sequence[Reply]) -> None:
    """Raise NothingSucceeded where no document of a call of lm-eval was answered."""
    if not replies or any(reply.outcome is Outcome.OK for reply in replies):
        return
    outcomes = Counter(reply.outcome.label for reply in replies)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    raise NothingSucceeded(
        f"The evaluation has no result: none of {len(replies)} documents was answered ({counts}; the first: "
        f"{replies[0].reason})."
    )
