"""The page of frames: the columns of every DataFrame of the Python API."""

from markdown import code, table

from aether_load.analysis.phase.series import COLUMNS as SERIES
from aether_load.frames.samples import NODE_COLUMNS, SAMPLE_COLUMNS
from aether_load.frames.scrapes import SCRAPE_COLUMNS
from aether_load.frames.series import SERIES_COLUMNS
from aether_load.frames.slowest import SLOWEST_COLUMNS
from aether_load.frames.summary import DATASET_COLUMNS, PHASE_COLUMNS
from aether_load.outputs.summary import COLUMNS

FRAMES = {
    "run.samples()": ("A row a request.", SAMPLE_COLUMNS),
    "run.nodes()": ("A row a request and node.", NODE_COLUMNS),
    "run.slowest(10)": ("A row a request, the slowest first, of those due in a window and sent.", SLOWEST_COLUMNS),
    "run.phases()": ("A row a phase, with the figures of all its requests.", PHASE_COLUMNS),
    "run.datasets()": ("A row a phase and dataset.", DATASET_COLUMNS),
    "run.series()": ("A row a phase and second.", SERIES_COLUMNS),
    "run.scrapes()": ("A row a reading of /metrics, metric and bucket.", SCRAPE_COLUMNS),
    "open_results()": ("A row a run, phase and dataset: the columns of summary.csv, with types.", COLUMNS),
}


def frames_page() -> str:
    """Return the page; every column of the series has its meaning."""
    if set(SERIES) - {"second"} - set(SERIES_COLUMNS):
        raise SystemExit(f"frames/series.py: series columns without a meaning: {set(SERIES) - set(SERIES_COLUMNS)}")
    text = "# DataFrames\n\nThe columns of what [`aether_load.open_run` and `open_results`](../python.md) return.\n"
    for name, (what, columns) in FRAMES.items():
        rows = ((code(column), meaning) for column, meaning in columns.items())
        text += f"\n## {name}\n\n{what}\n\n" + table(("column", "what it holds"), rows)
    return text
