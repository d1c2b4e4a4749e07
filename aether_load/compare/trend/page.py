"""Write a trend as one HTML page: its verdict, its change points, its charts, its runs."""

from __future__ import annotations

from aether_load.compare.trend.charts import MOST_CHARTS, trend_charts
from aether_load.compare.trend.text import HEADER, change_rows, facts, verdict
from aether_load.compare.trend.trend import Trend
from aether_load.outputs.charts.chart import Chart
from aether_load.outputs.page.html import charts_page, vega
from aether_load.text import with_safe_texts, xml_text


def trend_html(trend: Trend) -> str:
    """Return the page; every text in it is escaped, and it may fetch nothing."""
    trend = with_safe_texts(trend, xml_text)
    charts = trend_charts(trend)
    sections: dict[str, list[Chart]] = {}
    for chart in charts:
        sections.setdefault(chart.section, []).append(chart)
    shown = {(one.history.series, one.history.metric) for one in trend.histories if one.history.values}
    return charts_page(
        "trend.html",
        charts,
        vega(),
        trend=trend,
        facts=list(facts(trend)),
        verdict=verdict(trend),
        header=HEADER,
        rows=change_rows(trend),
        sections=sections,
        left_out=len(shown) - len(charts),
        most_charts=MOST_CHARTS,
    )
