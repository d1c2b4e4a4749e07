"""A million requests: the page stays small, and is there in seconds."""

import time

import pytest

from big_run import make_big_run
from processes import run_command


@pytest.mark.slow
def test_a_million_requests_make_a_page_under_3_mb_in_under_20_s(tmp_path):
    """From the folder to every result, the page among them, in a process as a user starts it."""
    pytest.importorskip("vl_convert", reason="vl-convert-python draws the charts")
    folder = make_big_run(tmp_path, 1_000_000)
    began = time.monotonic()
    done = run_command("report", str(folder.path), cwd=tmp_path)
    took_s = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.page.stat().st_size < 3_000_000
    assert folder.report.stat().st_size < 3_000_000
    assert took_s < 20


def test_many_phases_make_no_bigger_page(tmp_path):
    """A page has a bounded number of curves and tables, and says what it left out."""
    from aether_load.analysis.chart_time import MOST_POINTS
    from aether_load.analysis.charts import report_charts
    from aether_load.analysis.page import page_html
    from aether_load.analysis.report import build_report
    from rich_run import make_rich_run

    report = build_report(make_rich_run(tmp_path))
    many = tuple(report.phases) * 60
    import msgspec

    report = msgspec.structs.replace(report, phases=many)
    charts = report_charts(report)
    assert sum(chart.section == "latency" for chart in charts) == 12
    (throughput,) = [chart for chart in charts if chart.name == "time-throughput"]
    values = max((layer["data"]["values"] for layer in throughput.spec["layer"]), key=len)
    assert len(values) <= 3 * MOST_POINTS
    page = page_html(report, charts, {}, "")
    assert "320 more phases are in report.json." in page
    assert len(page) < 2_000_000
