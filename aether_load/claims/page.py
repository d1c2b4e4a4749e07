"""Make claims.html in a process of its own from the claims.json that is written."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

from aether_load.claims.charts import claims_charts
from aether_load.claims.report import ClaimsReport
from aether_load.claims.text import HEADER, cells, run_lines, summary, tables, what
from aether_load.claims.verdict import SIMULATED
from aether_load.outputs.charts.chart import DARK, LIGHT, Chart
from aether_load.outputs.page import drawn_in_child, in_script, static_svg
from aether_load.rundata.folder import write_whole
from aether_load.text import with_safe_texts, xml_text

PAGE, DATA = "claims.html", "claims.json"
_NO_DRAWING = (
    "There are no charts in this page: what draws them is not installed here. When it is "
    "(pip install 'aether-load[charts]'): aether-load claims --report FOLDER."
)


def make_claims_page(folder: Path) -> str | None:
    """Make the page of a folder of claims in a child process; return why it could not be made, or None."""
    return drawn_in_child([sys.executable, "-m", "aether_load.claims.page", str(folder)])


def claims_html(report: ClaimsReport, charts: Sequence[Chart], pictures: Mapping[str, str], script: str | None) -> str:
    """Return the page: `pictures` are the charts as SVG by name, `script` is what draws them again in a browser."""
    loader = ChoiceLoader([PackageLoader("aether_load.claims"), PackageLoader("aether_load.outputs")])
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
        pictures=pictures,
        script=script,
        specifications=in_script({chart.name: chart.spec for chart in charts} if script is not None else {}),
        light=LIGHT,
        dark=DARK,
        no_drawing=_NO_DRAWING,
    )


def main() -> int:
    """Make the page of the folder that the argument names."""
    folder = Path(sys.argv[1])
    report = with_safe_texts(msgspec.json.decode((folder / DATA).read_bytes(), type=ClaimsReport), xml_text)
    charts = claims_charts(report)
    try:
        import vl_convert  # noqa: PLC0415 -- an engine of eighty megabytes
    except ImportError:
        write_whole(folder / PAGE, claims_html(report, charts, {}, None).encode())
        return 0
    pictures = {chart.name: static_svg(chart) for chart in charts}
    script = vl_convert.javascript_bundle("window.draw = vegaEmbed;").replace("</script", "<\\/script")
    write_whole(folder / PAGE, claims_html(report, charts, pictures, script).encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
