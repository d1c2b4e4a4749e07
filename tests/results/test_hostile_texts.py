"""Texts from runtimes, datasets and users are shown as they are, and do nothing."""

from aether_load.analysis.report import Report
from typing import Any

import re
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import msgspec
import pytest

from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.formats import formatted
from aether_load.text import markdown_text
from aether_load.outputs.page.html import page_html
from aether_load.analysis.report import build_report
from rich_run import SCENARIO, make_rich_run

EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(2)> | `x` [l](http://e.vil) @you #1 \x00\x1b \u2028"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """A report in which every text that comes from outside is hostile."""
    condition = re.sub("[<>=!:]", "", EVIL) + ":p(95)<1"
    scenario = {**SCENARIO, "purpose": EVIL, "thresholds": [{"condition": condition}], "workload": {**SCENARIO["workload"], "datasets": [EVIL, "arc_easy"],
                "files": {EVIL: {"path": "x", "text": "y"}}}}  # fmt: skip
    folder = make_rich_run(tmp_path_factory.mktemp("evil"), scenario=scenario, dataset=EVIL)
    manifest = folder.read_manifest()
    manifest.target = msgspec.structs.replace(manifest.target, server=EVIL, url=f"http://h/{EVIL}")
    manifest.command.append(EVIL)
    manifest.notes.append(EVIL)
    manifest.git = {"commit": EVIL, "dirty": True}
    manifest.versions[EVIL] = EVIL
    folder.write_manifest(manifest)
    return build_report(folder)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_has_no_element_that_a_text_brought(report: Report) -> None:
    """No image, three scripts of our own, no attribute that runs; the texts are there to read."""
    charts = report_charts(report)
    page = Tags()
    page.feed(page_html(report, charts, {}, "/* script */"))
    tags = [tag for tag, _ in page.found]
    assert tags.count("script") == 3
    assert "img" not in tags
    assert not [name for _, attributes in page.found for name in attributes if name.startswith("on")]
    assert page.text.count("</script><script>alert(1)</script>") >= 5


def test_markdown_shows_a_text_as_it_is(report: Report) -> None:
    """No table is broken, nothing is HTML, a link or a mention."""
    text = formatted(report, "markdown")
    assert "<script" not in text
    assert "<img" not in text
    assert not re.search(r"@\w", text)
    assert "](" not in text
    assert not re.search(r"\bhttp://", text)
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in block.splitlines()}) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a_b max_error_rate 0.5", "a_b max_error_rate 0.5"),
        ("_a_ *b*", "&#95;a&#95; &#42;b&#42;"),
        ("# x", "&#35; x"),
        ("- x", "&#45; x"),
        ("1. x", "1&#46; x"),
        ("a\n\n> b", "a &#62; b"),
        ("www.e.vil http://e.vil", "www&#46;e.vil http&#58;//e.vil"),
        ("@you", "&#64;<!-- -->you"),
    ],
)
def test_what_markdown_would_read_is_written_as_characters(text: str, shown: str) -> None:
    """And what it would not, such as underscores inside a word, stays readable."""
    assert markdown_text(text) == shown


def test_junit_is_xml_whatever_is_in_it(report: Report) -> None:
    """Characters that XML has no way to write are replaced."""
    root = ET.fromstring(formatted(report, "junit"))
    found = root.find("testsuite/system-out")
    assert found is not None
    said = found.text
    assert said is not None
    assert "</script><script>alert(1)</script>" in said
    assert "\x00" not in said
