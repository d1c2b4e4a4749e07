"""Each format whole, as it leaves for a person, a chart or a script."""

from aether_load.analysis.report import Report
from pathlib import Path

from schemas import assert_keeps_to
import csv
import io
import json
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from aether_load.outputs.benchmark_action import benchmark_entries, write_benchmark_files
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.compare.comparison import compare
from aether_load.compare.text import WRITERS
from aether_load.outputs.formats import FORMATS, formatted
from aether_load.outputs.page.html import page_html
from aether_load.outputs.results import write_results
from aether_load.analysis.report import build_report
from aether_load.outputs.summary import SUMMARY_COLUMNS
from aether_load.protocol import Outcome
from folders import answered, failed, make_run
from golden import assert_golden
from processes import REPOSITORY
from rich_run import SCENARIO, make_rich_run

SMALL = [
    *(answered(90 * number, 62 + number, state=0, correct=number % 2) for number in range(9)),
    failed(850, 30, Outcome.HTTP_ERROR),
]
SMALL_SCENARIO = {
    "name": "made",
    "goodput_slo": "response_latency_ms<=66",
    "thresholds": [{"condition": "p(50)<500"}, {"condition": "p(99)<69", "abort_on_fail": True, "delay_abort_eval": 0.5}],
    "workload": {"price_usd_per_1000_tokens": 2.0},
    "phases": [{"name": "closed", "users": 1, "duration": 1.0}],
}


THRESHOLDS = (
    "load:request_throughput_rps>50", "open:arc_easy:response_latency_ms:p(75)<200", "server.node_time_p95_ms<60",
    "open:steadiness.cut_s<5",
)  # fmt: skip
"""Some of which hold, some of which are broken, some of which nothing decides."""


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Report:
    scenario = SCENARIO | {"thresholds": [{"condition": condition} for condition in THRESHOLDS]}
    return build_report(make_rich_run(tmp_path_factory.mktemp("rich"), scenario=scenario))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Report:
    return build_report(make_run(tmp_path_factory.mktemp("small"), SMALL, scenario=SMALL_SCENARIO))


def test_the_nightly_json(small: Report) -> None:
    """The whole nightly file, and it keeps to the schema that is published."""
    text = formatted(small, "json")
    assert_keeps_to("nightly.schema.json", text)
    assert_golden("nightly.json", text)


@pytest.mark.parametrize("name", ["text", "csv", "markdown", "junit"])
def test_the_other_forms_of_a_report(rich: Report, name: str) -> None:
    """A run with a sweep, an open load, failures and two datasets, whole in each form."""
    assert_golden({"text": "report.txt", "csv": "summary.csv", "markdown": "report.md", "junit": "junit.xml"}[name],
                  formatted(rich, name))  # fmt: skip


def test_every_form_is_held_by_a_golden_file() -> None:
    """A new form is not forgotten here."""
    assert set(FORMATS) == {"json", "text", "csv", "markdown", "junit"}


def test_the_files_for_github_action_benchmark(rich: Report, tmp_path: Path) -> None:
    """Both files whole; each entry has the keys that the action reads, and a number."""
    for path in write_benchmark_files(rich, tmp_path):
        assert_golden(path.name, path.read_text())
        entries = json.loads(path.read_text())
        assert len(entries) == len({entry["name"] for entry in entries}) > 10
        assert all(isinstance(entry["value"], float) for entry in entries)
        assert all(set(entry) <= {"name", "unit", "value", "range", "extra"} for entry in entries)


def test_what_was_not_measured_is_in_no_benchmark_file(tmp_path: Path) -> None:
    """No null, no percentile that is only bounded, no cost without a price: the action would take them for 0."""
    report = build_report(make_run(tmp_path, [answered(100 * place, 62) for place in range(10)]))
    names = [entry.name for way in ("lower", "higher") for entry in benchmark_entries(report, way)]
    short = {name.removeprefix("made/closed/all (v2): ") for name in names if "/all " in name}
    assert short == {
        "response latency p50", "error rate", "client overhead mean", "throughput of good answers", "tokens a second",
        "cache hit rate",
    }  # fmt: skip
    empty = build_report(make_run(tmp_path, [], run_id="20260304T050607Z-made-0002"))
    assert benchmark_entries(empty, "lower") == []
    simulated = make_run(tmp_path, SMALL, run_id="20260304T050607Z-made-0003", kind="simulated")
    assert all("(simulated, v2)" in entry.name for entry in benchmark_entries(build_report(simulated), "higher"))


