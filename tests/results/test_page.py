"""report.html in a browser: drawn, quiet, self-contained, and readable on a phone, in the dark, on paper."""

from aether_load.analysis.report import Report
from aether_load.rundata.folder import RunFolder
from browser import Page
from collections.abc import Iterator
from pathlib import Path

import os
import re
import subprocess
import sys

import pytest

from aether_load.analysis.report import build_report
from aether_load.outputs.page.making import make_page
from aether_load.outputs.results import write_results
from browser import chromium, find_chromium
from folders import answered, make_run
from processes import REPOSITORY
from rich_run import SCENARIO, make_rich_run

NEEDS_CHROMIUM = [
    pytest.mark.browser,
    pytest.mark.skipif(find_chromium() is None, reason="there is no Chromium on this machine"),
]
CHARTS = [
    "load-latency-load", "load-throughput-load", "decomposition", "latency-load-2", "latency-load-4", "latency-load-8",
    "latency-load-16", "latency-load-32", "latency-open", "time-latency", "time-throughput", "outcomes",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run with every kind of chart, with thresholds, its page made as the main job makes it."""
    conditions = ("load:request_throughput_rps>50", "open:steadiness.cut_s<5", "p(50)<500")
    scenario = SCENARIO | {"thresholds": [{"condition": text} for text in conditions]}
    folder = make_rich_run(tmp_path_factory.mktemp("page"), scenario=scenario)
    report = build_report(folder)
    write_results(report, folder)
    assert make_page(folder, report) == [folder.page]
    return folder


@pytest.fixture(scope="module")
def drawn_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same run with its charts drawn as files too."""
    pytest.importorskip("vl_convert", reason="vl-convert-python draws charts as files")
    folder = make_rich_run(tmp_path_factory.mktemp("drawn"))
    report = build_report(folder)
    write_results(report, folder)
    assert make_page(folder, report, charts=True) == [folder.page]
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with chromium(tmp_path_factory.mktemp("profile")) as page:
        yield page


def small_run(tmp_path: Path) -> tuple[RunFolder, Report]:
    folder = make_run(tmp_path, [answered(100 * place, 62) for place in range(10)])
    report = build_report(folder)
    write_results(report, folder)
    return folder, report


class TestInABrowser:
    pytestmark = NEEDS_CHROMIUM

    @pytest.mark.parametrize(
        ("width", "dark"),
        [
            pytest.param(390, False, id="390-light"),
            pytest.param(1280, True, id="1280-dark"),
            pytest.param(390, True, id="390-dark", marks=pytest.mark.slow),
            pytest.param(1280, False, id="1280-light", marks=pytest.mark.slow),
        ],
    )
    def test_it_is_drawn_and_quiet(self, run: RunFolder, browser: Page, width: int, dark: bool) -> None:
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

    @pytest.mark.slow
    def test_no_legend_is_cut_off_on_a_phone(self, run: RunFolder, browser: Page) -> None:
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

    @pytest.mark.parametrize("width", [390, 1280])
    @pytest.mark.slow
    def test_no_table_is_cut(self, run: RunFolder, browser: Page, width: int) -> None:
        """With everything unfolded each cell lies within the page, and no table has to be scrolled."""
        browser.show(width)
        browser.open(run.page)
        browser.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
        scrolled = "[...document.querySelectorAll('.wide')].filter(box => box.scrollWidth > box.clientWidth + 1).length"
        assert browser.evaluate(scrolled) == 0
        beyond = "[...document.querySelectorAll('th, td, .gantt span')].filter(cell => cell.offsetParent && "
        beyond += "cell.getBoundingClientRect().right > innerWidth).map(cell => cell.textContent)"
        assert browser.evaluate(beyond) == []

    @pytest.mark.slow
    def test_the_answer_and_the_thresholds_come_first(self, run: RunFolder, browser: Page) -> None:
        """The headline decides; warnings are folded, and no section is empty."""
        browser.show(1280)
        browser.open(run.page)
        headings = browser.evaluate("[...document.querySelectorAll('h1, h2')].map(h => h.textContent.trim())")
        assert headings == [
            "evening failed", "At a glance", "Against load", "Where the time went", "The slowest requests",
            "How latency is distributed", "Over time", "Outcomes", "Phase by phase",
        ]  # fmt: skip
        header = browser.evaluate("document.querySelector('header').textContent")
        assert "load:request_throughput_rps>50" in header
        assert "broken" in header
        assert browser.evaluate("document.querySelector('#warnings').open") is False

    @pytest.mark.slow
    def test_one_click_filters_a_dataset(self, run: RunFolder, browser: Page) -> None:
        """Rows of the overview and the slowest requests are then that dataset's, at most ten of them."""
        browser.show(1280)
        browser.open(run.page)
        shown = "[...document.querySelectorAll('{}')].filter(row => row.offsetParent)"
        slow = shown.format("#slowest li.of")
        rows = shown.format("#overview tbody tr") + ".length"
        assert browser.evaluate(f"{slow}.length") == 10
        assert browser.evaluate(rows) == 6
        browser.evaluate("document.getElementById('only-1').click()")
        assert browser.evaluate(f"{slow}.length") == 10
        prompts = f"[...new Set({slow}.map(row => row.querySelector('.what').textContent.trim().split('/')[0]))]"
        assert browser.evaluate(prompts) == ["arc_easy"]
        assert browser.evaluate(rows) == 6
        browser.evaluate("document.getElementById('only-all').click()")
        assert browser.evaluate(f"new Set({slow}.map(row => row.className)).size") == 2

    @pytest.mark.slow
    def test_a_slow_request_opens_into_its_levels_and_nodes(self, run: RunFolder, browser: Page) -> None:
        """The bars of a request end where it ends, and each node stands under its level."""
        browser.show(1280)
        browser.open(run.page)
        found = "[...document.querySelectorAll('#slowest ol > li')].find(li => li.querySelector('.gantt').children.length > 6)"
        browser.evaluate(f"{found}.querySelector('summary').click()")
        names = browser.evaluate(f"[...{found}.querySelectorAll('.gantt .name')].map(name => name.textContent)")
        assert [name.split(":")[0] for name in names] == ["outside the server", "scheduler", "level 0", "level 1"]
        ends = f"[...{found}.querySelectorAll('.gantt i')].map(bar => parseFloat(bar.style.left) + parseFloat(bar.style.width))"
        assert max(browser.evaluate(ends)) == pytest.approx(100, abs=0.1)
        assert browser.evaluate(f"{found}.querySelector('dl').offsetParent !== null")

    @pytest.mark.slow
    def test_paper_has_what_a_click_would_show(self, run: RunFolder, browser: Page, tmp_path: Path) -> None:
        """Printed in the dark it is ink on white, with each phase's tables open; afterwards they are shut again."""
        browser.show(1400, dark=True)
        browser.open(run.page)
        shut = "document.querySelectorAll('#phases details:not([open]), #warnings:not([open])').length"
        assert browser.evaluate(shut) == 7
        browser.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert browser.evaluate(shut) == 0
        browser.evaluate("dispatchEvent(new Event('afterprint'))")
        assert browser.evaluate(shut) == 7
        browser.show(1400, medium="print")
        paper = browser.evaluate("getComputedStyle(document.documentElement).backgroundColor")
        assert paper == "rgb(255, 255, 255)"
        browser.paper(tmp_path / "page.pdf")
        assert (tmp_path / "page.pdf").stat().st_size > 50_000

    @pytest.mark.slow
    def test_where_no_script_runs_the_pictures_stand(self, drawn_run: RunFolder, browser: Page) -> None:
        """Some viewers of CI artefacts run no script: with --charts every chart is there all the same."""
        browser.show(400)
        assert browser.document_without_scripts(drawn_run.page).count("'nodeName': 'svg'") == len(CHARTS)


@pytest.mark.slow
def test_the_same_charts_are_pictures_for_mails(drawn_run: RunFolder) -> None:
    """SVG with its colours in it, and PNG; those of an earlier report are gone."""
    assert {path.name for path in drawn_run.charts.iterdir()} == {f"{name}.{kind}" for name in CHARTS
                                                            for kind in ("svg", "png")}  # fmt: skip
    assert all("var(" not in path.read_text() for path in drawn_run.charts.glob("*.svg"))
    assert all(path.read_bytes()[:4] == b"\x89PNG" for path in drawn_run.charts.glob("*.png"))


def test_the_page_names_no_other_address(run: RunFolder) -> None:
    """The policy in it forbids to load anything, and no element wants to."""
    text = run.page.read_text()
    assert "default-src 'none'" in text
    body = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", body)
    assert len(run.page.read_bytes()) < 3_000_000


def test_without_the_engine_the_page_has_its_charts(tmp_path: Path) -> None:
    """Only files of charts need the library that draws them; without it a sentence says so, and the page stands."""
    folder, report = small_run(tmp_path / "results")
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "vl_convert.py").write_text("raise ImportError('not here')\n")
    make_page(folder, report)
    before = folder.page.read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "aether_load.outputs.page", str(folder.path)],
        env=os.environ | {"PYTHONPATH": f"{broken}{os.pathsep}{REPOSITORY}"},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, b"what draws charts as files is not installed: pip install 'aether-load[charts]'\n")
    assert folder.page.read_bytes() == before
    assert b'data-chart="time-latency"' in before
    assert not folder.charts.exists()


def test_what_has_no_data_has_no_section(tmp_path: Path) -> None:
    """A run in which everything succeeded, of one dataset and one node, has neither filter nor outcomes nor nodes."""
    folder, report = small_run(tmp_path)
    make_page(folder, report)
    text = re.sub(r"<script.*?</script>", "", folder.page.read_text(), flags=re.DOTALL)
    for left_out in ("<h2>Outcomes", "<h3>Nodes", "<fieldset", "<h2>Against load", 'id="thresholds"'):
        assert left_out not in text
    assert text.count('class="track"') >= 10


def test_a_page_that_cannot_be_made_costs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The other results stand, and a sentence says what to do."""
    folder, report = small_run(tmp_path)
    folder.page.mkdir()
    assert make_page(folder, report) == []
    said = capsys.readouterr().err
    assert said.startswith("aether-load: report.html could not be made in full (")
    assert said.endswith(f"every other result is written. When that is mended: aether-load report {folder.path}\n")
    assert said.count("\n") == 1
