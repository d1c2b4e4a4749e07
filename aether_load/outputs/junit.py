"""Write a report as JUnit XML: a test case for the run, one a phase, one a search, one a threshold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, TextIO
from xml.etree import ElementTree as ET

import msgspec

from aether_load.analysis.report import Report, RunInfo, against
from aether_load.analysis.verdict.verdict import Against, Status
from aether_load.analysis.verdict.warnings import Warning_
from aether_load.text import with_safe_texts, xml_text

_FAILURES: tuple[Status, ...] = ("failed", "threshold_failed")


Mark = Literal["failure", "error"] | None


class Case(msgspec.Struct, frozen=True):
    """A test case: its name, what speaks against it, the deciding reason first, and how long its window was.

    It passed without a `mark`; `kind` is the type of its failure or error. `seconds` is None where no case has a time.
    """

    name: str
    mark: Mark
    kind: str
    reasons: tuple[str, ...]
    seconds: float | None = None


def write_suite(
    name: str, run: RunInfo, cases: Sequence[Case], properties: Mapping[str, object], said: str, out: TextIO
) -> None:
    """Write cases as one suite of JUnit XML; a property that has no value is left out."""
    seconds = [case.seconds for case in cases if case.seconds is not None]
    counts = {
        "tests": str(len(cases)),
        "failures": str(sum(case.mark == "failure" for case in cases)),
        "errors": str(sum(case.mark == "error" for case in cases)),
        "skipped": "0",
        **({"time": f"{sum(seconds):.3f}"} if seconds else {}),
    }
    root = ET.Element("testsuites", {"name": "aether-load", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": name, "timestamp": run.began_utc[:19], **counts})
    listed = ET.SubElement(suite, "properties")
    for key, value in properties.items():
        if value is not None:
            ET.SubElement(listed, "property", {"name": key, "value": str(value)})
    for case in cases:
        time = {} if case.seconds is None else {"time": f"{case.seconds:.3f}"}
        element = ET.SubElement(suite, "testcase", {"classname": name, "name": case.name, **time})
        if case.mark is not None:
            mark = ET.SubElement(element, case.mark, {"type": case.kind, "message": case.reasons[0]})
            mark.text = "\n".join(case.reasons)
    ET.SubElement(suite, "system-out").text = said
    ET.indent(root)
    out.write('<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n")


def write_junit(report: Report, out: TextIO) -> None:
    """Write the report as JUnit XML.

    A reason against the run stands in the case of the phase, search or threshold that it names, any other in the
    run's. What failed or threshold_failed a limit is a failure; what is invalid, inconclusive or was interrupted is
    an error: it has decided nothing.
    """
    report = with_safe_texts(report, xml_text)
    properties = {
        "run": report.run.id,
        "verdict": report.verdict.status,
        "exit_code": report.verdict.exit_code,
        "target": report.target.url,
        "target_kind": report.target.kind,
        "generation": report.target.generation.value,
        "seed": report.run.seed,
        "commit": report.environment["git"].get("commit"),
        **{f"label.{key}": value for key, value in report.run.labels.items()},
    }
    said = "\n".join(warning_texts(report.warnings))
    write_suite(f"aether-load.{report.run.scenario}", report.run, _cases(report), properties, said, out)


def warning_texts(warnings: Iterable[Warning_]) -> Iterator[str]:
    """Yield each warning on a line: code, message and advice."""
    return (f"{warning.code}: {warning.message} {warning.advice}" for warning in warnings)


def _cases(report: Report) -> list[Case]:
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
    cases = [_case(name, mine.pop(name, []), seconds) for name, seconds in named]
    return [_case("run", rest, 0.0), *cases]


def _case(name: str, reasons: Sequence[Against], seconds: float) -> Case:
    if not reasons:
        return Case(name, None, "", (), seconds)
    status = reasons[0].status
    mark: Mark = "failure" if status in _FAILURES else "error"
    return Case(name, mark, status, tuple(one.reason for one in reasons), seconds)
