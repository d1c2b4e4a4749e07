"""Write a report as one HTML page: its answer, its tables, the slowest requests, and its charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from aether_load.outputs import formatting as cells
from aether_load.outputs.answer import findings, threshold_lines, why
from aether_load.outputs.charts.chart import DARK, LIGHT, Chart
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.details import by_code
from aether_load.outputs.page import tables
from aether_load.outputs.page.waterfall import LEGEND, unread, waterfall
from aether_load.rundata.folder import RunFolder, write_whole
from aether_load.scenario.load import from_plain
from aether_load.schedule.plan_text import plan_text
from aether_load.text import with_safe_texts, xml_text

if TYPE_CHECKING:
    from aether_load.analysis.report import Report

MOST_PHASES = 40
"""Phases that the page has tables of; every one is in report.json."""
_MOST_PLAN_LINES = 12
_MOST_REASONS = 4
_PACKAGE = "aether_load.outputs.page"


def write_page(folder: RunFolder, report: Report, pictures: Mapping[str, str] | None = None) -> None:
    """Write a run's report.html; raises OSError.

    `pictures` are the charts as SVG by name, for readers in whose program no script runs.
    """
    report = with_safe_texts(report, xml_text)
    write_whole(folder.page, page_html(report, report_charts(report), pictures or {}, vega()).encode())


def page_html(report: Report, charts: Sequence[Chart], pictures: Mapping[str, str], script: str) -> str:
    """Return the page; every text in it is escaped, and it may fetch nothing.

    The charts are drawn by `script` when the page is opened; where no script runs, `pictures` stand in their places.
    """
    return charts_page(
        "report.html",
        charts,
        script,
        report=report,
        answer=why(report),
        thresholds=threshold_lines(report),
        findings=[found for found in findings(report) if found != why(report)],
        plan=_plan(report),
        most_reasons=_MOST_REASONS,
        pictures=pictures,
        warnings=by_code(report.warnings),
        phases=report.phases[:MOST_PHASES],
        left_out=len(report.phases) - MOST_PHASES,
        tables=tables,
        datasets=tables.filtered_datasets(report),
        slowest=waterfall(report),
        unread=unread(report),
        legend=LEGEND,
        number=cells.number,
    )


def charts_page(template: str, charts: Sequence[Chart], script: str, package: str = _PACKAGE, **values: Any) -> str:
    """Return a page of charts from a template of a package; every text is escaped, and it may fetch nothing."""
    specifications = in_script({chart.name: chart.spec for chart in charts})
    common = {"charts": charts, "script": script, "datasets": (), "light": LIGHT, "dark": DARK}
    return _environment(package).get_template(template).render(specifications=specifications, **(common | values))


@lru_cache(maxsize=4)
def _environment(package: str) -> Environment:
    # The style of all pages, and the script that puts charts into their places, are those of a run's page.
    loader = ChoiceLoader([PackageLoader(package), PackageLoader(_PACKAGE)])
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def vega() -> str:
    """Return the script that draws the charts in a browser."""
    return (Path(__file__).parent / "vega" / "vega.min.js").read_text(encoding="utf-8")


def _plan(report: Report) -> list[str]:
    """Return what was to be sent, a line a phase, as the scenario has it after all options."""
    _, *lines = plan_text(from_plain(report.scenario)).splitlines()
    lines = [line.strip() for line in lines if not line.startswith("  threshold ")]
    more = len(lines) - _MOST_PLAN_LINES
    return lines if more <= 0 else [*lines[:_MOST_PLAN_LINES], f"and {more} more phases"]


def in_script(value: Any) -> str:
    """Return a value as JSON that can stand inside a script element, whatever texts are in it."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
