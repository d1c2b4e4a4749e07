"""The page of a trend: what stands in it, and what a chart shows of a run and of a change."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from aether_load.compare.trend.charts import MOST_CHARTS, trend_charts
from aether_load.compare.trend.page import trend_html
from aether_load.compare.trend.trend import Trend, build_trend
from aether_load.outputs.charts.chart import Chart
from trend_results import MACHINE, commit, night, write_nights

NOISE = 1 + 0.02 * np.random.default_rng(5).standard_normal(40)
METRIC = ("response_latency_p95_ms",)


@pytest.fixture(scope="module")
def trend(tmp_path_factory: pytest.TempPathFactory) -> Trend:
    """Forty nights with a step at the 30th, one of them on another machine, one of them cut off, one with a report."""
    folder = tmp_path_factory.mktemp("nights")
    rows = [night(place, float(80 * NOISE[place] * (1.2 if place >= 30 else 1))) for place in range(40)]
    rows[7] |= {"machine": "M2, 12 cores, 64 GiB"}
    rows[9] |= {"run_exit_code": 130, "labels": "build=<b>"}
    report = folder / "runs" / "run-0039" / "report.html"
    report.parent.mkdir(parents=True)
    report.write_text("<p>report</p>")
    return build_trend(write_nights(folder, rows), METRIC)


def values(chart: Chart, kind: str) -> list[dict[str, Any]]:
    """The data of the chart's layers with that mark."""
    return [
        value for layer in chart.spec["layer"] if layer["mark"]["type"] == kind for value in layer["data"]["values"]
    ]


def test_a_point_is_a_run_with_commit_date_and_report(trend: Trend) -> None:
    (chart,) = trend_charts(trend)
    points = {point["run"]: point for point in values(chart, "point")}
    assert len(points) == 40
    last = points["run-0039"]
    assert (last["commit"], last["time"], last["report"]) == (
        commit(39), "2026-04-12T02:00:00+00:00", "runs/run-0039/report.html",
    )  # fmt: skip
    assert last["low"] < last["value"] < last["high"]
    assert points["run-0038"]["report"] is None
    assert (points["run-0007"]["machine"], points["run-0006"]["machine"]) == ("M2, 12 cores, 64 GiB", MACHINE)
    assert [run for run, point in points.items() if not point["used"]] == ["run-0009"]


def test_a_change_is_marked_with_its_size_and_its_commits(trend: Trend) -> None:
    (chart,) = trend_charts(trend)
    (mark,) = values(chart, "text")
    assert (mark["kind"], mark["before"], mark["after"]) == ("loss", commit(29), commit(30))
    assert re.fullmatch(r"\+(19|20)\.\d %", mark["size"])
    levels = [level for layer in chart.spec["layer"] for level in layer["data"]["values"] if "until" in level]
    assert [round(level["value"] / 80, 1) for level in levels] == [1.0, 1.2]
    assert (levels[0]["time"], levels[1]["time"]) == ("2026-03-04T02:00:00+00:00", "2026-04-03T02:00:00+00:00")
    assert chart.caption == "not searched on M2, 12 cores, 64 GiB: 1 runs of 10 needed. Hollow points are not searched"


def test_the_page_loads_nothing_and_escapes_every_text(trend: Trend) -> None:
    page = trend_html(trend)
    assert "build=&lt;b&gt;" in page
    assert "build=<b>" not in page
    assert '<a href="runs/run-0039/report.html">run-0039</a>' in page
    assert page.count('<div class="chart" data-chart="trend-') == 1
    assert re.findall(r"<(?:script|link)[^>]*(?:src|href)=\"(?!data:)", page) == []


def test_a_page_has_a_bounded_number_of_charts_the_changed_ones_first(tmp_path: Path) -> None:
    rows = []
    for place in range(30):
        for dataset in range(MOST_CHARTS + 5):
            name = f"set-{dataset:02d}"
            size = 2 if dataset == MOST_CHARTS + 4 and place >= 20 else 1
            rows.append(
                night(place, 80 * NOISE[place] * size, dataset=name, branch=f"nightly/closed/{name}/runtime-v2")
            )
    trend = build_trend(write_nights(tmp_path, rows), METRIC)
    charts = trend_charts(trend)
    assert len(charts) == MOST_CHARTS
    assert charts[0].section == f"nightly/closed/set-{MOST_CHARTS + 4}/runtime-v2"