def test_the_page_without_its_script(small: Report) -> None:
    """The page's text and its charts' specifications, whole; the script is the library's business."""
    charts = report_charts(small)
    assert_golden("report.html", page_html(small, charts, {chart.name: "<svg/>" for chart in charts}, "/* script */"))


@pytest.mark.parametrize(("name", "file"), [("text", "compare.txt"), ("markdown", "compare.md"),
                                            ("json", "compare.json")])  # fmt: skip
def test_a_comparison(rich: Report, tmp_path: Path, name: str, file: str) -> None:
    """Two runs side by side, whole in each form; the second is slower, and its rows say so."""
    other = build_report(make_rich_run(tmp_path, run_id="20260305T050607Z-evening-0002", slower=1.3, seed=8))
    out = io.StringIO()
    WRITERS[name](compare([rich, other]), out)
    assert_golden(file, out.getvalue())


def test_the_summary_has_a_row_a_phase_and_dataset_and_pandas_reads_it(tmp_path: Path) -> None:
    """Appended to results/summary.csv: phases times (all and each dataset), empty where nothing was measured."""
    folder = make_rich_run(tmp_path)
    write_results(build_report(folder), folder)
    table = pd.read_csv(tmp_path / "summary.csv", parse_dates=["time"])
    assert tuple(table.columns) == SUMMARY_COLUMNS
    assert len(table) == 6 * 3
    assert table.groupby("phase").dataset.apply(set).map(lambda names: names == {"all", "piqa", "arc_easy"}).all()
    assert table.branch.is_unique
    assert str(table.time.dt.tz) == "UTC"
    numbers = table.select_dtypes("number")
    assert {"response_latency_p95_ms", "goodput_rps", "tokens_per_s", "achieved_load"} <= set(numbers.columns)
    mine = table[(table.phase == "load-2") & (table.dataset == "all")].iloc[0]
    assert (mine.branch, mine.commit[:4], mine.users) == ("evening/load-2/all/runtime-v2", "0123", 2)


def test_texts_in_the_summary_may_hold_anything(tmp_path: Path) -> None:
    """A dataset's name with commas and quotes is one field, and a second run keeps it whole."""
    name = 'a,"b" c'
    for number in (1, 2):
        folder = make_rich_run(tmp_path, run_id=f"20260304T050607Z-evening-000{number}", dataset=name)
        write_results(build_report(folder), folder)
    with (tmp_path / "summary.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 6 * 3
    assert sum(row["dataset"] == name for row in rows) == 2 * 6


def test_junit_says_failure_or_error(tmp_path: Path) -> None:
    """What failed is a failure of its phase; what was cut off is an error of the run, which has decided nothing."""
    bad = build_report(make_run(tmp_path, [failed(1, 1, Outcome.HTTP_ERROR)]))
    root = ET.fromstring(formatted(bad, "junit"))
    assert [(case.get("name"), [mark.tag for mark in case]) for case in root.iter("testcase")] == [
        ("run", []),
        ("phase closed", ["failure"]),
    ]
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("2", "1", "0")
    cut = make_run(tmp_path, SMALL[:9], ended_as="running", window_ms=(0, None), run_id="20260304T050607Z-made-0002")
    root = ET.fromstring(formatted(build_report(cut), "junit"))
    assert [(case.get("name"), [mark.tag for mark in case]) for case in root.iter("testcase")] == [
        ("run", ["error"]),
        ("phase closed", []),
    ]
    clean = make_run(tmp_path, SMALL[:9], run_id="20260304T050607Z-made-0003")
    assert ET.fromstring(formatted(build_report(clean), "junit")).get("failures") == "0"
