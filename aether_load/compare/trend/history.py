"""Take the histories of all metrics out of the frame of all runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aether_load.compare.trend.metrics import bounds_of, reliability_of

_TRUSTED = (0, 1, 4)
"""Exit codes of runs whose figures are to be trusted: passed, too many failures, a threshold that failed."""
NOT_KNOWN = "not known"


class TrendRun(msgspec.Struct, frozen=True, kw_only=True):
    """A stored run; `report` is where its page lies, from the results folder, None where there is none.

    A run that is not `trusted` was invalid, undecided, or cut off; its points are shown and not searched.
    """

    id: str
    time_utc: str
    commit: str | None
    machine: str
    exit_code: int
    trusted: bool
    labels: str | None
    report: str | None


class History(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of one series on one machine, oldest run first.

    `runs` are places in the trend's runs. `used` tells of each value whether it is searched for changes: it is of a
    trusted run, and no percentile that is only bounded from below. `low` and `high` bound a value's 95 % interval.
    `intervals_total` counts the trusted runs that know it as an interval only, because the sender was held up.
    """

    scenario: str
    phase: str
    dataset: str
    target: str
    metric: str
    machine: str
    runs: tuple[int, ...]
    values: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    used: tuple[bool, ...]
    intervals_total: int

    @property
    def series(self) -> str:
        """Return what the values are of, but for the metric and the machine."""
        return f"{self.scenario}/{self.phase}/{self.dataset}/{self.target}"


def runs_of(frame: pd.DataFrame, folder: Path) -> tuple[TrendRun, ...]:
    """Return the runs of a frame of all runs, oldest first."""
    columns = frame.drop_duplicates("run_id")[["run_id", "time", "commit", "machine", "run_exit_code", "labels"]]
    runs = []
    for run_id, time, commit, machine, exit_code, labels in columns.astype("object").to_numpy():
        runs.append(
            TrendRun(
                id=run_id,
                time_utc=time.isoformat(),
                commit=None if pd.isna(commit) else commit,
                machine=NOT_KNOWN if pd.isna(machine) else machine,
                exit_code=int(exit_code),
                trusted=int(exit_code) in _TRUSTED,
                labels=None if pd.isna(labels) else labels,
                report=_report(folder, run_id),
            )
        )
    return tuple(runs)


def _report(folder: Path, run_id: str) -> str | None:
    for path in (f"runs/{run_id}/report.html", f"{run_id}/report.html"):
        if Path(run_id).name == run_id and (folder / path).is_file():
            return path
    return None


def histories_of(frame: pd.DataFrame, runs: Sequence[TrendRun], metrics: Sequence[str]) -> Iterator[History]:
    """Yield the history of each metric in each series and on each machine; one that no run has is left out."""
    places = {run.id: place for place, run in enumerate(runs)}
    trusted = np.array([run.trusted for run in runs])
    machines = frame["machine"].astype("object").fillna(NOT_KNOWN)
    for (_, machine), rows in frame.groupby([frame["branch"], machines], observed=True, sort=False):
        place = rows["run_id"].map(places).to_numpy(np.int64)
        first = rows.iloc[0]
        for metric in metrics:
            value = _numbers(rows, metric)
            there, used = np.isfinite(value), trusted[place]
            if (reliability := reliability_of(metric)) is not None:
                used = used & (rows[reliability] != "unreliable").to_numpy(np.bool_)
            low, high = (_absent(_numbers(rows, name)) for name in bounds_of(metric) or (None, None))
            intervals = sum(bool(used[at] and not there[at]) and low[at] is not None for at in range(len(rows)))
            if not there.any() and not intervals:
                continue
            keep = np.flatnonzero(there)
            yield History(
                scenario=str(first["scenario"]),
                phase=str(first["phase"]),
                dataset=str(first["dataset"]),
                target=f"{first['target_kind']}-{first['generation']}",
                metric=metric,
                machine=str(machine),
                runs=tuple(int(place[at]) for at in keep),
                values=tuple(float(value[at]) for at in keep),
                low=tuple(low[at] for at in keep),
                high=tuple(high[at] for at in keep),
                used=tuple(bool(used[at]) for at in keep),
                intervals_total=intervals,
            )


def _numbers(rows: pd.DataFrame, name: str | None) -> NDArray[np.float64]:
    return np.full(len(rows), np.nan) if name is None else rows[name].to_numpy(np.float64, na_value=np.nan)


def _absent(values: NDArray[np.float64]) -> list[float | None]:
    return [float(value) if np.isfinite(value) else None for value in values]
