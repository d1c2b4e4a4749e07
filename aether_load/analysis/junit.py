"""A report as JUnit XML, for CI servers: a test case for the run, one a phase, one a search."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TextIO
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from aether_load.analysis.gate import Status
    from aether_load.analysis.report import Report

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_FAILURES: tuple[Status, ...] = ("failed", "crossed")


def write_junit(report: Report, out: TextIO) -> None:
    """Write the report as JUnit XML.

    A reason against the run stands in the case of the phase or search that it names, any other in the run's. What
    failed or crossed a limit is a failure; what is invalid or was interrupted is an error: it has decided nothing.
    """
    name = f"aether-load.{plain_text(report.run.scenario)}"
    cases = list(_cases(report))
    kind = "failure" if report.verdict.status in _FAILURES else "error"
    against = sum(1 for _, _, reasons in cases if reasons)
    counts = {
        "tests": str(len(cases)),
        "failures": str(against if kind == "failure" else 0),
        "errors": str(against if kind == "error" else 0),
        "skipped": "0",
        "time": f"{sum(seconds for _, seconds, _ in cases):.3f}",
    }
    root = ET.Element("testsuites", {"name": "aether-load", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": report.run.began_utc[:19], **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report).items():
        ET.SubElement(properties, "property", {"name": key, "value": plain_text(value)})
    for case, seconds, reasons in cases:
        element = ET.SubElement(
            suite, "testcase", {"classname": name, "name": plain_text(case), "time": f"{seconds:.3f}"}
        )
        if reasons:
            mark = ET.SubElement(element, kind, {"type": report.verdict.status, "message": plain_text(reasons[0])})
            mark.text = plain_text("\n".join(reasons))
    said = [f"{warning.code}: {warning.message} {warning.advice}" for warning in report.warnings]
    ET.SubElement(suite, "system-out").text = plain_text("\n".join(said))
    ET.indent(root)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _cases(report: Report) -> Iterator[tuple[str, float, Sequence[str]]]:
    """Yield each case: its name, how long its window was in seconds, and the reasons against it."""
    left = list(report.verdict.reasons)
    found: list[tuple[str, float, list[str]]] = []
    named = [(f"phase {phase.name}", phase.window_s or 0.0) for phase in report.phases if phase.search is None]
    named += [(f"search {search.name}", sum(probe.duration_s for probe in search.probes)) for search in report.searches]
    for name, seconds in named:
        mine = [reason for reason in left if reason.startswith(f"{name}: ")]
        left = [reason for reason in left if reason not in mine]
        found.append((name, seconds, mine))
    yield "run", 0.0, left
    yield from found


def _properties(report: Report) -> dict[str, str]:
    return {
        "run": report.run.id,
        "verdict": report.verdict.status,
        "exit_code": str(report.verdict.exit_code),
        "target": report.target.url,
        "target_kind": report.target.kind,
        "generation": report.target.generation.value,
        "seed": str(report.run.seed),
        "commit": str(report.environment["git"].get("commit")),
    }


def plain_text(text: str) -> str:
    """Return a text without the characters that XML has no way to write."""
    return _NOT_XML.sub("\ufffd", text)
