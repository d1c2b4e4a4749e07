"""The runtime's metrics read quickly, out of any exposition: what else stands in it costs next to nothing.

The whole format is read by analysis.scrape after the load; while it goes on a reading must not be felt by answers.
"""

from __future__ import annotations

import math
import re

from aether_load.analysis.server.scrape import COUNTERS, Scrape
from aether_load.protocol import BUCKET_EDGES_MS, EXECUTION_TIME_SECONDS

_LABELS = r'(?:\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\})?'
_COUNTER = re.compile(rf"^({'|'.join(COUNTERS)}){_LABELS}[ \t]+(\S+)", re.MULTILINE)
_BUCKET = re.compile(rf'^{EXECUTION_TIME_SECONDS}_bucket\{{[^\n]*?\ble="([^"]+)"[^\n]*\}}[ \t]+(\S+)', re.MULTILINE)
_SUM = re.compile(rf"^{EXECUTION_TIME_SECONDS}_sum{_LABELS}[ \t]+(\S+)", re.MULTILINE)


def read_quickly(text: str) -> Scrape | None:
    """Return the reading that a text holds, or None where it is none of an Aether runtime."""
    try:
        counters = {name: float(value) for name, value in _COUNTER.findall(text)}
        cumulative = {float(edge): float(value) for edge, value in _BUCKET.findall(text)}
        (total_s,) = (float(value) for value in _SUM.findall(text))
    except ValueError:
        return None
    edges = sorted(cumulative)
    if [round(edge * 1000, 6) for edge in edges] != [*BUCKET_EDGES_MS, math.inf]:
        return None
    if any(name not in counters for name in COUNTERS[:3]):
        return None
    ordered = [cumulative[edge] for edge in edges]
    buckets = tuple(int(high - low) for low, high in zip([0.0, *ordered], ordered, strict=False))
    return None if min(buckets) < 0 else Scrape(counters=counters, buckets=buckets, node_time_sum_ms=total_s * 1000)
