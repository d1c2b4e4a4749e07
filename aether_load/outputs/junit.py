"""Write a report as JUnit XML: a test case for the run, one a phase, one a search, one a threshold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, TextIO
from xml.etree import ElementTree as ET

import msgspec

from aether_load.analysis.report import against
from aether_load.analysis.verdict.verdict import Against
from aether_load.text import with_safe_texts, xml_text

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.analysis.verdict.verdict import Status

_FAILURES: tuple[Status, ...] = ("failed", "threshold_failed")


class _Case(msgspec.Struct, frozen=True):
    """A test case: its name, how long its window was, and what speaks against it, the deciding reason first."""

    name: str
    seconds: float
    against: tuple[Against, ...]

    @property
    def kind(self) -> Literal["failure", "error"] | None:
        if not self.against:
            return None
        return "failure" if self.against[0].status in _FAILURES else "error"


def write_junit(report: Report, out: TextIO) -> None:
    """Write the report as JUnit XML.

    A reason against the run stands in the case of the phase, search or threshold that it names, any other in the
    run's. What failed or threshold_failed a limit is a failure; what is invalid, inconclusive or was interrupted is
    an error: it has decided nothing.
    """
    report = with_safe_texts(report, xml_text)
    name = f"aether-load.{report.run.scenario}"
    cases = _cases(report)
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.kind == "failure" for case in cases)),
        "errors": str(sum(case.kind == "error" for case in cases)),
        "skipped": "0",
        "time": f"{sum(case.seconds for case in cases):.3f}",
    }
    root = ET.Element("testsuites", {"name": "aether-load", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": report.run.began_utc[:19], **counts})
    properties = ET.SubElement(suite, "properties")
    for key, value in _properties(report).items():
        ET.SubElement(properties, "property", {"name": key, "value": value})
    for case in cases:
        element = ET.SubElement(
            suite, "testcase", {"classname": name, "name": case.name, "time": f"{case.seconds:.3f}"}
        )
        if case.kind is not None:
            first = case.against[0]
            mark = ET.SubElement(element, case.kind, {"type": first.status, "message": first.reason})
            mark.text = "\n".join(one.reason for one in case.against)
    said = [f"{warning.code}: {warning.message} {warning.advice}" for warning in report.warnings]
    ET.SubElement(suite, "system-out").text = "\n".join(said)
    ET.indent(root)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def _cases(report: Report) -> list[_Case]:
    named = [(f"phase {phase.name}", phase.window_s or 0.0) for phase in report.phases if phase.search is None]
    named += [(f"search {search.name}", sum(probe.duration_s for probe in search.probes)) for search in report.searches]
    named += [(f"threshold {threshold.condition}", 0.0) for threshold in report.thresholds]
    mine: dict[str, list[Against]] = {name: [] for name, _ in named}
    rest: list[Against] = []
    for one in against(report):
        # A reason begins with the name of what it is about, and a name may hold a colon.
        ends = (found.start() for found in re.finditer(": ", one.reason))
        name = next((name for end in ends if (name := one.reason[:end]) in mine), None)
        (rest if name is None else mine[name]).append(one)
    cases = [_Case(name, seconds, tuple(mine.pop(name, ()))) for name, seconds in named]
    return [_Case("run", 0.0, tuple(rest)), *cases]


def _properties(report: Report) -> dict[str, str]:
    """Return what the run says of itself; a property that has no value is left out."""
    properties = {
        "run": report.run.id,
        "verdict": report.verdict.status,
        "exit_code": str(report.verdict.exit_code),
        "target": report.target.url,
        "target_kind": report.target.kind,
        "generation": report.target.generation.value,
        "seed": report.run.seed,
        "commit": report.environment["git"].get("commit"),
        **{f"label.{key}": value for key, value in report.run.labels.items()},
    }
    return {key: str(value) for key, value in properties.items() if value is not None}
