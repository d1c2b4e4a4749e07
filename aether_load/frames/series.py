"""Make a DataFrame of a run second by second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from aether_load.analysis.phase.series import COLUMNS, Series, in_window
from aether_load.frames.instants import RunClock
from aether_load.rundata.manifest import ClockPair

SERIES_COLUMNS: Mapping[str, str] = {
    "phase": "name of the phase",
    "time_utc": "when the step began",
    "run_second_s": "when the step began, since the run began",
    "in_window": "whether all of the step lies in the phase's window",
    "phase_second_s": "when the step began, since the phase began",
    "covered_s": "length of the step; the last one of a phase is what is left",
    "requests_sent_total": "requests that were sent in the step",
    "answers_total": "answers that came in in the step",
    "errors_total": "failures among them, other than `rejected`",
    "rejected_total": "answers refused by the runtime's prompt guard",
    "dropped_total": "requests that were due in the step and never sent",
    "response_latency_p50_ms": "p50 of the step's answers, from due to answered",
    "response_latency_p99_ms": "p99 of the step's answers",
    "response_latency_p50_at_least_ms": "the least that p50 may have been, where the sender may have read answers late",
    "response_latency_p99_at_least_ms": "the least that p99 may have been",
    "in_flight_mean": "mean number of requests in flight, from the samples",
    "in_flight_by_littles_law": "the same by Little's law, from the step's answers",
    "cached_nodes_total": "nodes that came from the cache",
    "server_nodes_per_s": "nodes a second that the server counted",
    "server_node_mean_ms": "their mean time",
    "sender_cpu_share": "CPU of the busiest sending process; 1 is a core in full",
    "sender_resident_bytes": "memory of the largest sending process",
    "server_cpu_share": "CPU of the target's processes, where they run on this machine",
    "server_resident_bytes": "their memory",
}
"""Each column of `Run.series()`, in order."""


def series_frame(names: Sequence[str], phases: Sequence[Series], began: ClockPair) -> pd.DataFrame:
    """Return the steps of all phases, a row a step; NaN is what was not measured."""
    kinds = {name: "Int64" if name.endswith("_total") else "float64" for name in COLUMNS}
    frames = []
    for name, series in zip(names, phases, strict=True):
        frame = pd.DataFrame({column: getattr(series, column) for column in COLUMNS})
        frame["phase"] = name
        frame["run_second_s"] = (series.began_s + frame["second"]).round(3)
        frame["in_window"] = [in_window(series, second or 0.0) for second in series.second]
        frames.append(frame)
    bare = pd.DataFrame(columns=[*COLUMNS, "phase", "run_second_s", "in_window"])
    frame = pd.concat(frames or [bare], ignore_index=True)
    frame = frame.astype({**kinds, "phase": "category", "run_second_s": "float64", "in_window": "boolean"})
    at_ns = began.monotonic_ns + (frame["run_second_s"].to_numpy(np.float64) * 1e9).round().astype(np.int64)
    frame["time_utc"] = RunClock(began).utc(at_ns)
    return frame.rename(columns={"second": "phase_second_s"})[[*SERIES_COLUMNS]]
