"""Write a gate as JUnit XML: a test case for the gate, and one for each metric."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from aether_load.gate.report import GateReport
from aether_load.outputs.junit import Case, Mark, warning_texts, write_suite
from aether_load.text import with_safe_texts, xml_text

_MARKS: Mapping[str, Mark] = {"regression": "failure", "inconclusive": "error", "no_regression": None}


def write_gate_junit(report: GateReport, out: TextIO) -> None:
    """Write the gate as JUnit XML: a regression or too many failed requests are failures, what is undecided an error.

    A verdict that is of the gate as a whole (failed, invalid, interrupted) stands in its own case.
    """
    report = with_safe_texts(report, xml_text)
    verdict = report.verdict
    of_whole = verdict.status in {"failed", "invalid", "interrupted"}
    mark: Mark = None if not of_whole else "failure" if verdict.status == "failed" else "error"
    cases = [Case("gate", mark, verdict.status, verdict.reasons)]
    for comparison in report.comparisons:
        found = _MARKS[comparison.test.finding]
        # Comparisons of a gate that is void as a whole have decided nothing.
        mark = found if not of_whole or found is None else "error"
        cases.append(Case(comparison.metric, mark, verdict.status, (comparison.sentence,)))
    properties = {
        "run": report.run.id,
        "verdict": verdict.status,
        "exit_code": verdict.exit_code,
        "base": report.plan.base,
        "candidate": report.plan.candidate,
    }
    said = "\n".join((verdict.sentence, *warning_texts(report.warnings)))
    write_suite("aether-load.gate", report.run, cases, properties, said, out)
