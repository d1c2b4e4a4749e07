"""Hostile text in every place of a result does nothing in any output."""

import csv
import io
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aether_load.analysis.report import Report, build_report
from aether_load.compare.comparison import Comparison, compare
from aether_load.compare.text import WRITERS
from aether_load.gate.output import GATE_FORMATS
from aether_load.gate.report import GateReport, build_gate_report
from aether_load.outputs.benchmark_action import benchmark_entries
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.formats import FORMATS
from aether_load.outputs.page.html import page_html
from aether_load.outputs.terminal import write_summary
from aether_load.text import with_safe_texts, xml_text
from folders import answered, make_run
from gate_folders import make_gate, one_user
from hostile import with_hostile_texts
from processes import run_command
from property_tests import examples
from rich_run import make_rich_run

FORGED = "FORGED"
CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]")
PIECES = (
    "\x1b[2J", "\x1b]0;x\x07", "\x9b31m", "\x00", "\r", "\n", "\t", "\u2028", "\u202e", "\x7f", "\x85", "</script>",
    "|", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "`", "[x](http://e.vil)", "@you", "#", "=cmd()",
    "&", "'", '"', "]]>", "-->", "{{7*7}}", "%s",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=6).map("".join)
SETTINGS = settings(
    max_examples=examples(10), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
ALL_AT_ONCE = (
    "\x1b[2J\n"
    + FORGED
    + "\r\n=1+1\t\x9b\u202e</script><script>alert(1)</script><img src=x onerror=y>|`[x](http://e.vil)@you\x00"
)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return shorter(build_report(make_rich_run(tmp_path_factory.mktemp("run"))))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = make_rich_run(tmp_path_factory.mktemp("other"), run_id="20260305T050607Z-evening-0002")
    return shorter(build_report(folder))


def shorter(report: Report) -> Report:
    """A report with two of its phases, closed and open, to be written a hundred times."""
    return msgspec.structs.replace(report, phases=(report.phases[0], report.phases[-1]))


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> GateReport:
    same = lambda _pair: one_user(50)  # noqa: E731
    return build_gate_report(make_gate(tmp_path_factory.mktemp("gate"), same, same))


def written(writer: Callable[..., Any], value: Report | GateReport | Comparison) -> str:
    out = io.StringIO()
    writer(value, out)
    return out.getvalue()


def hostile_comparison(report: Report, other: Report, text: str) -> Comparison:
    return compare([with_hostile_texts(report, text), with_hostile_texts(other, text)])


def assert_no_control(text: str, allowed: str = "\n") -> None:
    text.encode()
    assert not set(CONTROLS.findall(text)) - set(allowed)


def assert_no_line_of_its_own(text: str) -> None:
    """Nothing that came from outside begins a line: it cannot pass for one of ours."""
    assert not [line for line in text.splitlines() if line.startswith(FORGED)]


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[Any] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.found.append((tag, sorted(name for name, _ in attrs)))


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_a_terminal(report: Report, other: Report, gate: GateReport, text: str) -> None:
    """Reports, comparisons and gates: no control character, no line that was not ours."""
    evil = f"\n{FORGED}{text}"
    hostile = with_hostile_texts(report, evil)
    shown = [
        written(lambda value, out: write_summary(value, [], out, verbose=True), hostile),
        written(WRITERS["text"], hostile_comparison(report, other, evil)),
        written(GATE_FORMATS["text"], with_hostile_texts(gate, evil)),
    ]
    for text_shown in shown:
        assert_no_control(text_shown)
        assert_no_line_of_its_own(text_shown)


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_csv(report: Report, text: str) -> None:
    """As many rows and cells as ever, none of which a spreadsheet would compute."""
    plain = list(csv.reader(io.StringIO(written(FORMATS["csv"], report), newline="")))
    hostile = with_hostile_texts(report, text)
    hostile = msgspec.structs.replace(hostile, run=msgspec.structs.replace(hostile.run, id=f"={text}"))
    rows = list(csv.reader(io.StringIO(written(FORMATS["csv"], hostile), newline="")))
    assert [len(row) for row in rows] == [len(row) for row in plain]
    for row in rows[1:]:
        for cell in row:
            assert_no_control(cell, "")
            assert not re.match(r"\s*[=+@]|\s*-(?![\d.])", cell), cell


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_json(report: Report, other: Report, gate: GateReport, text: str) -> None:
    """It is JSON, and shown on a terminal it does nothing."""
    for document in (
        written(FORMATS["json"], with_hostile_texts(report, text)),
        written(WRITERS["json"], hostile_comparison(report, other, text)),
        written(GATE_FORMATS["json"], with_hostile_texts(gate, text)),
    ):
        json.loads(document)
        assert_no_control(document)
    assert benchmark_entries(with_hostile_texts(report, text), "lower")


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_markdown(report: Report, other: Report, gate: GateReport, text: str) -> None:
    """No element, no link, nobody mentioned, and every table keeps its columns."""
    evil = f"\n{FORGED}{text}"
    for shown in (
        written(FORMATS["markdown"], with_hostile_texts(report, evil)),
        written(WRITERS["markdown"], hostile_comparison(report, other, evil)),
        written(GATE_FORMATS["markdown"], with_hostile_texts(gate, evil)),
    ):
        assert_no_control(shown)
        assert_no_line_of_its_own(shown)
        assert not re.search(r"<(?!/?(details|summary)\b|!-- -->)", shown)
        assert not re.search(r"@\w|\]\(|\bhttp://", shown)
        for block in re.findall(r"(?:^\|.*\n)+", shown, re.MULTILINE):
            assert len({line.count("|") for line in block.splitlines()}) == 1


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_xml(report: Report, gate: GateReport, text: str) -> None:
    """Whatever is in it, a parser reads it, with as many cases as ever."""
    for writer, value in ((FORMATS["junit"], report), (GATE_FORMATS["junit"], gate)):
        root = ET.fromstring(written(writer, with_hostile_texts(value, text)))
        assert len(root.findall(".//testcase")) == len(ET.fromstring(written(writer, value)).findall(".//testcase"))


@SETTINGS
@given(HOSTILE)
@example(ALL_AT_ONCE)
def test_html(report: Report, text: str) -> None:
    """The page has the elements that it has without, and no others."""
    plain = page_html(report, report_charts(report), {}, "/* script */")
    hostile = with_safe_texts(with_hostile_texts(report, text), xml_text)
    shown = page_html(hostile, report_charts(hostile), {}, "/* script */")
    assert_no_control(shown, "\n\r\t\x85\u2028\u2029\u202e")
    assert {tag for tag, _ in Tags(shown).found} == {tag for tag, _ in Tags(plain).found}
    assert Tags(shown).found.count(("script", [])) == Tags(plain).found.count(("script", []))
    assert not [names for _, names in Tags(shown).found if any(name.startswith("on") for name in names)]


def test_no_command_panics_on_a_folder_of_somebody_elses(tmp_path: Path) -> None:
    """The engine that draws ends its process by force on an escape sequence; none comes to it."""
    folders = []
    for number in range(2):
        requests = [answered(9 * place, 62) for place in range(20)]
        folder = make_run(tmp_path / str(number), requests, run_id=f"20260305T050607Z-made-000{number}")
        manifest = folder.read_manifest()
        for record in manifest.phases:
            record.name = f"{record.name}\x1b[2J\u009b\x00"
        folder.write_manifest(manifest)
        folders.append(str(folder.path))
    compared = run_command("compare", *folders, cwd=tmp_path)
    assert compared.returncode in {0, 5}, compared.stderr
    reported = run_command("report", folders[0], cwd=tmp_path)
    assert reported.returncode in {0, 1, 4, 5}, reported.stderr
    assert "could not be made" not in reported.stderr
    assert_no_control(compared.stdout + compared.stderr + reported.stdout + reported.stderr)
