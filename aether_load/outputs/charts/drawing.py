"""Draw charts as SVG and PNG, in a process of their own.

`vl-convert-python` renders Vega-Lite without a browser. Its engine takes seconds and a hundred megabytes, which no
process that sends or observes a load is to have.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic

from aether_load.environment import child_environment
from aether_load.outputs.charts.chart import LIGHT, STATIC_WIDTH, Chart
from aether_load.rundata.folder import write_whole
from aether_load.text import terminal_text

LIMIT_S = 120


class DrawingProcess:
    """A child process that draws."""

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


def write_pictures(folder: Path, pictures: Mapping[str, str]) -> None:
    """Write each picture as SVG and as PNG, and take away those of an earlier report."""
    if folder.is_symlink():
        # What somebody else's folder links to is not ours to clear.
        folder.unlink()
    folder.mkdir(exist_ok=True)
    wanted = {f"{name}.{kind}" for name in pictures for kind in ("svg", "png")}
    for path in folder.iterdir():
        if path.suffix in {".svg", ".png"} and path.name not in wanted:
            path.unlink()
    for name, picture in pictures.items():
        write_picture(folder, name, picture)


def write_picture(folder: Path, name: str, picture: str) -> None:
    """Write a picture as SVG and as PNG, in the light colours."""
    import vl_convert  # noqa: PLC0415

    svg = in_light(picture)
    write_whole(folder / f"{name}.svg", svg.encode())
    write_whole(folder / f"{name}.png", vl_convert.svg_to_png(svg, scale=1.5))
