"""Make DataFrames of the summary: a row a run, phase and dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd

from aether_load.analysis.report import Report
from aether_load.errors import UsageError
from aether_load.frames.instants import RunClock
from aether_load.outputs.summary import COLUMNS, SUMMARY_COLUMNS, TABLE, summary_values
from aether_load.redaction import foreign_text
from aether_load.rundata.manifest import PhaseRecord

_REPEATED = {
    "branch", "scenario", "phase", "dataset", "target_kind", "generation", "program", "load_unit", "machine",
    "phase_trust",
}  # fmt: skip
_TEXTS = {"commit", "run_id", "labels", "program_hash", "compiler_version"}
_INSTANTS: Mapping[str, str] = {
    "began_utc": "when the phase began",
    "window_began_utc": "when all users were active and warm-up was over; NaT: never",
    "window_ended_utc": "when no further request was to start; NaT: cut off",
    "ended_utc": "when its last answer was in; NaT: cut off",
}
DATASET_COLUMNS: Mapping[str, str] = {
    name: text for name, (way, text) in TABLE.items() if way.startswith(("phase.", "row."))
}
"""Each column of `Run.datasets()`, in order: those that are not of the run."""
PHASE_COLUMNS: Mapping[str, str] = {
    "phase": COLUMNS["phase"],
    **_INSTANTS,
    **{name: text for name, text in DATASET_COLUMNS.items() if name not in {"phase", "dataset"}},
}
"""Each column of `Run.phases()`, in order."""


def phases_frame(report: Report, records: Iterable[PhaseRecord], clock: RunClock) -> pd.DataFrame:
    """Return a row a phase: when it was, and the figures of all its requests."""
    own = list(records)
    when = pd.DataFrame(
        {
            "began_utc": clock.utc_of([record.began.monotonic_ns for record in own]),
            "window_began_utc": clock.utc_of([record.window_began_ns for record in own]),
            "window_ended_utc": clock.utc_of([record.window_ended_ns for record in own]),
            "ended_utc": clock.utc_of([record.ended.monotonic_ns if record.ended else None for record in own]),
        }
    )
    figures = typed(pd.DataFrame([summary_values(report, phase, phase.all) for phase in report.phases]))
    return pd.concat([when, figures], axis=1)[[*PHASE_COLUMNS]]


def datasets_frame(report: Report) -> pd.DataFrame:
    """Return a row a phase and dataset."""
    rows = [summary_values(report, phase, row) for phase in report.phases for row in phase.datasets]
    return typed(pd.DataFrame(rows))[[*DATASET_COLUMNS]]


def run_frame(report: Report) -> pd.DataFrame:
    """Return a run's rows as the summary of all runs has them."""
    rows = [summary_values(report, phase, row) for phase in report.phases for row in (phase.all, *phase.datasets)]
    return typed(pd.DataFrame(rows))


def read_summary(path: Path) -> pd.DataFrame:
    """Return the summary of all runs that a file holds; raises UsageError for one that somebody has changed."""
    kinds = {name: kind for name in SUMMARY_COLUMNS if (kind := _kind(name)) not in {"category", _TIME}}
    try:
        return typed(pd.read_csv(path, dtype=kinds, keep_default_na=False, na_values=[""], encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise UsageError(
            f"{path} is not as aether-load writes it ({foreign_text(str(error))}); mend it, or move it away."
        ) from None


def typed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with the summary's columns, each of its own type."""
    frame = frame.reindex(columns=list(SUMMARY_COLUMNS))
    frame["time"] = pd.DatetimeIndex(pd.to_datetime(frame["time"], utc=True, format="ISO8601")).as_unit("ns")
    frame["labels"] = frame["labels"].where(frame["labels"] != "")
    return frame.astype({name: _kind(name) for name in SUMMARY_COLUMNS})


_TIME = "datetime64[ns, UTC]"


def _kind(name: str) -> str:
    if name == "time":
        return _TIME
    if name in _REPEATED or name.endswith("_reliability"):
        return "category"
    if name in _TEXTS:
        return "string"
    return "Int64" if name.endswith("_total") or name in {"users", "run_exit_code"} else "float64"
