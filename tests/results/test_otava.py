"""results/summary.csv as Apache Otava reads it: as it is, a series by its branch."""

from pathlib import Path

import csv
import re
from datetime import UTC, datetime

import msgspec
import pytest

from aether_load.outputs.summary import append_summary
from aether_load.analysis.report import build_report
from processes import REPOSITORY
from rich_run import make_rich_run

DOCS = (REPOSITORY / "docs" / "results.md").read_text(encoding="utf-8")
METRICS = re.findall(r"^ +column: (\w+)$", DOCS, re.MULTILINE)
ATTRIBUTES = re.findall(r"^ +attributes: \[(.*)\]$", DOCS, re.MULTILINE)[0].split(", ")
BRANCH = "evening/load-8/all/runtime-v2"


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve nights, the last four a third slower."""
    results = tmp_path_factory.mktemp("nights")
    report = None
    for night in range(12):
        run_id = f"202603{night + 4:02d}T050607Z-evening-{night:04d}"
        if night in {0, 8}:
            report = build_report(make_rich_run(results, run_id=run_id, slower=1.0 if night < 8 else 1.3))
        assert report is not None
        run = msgspec.structs.replace(report.run, id=run_id, began_utc=f"2026-03-{night + 4:02d}T05:06:07.123456Z")
        append_summary(results / "summary.csv", msgspec.structs.replace(report, run=run))
    return results / "summary.csv"


def test_it_follows_otavas_rules(summary: Path) -> None:
    """A time that parses, complete rows, numbers in each metric, series told apart by `branch`, ascending in time.

    The rules are those of otava.importer.CsvImporter in 0.8: it takes float() of each metric and fails on an empty
    field, filters by `--branch`, and refuses a file of several branches without it.
    """
    with summary.open(newline="") as file:
        reader = csv.reader(file, delimiter=",", quotechar='"')
        headers = next(reader)
        rows = list(reader)
    assert {"time", "branch", *ATTRIBUTES, *METRICS} <= set(headers)
    assert all(len(row) >= len(headers) for row in rows)
    series = [dict(zip(headers, row, strict=True)) for row in rows if row[headers.index("branch")] == BRANCH]
    assert len(series) == 12
    times = [datetime.fromisoformat(row["time"]) for row in series]
    assert times == sorted(times)
    assert times[0] == datetime(2026, 3, 4, 5, 6, 7, 123456, UTC)
    assert len(METRICS) >= 4
    assert all(float(row[metric]) > 0 for row in series for metric in METRICS)


def test_otava_itself_reads_it_and_finds_the_change(summary: Path) -> None:
    """With the configuration in docs/results.md, on the file as it is."""
    importer = pytest.importorskip("otava.importer", reason="apache-otava is not installed here")
    from otava.data_selector import DataSelector
    from otava.series import AnalysisOptions
    from otava.test_config import CsvMetric, CsvTestConfig

    metrics = [CsvMetric(name, 1 if name.endswith("rps") else -1, 1.0, name) for name in METRICS]
    config = CsvTestConfig("aether", str(summary), time_column="time", metrics=metrics, attributes=ATTRIBUTES)
    selector = DataSelector()
    selector.branch = BRANCH
    selector.since_time = datetime(2026, 1, 1, tzinfo=UTC)
    selector.until_time = datetime(2027, 1, 1, tzinfo=UTC)
    series = importer.CsvImporter().fetch_data(config, selector)
    assert len(series.time) == 12
    changes = series.analyze(AnalysisOptions()).change_points
    assert [point.index for point in changes["response_latency_p50_ms"]] == [8]
