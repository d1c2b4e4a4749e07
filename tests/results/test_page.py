"""report.html in a browser: drawn, quiet, self-contained, and readable on a phone, in the dark, on paper."""

import os
import re
import subprocess
import sys

import pytest
from markupsafe import escape

from aether_load.outputs.page import NO_DRAWING, make_page
from aether_load.outputs.results import write_results
from aether_load.analysis.report import build_report
from browser import chromium, find_chromium
from folders import answered, make_run
from processes import REPOSITORY
from rich_run import make_rich_run

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium on this machine"),
]
CHARTS = [
    "decomposition", "latency-load-2", "latency-load-4", "latency-load-8", "latency-load-16", "latency-load-32",
    "latency-open", "time-latency", "time-throughput", "load-latency-load", "load-throughput-load", "outcomes",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with every kind of chart, its page made as the main job makes it."""
    pytest.importorskip("vl_convert", reason="vl-convert-python draws the charts")
    folder = make_rich_run(tmp_path_factory.mktemp("page"))
    write_results(build_report(folder), folder)
    assert make_page(folder) == [folder.page]
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def small_run(tmp_path):
    folder = make_run(tmp_path, [answered(100 * place, 62) for place in range(10)])
    write_results(build_report(folder), folder)
    return folder


class TestInABrowser:
    pytestmark = NEEDS_CHROMIUM

    @pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
    @pytest.mark.parametrize("width", [400, 1400])
    def test_it_is_drawn_and_quiet(self, run, browser, width, dark):
        """Each chart has its marks, nothing is said on the console, nothing is fetched, nothing runs over the edge."""
        browser.show(width, dark=dark)
        browser.open(run.page)
        assert browser.console == []
        assert browser.requests == [run.page.resolve().as_uri()]
        assert browser.evaluate("[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.chart)") == CHARTS
        marks = "[...document.querySelectorAll('[data-chart]')].map(c => c.dataset.drawn == 'yes' ? c.querySelectorAll("
        marks += "'svg .mark-rect path, svg .mark-line path, svg .mark-symbol path').length : 0)"
        assert all(count >= 4 for count in browser.evaluate(marks))
        assert browser.evaluate("document.documentElement.scrollWidth") == width
        over = "[...document.querySelectorAll('[data-chart] svg')].filter(s => s.getBoundingClientRect().right > "
        assert browser.evaluate(f"{over}innerWidth).length") == 0
        paper = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == ("rgb(21, 24, 29)" if dark else "rgb(255, 255, 255)")
        labels = "getComputedStyle(document.querySelector('[data-chart] svg .role-axis-label text')).fill"
        assert browser.evaluate(labels) == ("rgb(163, 171, 183)" if dark else "rgb(92, 100, 112)")

    def test_no_legend_is_cut_off_on_a_phone(self, run, browser):
        """Each entry of each legend lies inside its chart."""
        browser.show(400)
        browser.open(run.page)
        outside = """[...document.querySelectorAll('[data-chart]')].flatMap(chart => {
            const edge = chart.querySelector('svg').getBoundingClientRect();
            return [...chart.querySelectorAll('.role-legend text')].filter(text => {
                const box = text.getBoundingClientRect();
                return box.left < edge.left || box.right > edge.right + 1 || box.top < edge.top;
            }).map(text => text.textContent);
        })"""
        assert browser.evaluate(outside) == []

    def test_the_verdict_and_the_warnings_come_first(self, run, browser):
        """What is read first stands first, and the reconciliation and the environment are there."""
        browser.show(1400)
        browser.open(run.page)
        headings = browser.evaluate("[...document.querySelectorAll('h1, h2')].map(h => h.textContent.trim())")
        assert headings == [
            "evening failed", "Warnings", "At a glance", "Where the time went", "How latency is distributed",
            "Over time", "Against load", "Outcomes", "Phase by phase", "Environment",
        ]  # fmt: skip
        assert browser.evaluate("document.querySelectorAll('table.reconciliation tbody tr').length") > 6 * 15

    def test_paper_has_what_a_click_would_show(self, run, browser, tmp_path):
        """Printed in the dark it is ink on white, with each phase's tables open; afterwards they are shut again."""
        browser.show(1400, dark=True)
        browser.open(run.page)
        shut = "document.querySelectorAll('#phases details:not([open])').length"
        assert browser.evaluate(shut) == 6
        browser.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert browser.evaluate(shut) == 0
        browser.evaluate("dispatchEvent(new Event('afterprint'))")
        assert browser.evaluate(shut) == 6
        browser.show(1400, medium="print")
        paper = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        browser.paper(tmp_path / "page.pdf")
        assert (tmp_path / "page.pdf").stat().st_size > 50_000

    def test_where_no_script_runs_the_pictures_stand(self, run, browser):
        """Some viewers of CI artefacts run no script: every chart is there all the same."""
        browser.show(400)
        assert browser.document_without_scripts(run.page).count("'nodeName': 'svg'") == len(CHARTS)


def test_the_same_charts_are_pictures_for_mails(run):
    """SVG with its colours in it, and PNG; those of an earlier report are gone."""
    assert {path.name for path in run.charts.iterdir()} == {f"{name}.{kind}" for name in CHARTS
                                                            for kind in ("svg", "png")}  # fmt: skip
    assert all("var(" not in path.read_text() for path in run.charts.glob("*.svg"))
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in run.charts.glob("*.png"))


def test_the_page_names_no_other_address(run):
    """The policy in it forbids to load anything, and no element wants to."""
    text = run.page.read_text()
    assert "default-src 'none'" in text
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", body)
    assert len(run.page.read_bytes()) < 3_000_000


def test_without_the_library_the_page_has_its_tables(tmp_path):
    """Where nothing can be drawn the page says so, and has all the rest."""
    folder = small_run(tmp_path / "results")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "vl_convert.py").write_text("raise ImportError('not here')\n")
    done = subprocess.run(
        [sys.executable, "-m", "aether_load.outputs.page", str(folder.path)],
        env=os.environ | {"PYTHONPATH": f"{broken}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    text = folder.page.read_text()
    assert escape(NO_DRAWING) in text
    assert "<script" not in text
    assert "Ledger" in text
    assert not folder.charts.exists()


def test_a_page_that_cannot_be_made_costs_nothing_else(tmp_path, capsys):
    """The other results stand, and a sentence says what to do."""
    folder = small_run(tmp_path)
    folder.report.write_text('{')
    assert make_page(folder) == []
    said = capsys.readouterr().err
    assert said.startswith("aether-load: report.html could not be made (")
    assert said.endswith(f"every other result is written. When that is mended: aether-load report {folder.path}\n")
    assert said.count("\n") == 1
