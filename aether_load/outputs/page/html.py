"""report.html and the pictures in charts/, made in a process of their own from the report that is written.

Drawing is by Vega-Lite: `vl-convert-python` carries it, and renders the same specifications to SVG without a browser
and to the script that draws them in one. Its engine takes seconds and a hundred megabytes, which is nobody's business
in the process that has just sent a load.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined

from aether_load.analysis.latency.decomposition import parts_of
from aether_load.analysis.latency.part_names import PART_NAMES
from aether_load.environment import child_environment
from aether_load.outputs import formatting as cells
from aether_load.outputs.charts.chart import DARK, LIGHT, STATIC_WIDTH, Chart
from aether_load.outputs.charts.report_charts import report_charts
from aether_load.outputs.probes import probe_header, probe_rows
from aether_load.rundata.folder import RunFolder, write_whole
from aether_load.text import terminal_text, with_safe_texts, xml_text

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.analysis.verdict.warnings import Warning_

LIMIT_S = 120
MOST_PHASES = 40
"""Phases that the page has tables of; every one is in report.json."""
NO_DRAWING = (
    "There are no charts in this page: what draws them is not installed here. When it is "
    "(pip install 'aether-load[charts]'): aether-load report RUN."
)


def make_page(folder: RunFolder) -> list[Path]:
    """Make a run's report.html and charts/ in a child process and return where they lie.

    What prevents it costs the run neither its results nor its verdict: it is said, and the list is empty.
    """
    return PageProcess(folder).wait()


def drawn_in_child(command: Sequence[str], data: bytes = b"") -> str | None:
    """Run a program that draws, with `data` as its input; return why it could not, in half a sentence, or None."""
    return DrawingProcess(command).wait(data)


class DrawingProcess:
    """A child process that draws, since the engine's weight and its ends are its own."""

    def __init__(self, command: Sequence[str]) -> None:
        """Start it."""
        self._deadline = monotonic() + LIMIT_S
        self._process: subprocess.Popen[bytes] | None = None
        self._why = ""
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=child_environment(),
                start_new_session=True,
            )
        except OSError as error:
            self._why = terminal_text(str(error))

    @property
    def is_over(self) -> bool:
        """Tell whether it has ended, or its time is over."""
        return self._process is None or self._process.poll() is not None or monotonic() > self._deadline

    def wait(self, data: bytes = b"") -> str | None:
        """Hand it its input and wait until it has ended; return why it could not draw, or None."""
        process = self._process
        if process is None:
            return self._why
        try:
            _, said = process.communicate(data, timeout=max(0.1, self._deadline - monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return f"it took more than {LIMIT_S} s"
        if process.returncode == 0:
            return None
        if process.returncode < 0:
            return f"the engine that draws ended with signal {-process.returncode}"
        lines = said.decode(errors="replace").strip().splitlines()
        return terminal_text(lines[-1]) if lines else "no reason was given"


class PageProcess:
    """A child process that makes a run's page."""

    def __init__(self, folder: RunFolder) -> None:
        """Start it."""
        self._folder = folder
        self._process = DrawingProcess([sys.executable, "-m", "aether_load.outputs.page", str(folder.path)])

    @property
    def is_over(self) -> bool:
        """Tell whether the page is made, or is not going to be."""
        return self._process.is_over

    def wait(self) -> list[Path]:
        """Wait until the page is made; return it, or say why there is none."""
        why = self._process.wait()
        if why is None:
            return [self._folder.page]
        sys.stderr.write(
            f"aether-load: {self._folder.page.name} could not be made ({why}); every other result is written. When "
            f"that is mended: aether-load report {terminal_text(str(self._folder.path))}\n"
        )
        return []


def page_html(report: Report, charts: Sequence[Chart], pictures: Mapping[str, str], script: str | None) -> str:
    """Return the page: `pictures` are the charts as SVG by name, `script` is what draws them again in a browser.

    The pictures stand in the page itself, so that it can be read where no script runs; a script that does run puts
    the interactive ones in their place. Every text is escaped; the page may fetch nothing.
    """
    environment = Environment(
        loader=PackageLoader("aether_load.outputs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    specifications = {chart.name: chart.spec for chart in charts} if script is not None else {}
    return environment.get_template("report.html").render(
        report=report,
        charts=charts,
        pictures=pictures,
        script=script,
        specifications=_in_script(specifications),
        warnings=_by_code(report),
        phases=report.phases[:MOST_PHASES],
        left_out=len(report.phases) - MOST_PHASES,
        parts_of=lambda phase: list(parts_of(phase.decomposition)),
        part_names=PART_NAMES,
        number=cells.number,
        share=cells.share,
        bounded=cells.bounded,
        with_interval=cells.with_interval,
        share_with_interval=cells.share_with_interval,
        threshold_header=cells.THRESHOLD_HEADER,
        threshold_rows=cells.threshold_rows(report.thresholds),
        worker_header=cells.WORKER_HEADER,
        worker_rows=cells.worker_rows(report.workers),
        probe_header=probe_header,
        probe_rows=probe_rows,
        light=LIGHT,
        dark=DARK,
        no_drawing=NO_DRAWING,
    )


def _by_code(report: Report) -> dict[str, list[Warning_]]:
    """Return the warnings of each code together, in the order of the first of them."""
    found: dict[str, list[Warning_]] = {}
    for warning in report.warnings:
        found.setdefault(warning.code, []).append(warning)
    return found


def _in_script(value: Any) -> str:
    """Return a value as JSON that can stand inside a script element, whatever texts are in it."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def static_svg(chart: Chart) -> str:
    """Return a chart as SVG, in colours that CSS variables give."""
    import vl_convert  # noqa: PLC0415 -- an engine of eighty megabytes

    svg: str = vl_convert.vegalite_to_svg(chart.spec | {"width": STATIC_WIDTH})
    return svg


def in_light(svg: str) -> str:
    """Return an SVG with the light colours written into it, for where there is no page around it."""
    for name, value in LIGHT.items():
        svg = svg.replace(f"var({name})", value)
    return svg


def main() -> int:
    """Make the page and the pictures of the run whose folder the argument names."""
    folder = RunFolder(Path(sys.argv[1]))
    # A character that XML cannot hold makes the engine end this process by force.
    report = with_safe_texts(_read_report(folder), xml_text)
    charts = report_charts(report)
    try:
        import vl_convert  # noqa: PLC0415
    except ImportError:
        write_whole(folder.page, page_html(report, charts, {}, None).encode())
        return 0
    pictures = {chart.name: static_svg(chart) for chart in charts}
    script = vl_convert.javascript_bundle("window.draw = vegaEmbed;")
    write_whole(folder.page, page_html(report, charts, pictures, script.replace("</script", "<\\/script")).encode())
    _write_pictures(folder, pictures)
    return 0


def _read_report(folder: RunFolder) -> Report:
    from aether_load.analysis.report import Report  # noqa: PLC0415 -- it brings NumPy with it

    return msgspec.json.decode(folder.report.read_bytes(), type=Report)


def _write_pictures(folder: RunFolder, pictures: Mapping[str, str]) -> None:
    """Write each picture as SVG and as PNG, and take away those of an earlier report."""
    import vl_convert  # noqa: PLC0415

    if folder.charts.is_symlink():
        # What somebody else's folder links to is not ours to clear.
        folder.charts.unlink()
    folder.charts.mkdir(exist_ok=True)
    wanted = {f"{name}.{kind}" for name in pictures for kind in ("svg", "png")}
    for path in folder.charts.iterdir():
        if path.suffix in {".svg", ".png"} and path.name not in wanted:
            path.unlink()
    for name, picture in pictures.items():
        svg = in_light(picture)
        write_whole(folder.charts / f"{name}.svg", svg.encode())
        write_whole(folder.charts / f"{name}.png", vl_convert.svg_to_png(svg, scale=1.5))


if __name__ == "__main__":
    sys.exit(main())
