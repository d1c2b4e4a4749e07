"""Measure what a gate is worth on a machine: its false alarms, and the loss that it can detect."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TextIO

import msgspec
import numpy as np

from aether_load.analysis.statistics.distribution import Share, clopper_pearson, rounded
from aether_load.analysis.statistics.paired import share_failing_by_chance
from aether_load.errors import ExitCode
from aether_load.gate.analysis.comparison import log_ratios
from aether_load.gate.analysis.pairs import used_pairs
from aether_load.gate.report import GateReport
from aether_load.scenario.gate_plan import parse_gate_metric
from aether_load.text import terminal_text, with_safe_texts


class SelfTestMetric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric over all gates of a self-test.

    `false_alarms` are of the gates that decided, with the exact (Clopper-Pearson) interval. `by_chance` is the share
    of gates that would fail if each pair were turned round at random: of what was measured, a figure finer than the
    few gates that were driven. `smallest_loss_seen` is the largest of the gates' own, as a share. None: no gate
    decided.
    """

    metric: str
    false_alarms: Share | None
    inconclusive_total: int
    by_chance: float | None
    smallest_loss_seen: float | None


class SelfTest(msgspec.Struct, frozen=True, kw_only=True):
    """A/A: gates between a build and itself, whose every regression is a false alarm."""

    gates_total: int
    statuses: dict[str, int]
    metrics: tuple[SelfTestMetric, ...]
    runs: tuple[str, ...]
    exit_code: int
    sentence: str


def self_test(reports: Sequence[GateReport]) -> SelfTest:
    """Return what gates between equal builds say of the gate itself.

    It passes when every gate did; a false alarm or a gate that decided nothing says that the gate is not to be trusted
    here with these settings (exit code 5).
    """
    names = [comparison.metric for comparison in reports[0].comparisons]
    statuses = Counter(report.verdict.status for report in reports)
    metrics = tuple(_metric(place, name, reports) for place, name in enumerate(names))
    worst = next((report.verdict for report in reports if report.verdict.status in {"failed", "interrupted"}), None)
    alarms = statuses["regression"]
    passed = statuses["passed"] == len(reports)
    code = ExitCode.PASSED if passed else ExitCode.INVALID
    if passed:
        seen = max((metric.smallest_loss_seen or 0.0 for metric in metrics), default=0.0)
        sentence = f"no false alarm in {len(reports)} gates; a loss of {seen:.1%} would have been seen"
    elif worst is not None:
        code, sentence = ExitCode(worst.exit_code), worst.sentence
    elif alarms:
        sentence = f"{alarms} of {len(reports)} gates between equal builds failed: do not trust it here as it is set"
    else:
        undecided = len(reports) - statuses["passed"]
        first = next(report.verdict.sentence for report in reports if report.verdict.status != "passed")
        sentence = f"{undecided} of {len(reports)} gates between equal builds decided nothing; the first: {first}"
    return SelfTest(
        gates_total=len(reports),
        statuses=dict(sorted(statuses.items())),
        metrics=metrics,
        runs=tuple(report.run.id for report in reports),
        exit_code=int(code),
        sentence=sentence,
    )


def write_self_test(test: SelfTest, out: TextIO) -> None:
    """Write a self-test for the terminal and for Markdown alike."""
    test = with_safe_texts(test, terminal_text)
    gates = f"{test.gates_total} gate{'s' * (test.gates_total != 1)}"
    out.write(f"\nself-test of the gate: {gates} between equal builds\n")
    for metric in test.metrics:
        alarms = metric.false_alarms
        said = "no gate decided"
        if alarms is not None:
            said = f"{alarms.hits} of {alarms.count} false alarms [{alarms.low:.1%}, {alarms.high:.1%}]"
        if metric.by_chance is not None:
            said += f", {metric.by_chance:.2%} when the pairs are turned round at random"
        if metric.smallest_loss_seen is not None:
            said += f"; sees a loss of {metric.smallest_loss_seen:.1%}"
        out.write(f"  {metric.metric}: {said}; {metric.inconclusive_total} inconclusive\n")
    out.write(f"{'PASSED' if test.exit_code == 0 else 'NOT PASSED'} (exit code {test.exit_code})\n  {test.sentence}\n")


def _metric(place: int, name: str, reports: Sequence[GateReport]) -> SelfTestMetric:
    valid = [report for report in reports if report.verdict.status in {"passed", "regression", "inconclusive"}]
    tests = [report.comparisons[place].test for report in valid]
    decided = [test for test in tests if test.goodness_median is not None]
    chances = [
        share_failing_by_chance(
            np.array(log_ratios(parse_gate_metric(name), used_pairs(report.pairs))),
            margin=report.plan.margin,
            confidence=report.plan.confidence,
        )
        for report, test in zip(valid, tests, strict=True)
        if test.goodness_median is not None
    ]
    losses = [test.smallest_loss_seen for test in decided if test.smallest_loss_seen is not None]
    return SelfTestMetric(
        metric=name,
        false_alarms=clopper_pearson(sum(test.finding == "regression" for test in decided), len(decided)),
        inconclusive_total=sum(test.finding == "inconclusive" for test in tests),
        by_chance=rounded(sum(chances) / len(chances)) if chances else None,
        smallest_loss_seen=max(losses, default=None),
    )
