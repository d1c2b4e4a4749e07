"""Write a gate as JUnit XML: a test case for the gate, and one for each metric."""

from __future__ import annotations

from typing import TextIO
from xml.etree import ElementTree as ET

from aether_load.gate.report import GateReport
from aether_load.text import with_safe_texts, xml_text


def write_gate_junit(report: GateReport, out: TextIO) -> None:
    """Write the gate as JUnit XML: a regression or too many failed requests are failures, what is undecided an error.

    A verdict that is of the gate as a whole (failed, invalid, interrupted) stands in its own case.
    """
    report = with_safe_texts(report, xml_text)
    name = "aether-load.gate"
    verdict = report.verdict
    cases: list[tuple[str, str | None, str]] = []
    of_whole = verdict.status in {"failed", "invalid", "interrupted"}
    mark = None if not of_whole else "failure" if verdict.status == "failed" else "error"
    cases.append(("gate", mark, "\n".join(verdict.reasons)))
    for comparison in report.comparisons:
        found = {"regression": "failure", "inconclusive": "error"}.get(comparison.test.finding)
        # Comparisons of a gate that is void as a whole have decided nothing.
        cases.append((comparison.metric, found if not of_whole or found is None else "error", comparison.sentence))
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(1 for _, mark, _ in cases if mark == "failure")),
        "errors": str(sum(1 for _, mark, _ in cases if mark == "error")),
        "skipped": "0",
    }
    root = ET.Element("testsuites", {"name": "aether-load", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": report.run.began_utc[:19], **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report).items():
        ET.SubElement(properties, "property", {"name": key, "value": value})
    for case, mark, said in cases:
        element = ET.SubElement(suite, "testcase", {"classname": name, "name": case})
        if mark is not None:
            text = said
            ET.SubElement(element, mark, {"type": verdict.status, "message": text.split("\n")[0]}).text = text
    warnings = "\n".join(f"{warning.code}: {warning.message} {warning.advice}" for warning in report.warnings)
    ET.SubElement(suite, "system-out").text = f"{verdict.sentence}\n{warnings}"
    ET.indent(root)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _properties(report: GateReport) -> dict[str, str]:
    return {
        "run": report.run.id,
        "verdict": report.verdict.status,
        "exit_code": str(report.verdict.exit_code),
        "base": report.plan.base,
        "candidate": report.plan.candidate,
    }
