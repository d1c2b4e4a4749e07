"""Make a DataFrame of the readings of /metrics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

import numpy as np
import pandas as pd

from aether_load.analysis.server.scrape import Scrape, ScrapeError, parse_scrape
from aether_load.frames.instants import RunClock
from aether_load.protocol import BUCKET_EDGES_MS, EXECUTION_TIME_SECONDS
from aether_load.rundata.scrapes import RawScrape

SCRAPE_COLUMNS: Mapping[str, str] = {
    "phase": "name of the phase",
    "role": "`before` the phase's first request, `during` the phase, or `after` its last answer",
    "began_utc": "when it was asked for",
    "began_ns": "when it was asked for, on the monotonic clock",
    "ended_ns": "when it had come, on the monotonic clock",
    "metric": "name of the metric, as the runtime names it; NA: nothing could be read",
    "le_s": "upper edge of a bucket; NaN for what is no bucket",
    "value": "the reading, in the metric's own unit; replicas added up, buckets cumulative",
    "error": "why nothing could be read",
}
"""Each column of `Run.scrapes()`, in order."""

_EDGES_S = (*(edge / 1000 for edge in BUCKET_EDGES_MS), math.inf)


def scrapes_frame(scrapes: Sequence[RawScrape], clock: RunClock) -> pd.DataFrame:
    """Return a row a reading, metric and bucket; a reading that could not be read has one row, with its error."""
    rows = [
        (raw.phase, raw.role, raw.began_ns, raw.ended_ns, *value) for raw in scrapes for value in _values(raw)
    ]  # fmt: skip
    columns = [name for name in SCRAPE_COLUMNS if name != "began_utc"]
    frame = pd.DataFrame(rows, columns=columns).astype(
        {
            "phase": "category",
            "role": "category",
            "began_ns": "Int64",
            "ended_ns": "Int64",
            "metric": "category",
            "le_s": "float64",
            "value": "float64",
            "error": "string",
        }
    )
    frame["began_utc"] = clock.utc(frame["began_ns"].to_numpy(np.int64))
    return frame[[*SCRAPE_COLUMNS]]


def _values(raw: RawScrape) -> Iterator[tuple[str | None, float, float, str | None]]:
    if raw.text is None:
        yield None, math.nan, math.nan, raw.error or "no answer"
        return
    try:
        scrape = parse_scrape(raw.text)
    except ScrapeError as error:
        yield None, math.nan, math.nan, str(error)
        return
    yield from ((name, edge, value, None) for name, edge, value in _samples(scrape))


def _samples(scrape: Scrape) -> Iterator[tuple[str, float, float]]:
    for name, count in scrape.counters.items():
        yield name, math.nan, float(count)
    for edge, count in zip(_EDGES_S, accumulate(scrape.buckets), strict=True):
        yield f"{EXECUTION_TIME_SECONDS}_bucket", edge, float(count)
    yield f"{EXECUTION_TIME_SECONDS}_sum", math.nan, scrape.node_time_sum_ms / 1000
    yield f"{EXECUTION_TIME_SECONDS}_count", math.nan, float(scrape.node_count)
