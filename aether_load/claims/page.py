"""Write claims.html: every claim with its verdict, the tables and the charts, on one page that loads nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from aether_load.claims.charts import claims_charts
from aether_load.claims.report import ClaimsReport
from aether_load.claims.text import HEADER, cells, run_lines, summary, tables, what
from aether_load.claims.verdict import SIMULATED
from aether_load.outputs.charts.chart import DARK, LIGHT, Chart
from aether_load.outputs.page.html import in_script, vega
from aether_load.rundata.folder import write_whole
from aether_load.text import with_safe_texts, xml_text


def write_claims_page(path: Path, report: ClaimsReport) -> None:
    """Write the page; raises OSError."""
    report = with_safe_texts(report, xml_text)
    write_whole(path, claims_html(report, claims_charts(report), vega()).encode())


def claims_html(report: ClaimsReport, charts: Sequence[Chart], script: str) -> str:
    """Return the page, in which `script` draws the charts; every text is escaped, and it may fetch nothing."""
    # The page's style and the script that puts the charts into their places are those of a run's page.
    loader = ChoiceLoader([PackageLoader("aether_load.claims"), PackageLoader("aether_load.outputs.page")])
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("claims.html").render(
        report=report,
        summary=summary(report),
        what=what(report),
        header=HEADER,
        cells=cells,
        tables=list(tables(report)),
        run_lines=list(run_lines(report)),
        simulated=SIMULATED,
        charts=charts,
        script=script,
        specifications=in_script({chart.name: chart.spec for chart in charts}),
        datasets=(),
        light=LIGHT,
        dark=DARK,
    )
