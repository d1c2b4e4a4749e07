"""Draw a run's charts into charts/ and into its page: `python -m aether_load.outputs.page RUN_FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from aether_load.analysis.report import Report
from aether_load.outputs.charts.drawing import static_svg, write_pictures
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.page.html import write_page
from aether_load.rundata.folder import RunFolder
from aether_load.text import with_safe_texts, xml_text


def main() -> int:
    """Draw the charts of the run whose folder the argument names."""
    folder = RunFolder(Path(sys.argv[1]))
    report = msgspec.json.decode(folder.report.read_bytes(), type=Report)
    # A character that XML cannot hold makes the engine end this process by force.
    charts = report_charts(with_safe_texts(report, xml_text))
    try:
        pictures = {chart.name: static_svg(chart) for chart in charts}
    except ImportError:
        sys.stderr.write("what draws charts as files is not installed: pip install 'aether-load[charts]'\n")
        return 1
    write_page(folder, report, pictures)
    write_pictures(folder.charts, pictures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
