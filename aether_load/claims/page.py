"""Write claims.html: every claim with its verdict, the tables and the charts, on one page that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aether_load.claims.charts import claims_charts
from aether_load.claims.report import ClaimsReport
from aether_load.claims.text import HEADER, cells, run_lines, summary, tables, what
from aether_load.claims.verdict import SIMULATED
from aether_load.outputs.charts.chart import Chart
from aether_load.outputs.page.html import charts_page, vega
from aether_load.rundata.folder import write_whole
from aether_load.text import with_safe_texts, xml_text


def write_claims_page(path: Path, report: ClaimsReport) -> None:
    """Write the page; raises OSError."""
    report = with_safe_texts(report, xml_text)
    write_whole(path, claims_html(report, claims_charts(report), vega()).encode())


def claims_html(report: ClaimsReport, charts: Sequence[Chart], script: str) -> str:
    """Return the page, in which `script` draws the charts; every text is escaped, and it may fetch nothing."""
    return charts_page(
        "claims.html",
        charts,
        script,
        "aether_load.claims",
        report=report,
        summary=summary(report),
        what=what(report),
        header=HEADER,
        cells=cells,
        tables=list(tables(report)),
        run_lines=list(run_lines(report)),
        simulated=SIMULATED,
    )
