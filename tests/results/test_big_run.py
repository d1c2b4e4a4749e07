"""A million requests: the page stays small, and is there in seconds."""

from pathlib import Path

import resource

import msgspec
import pytest

from aether_load.outputs.charts.time_charts import MOST_POINTS
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.formats import formatted
from aether_load.outputs.page.html import page_html
from aether_load.analysis.report import build_report
from big_run import make_big_run
from processes import run_command
from rich_run import make_rich_run


@pytest.mark.slow
def test_a_million_requests_make_a_page_under_3_mb_in_under_20_s(tmp_path: Path) -> None:
    """From the folder to every result, the page among them, in a process as a user starts it."""
    pytest.importorskip("vl_convert", reason="vl-convert-python draws the charts")
    folder = make_big_run(tmp_path, 1_000_000)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run_command("report", str(folder.path), cwd=tmp_path)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # CPU time, which no neighbour of this process lengthens; benchmarks/big_report.py has the clock's.
    took_s = (after.ru_utime - before.ru_utime) + (after.ru_stime - before.ru_stime)
    assert done.returncode == 0, done.stdout + done.stderr
    assert folder.page.stat().st_size < 3_000_000
    assert folder.report.stat().st_size < 3_000_000
    assert took_s < 20


def test_many_phases_make_no_bigger_page(tmp_path: Path) -> None:
    """A page has a bounded number of curves and tables, and says what it left out."""
    report = build_report(make_rich_run(tmp_path))
    report = msgspec.structs.replace(report, phases=report.phases * 60, warnings=report.warnings * 60)
    charts = report_charts(report)
    assert sum(chart.section == "latency" for chart in charts) == 12
    (throughput,) = [chart for chart in charts if chart.name == "time-throughput"]
    values = max((layer["data"]["values"] for layer in throughput.spec["layer"]), key=len)
    assert len(values) <= 3 * MOST_POINTS
    page = page_html(report, charts, {}, "")
    assert "320 more phases are in report.json." in page
    assert len(page) < 2_000_000
    # The most that a comment on GitHub may hold.
    assert len(formatted(report, "markdown")) < 65_536
