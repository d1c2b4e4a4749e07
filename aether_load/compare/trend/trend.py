"""Join histories and their change points to one typed value, and judge the newest of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from aether_load.compare.trend.change_points import ALPHA, FEWEST_RUNS, Change, find_changes
from aether_load.compare.trend.history import History, TrendRun, histories_of, runs_of
from aether_load.compare.trend.metrics import JUDGED, METRICS, better
from aether_load.errors import ExitCode, UsageError
from aether_load.frames.results import open_results

TREND_SCHEMA_VERSION = "1.0"


class ChangePoint(msgspec.Struct, frozen=True, kw_only=True):
    """A change of level, between two runs that follow each other in their history.

    `last_before` and `first_after` are places in the trend's runs. `ratio` is the level after over the level before,
    with its 95 % interval; None where values are not all positive. `difference` is in the metric's own unit.
    `runs_since` counts the used runs after the change. `p` is the p-value of equal levels, as the search weighs it.
    """

    last_before: int
    first_after: int
    level_before: float
    level_after: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    difference: float
    difference_low: float
    difference_high: float
    p: float
    runs_since: int
    kind: Literal["loss", "gain", "change"]


class Searched(msgspec.Struct, frozen=True, kw_only=True):
    """A history with its change points, oldest first; `reason` says why it was not searched, if it was not."""

    history: History
    changes: tuple[ChangePoint, ...]
    reason: str | None = None


class Regression(msgspec.Struct, frozen=True):
    """A history, by its place in the trend, whose newest change point is a loss that counts."""

    history: int
    sentence: str


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What a loss must be to count: beyond `margin` (0.05 is 5 %), and with at most `last_runs` runs since."""

    margin: float = 0.05
    last_runs: int = 10
    judged: tuple[str, ...] = JUDGED


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """All histories of a results folder; trend.json is this, key for key."""

    schema_version: str
    terms: Terms
    runs: tuple[TrendRun, ...]
    histories: tuple[Searched, ...]
    regressions: tuple[Regression, ...]

    @property
    def searched_total(self) -> int:
        """Return how many histories had runs enough."""
        return sum(one.reason is None for one in self.histories)

    @property
    def undecided(self) -> tuple[str, ...]:
        """Return a sentence for each judged figure of all requests that too many runs know as an interval only."""
        return tuple(
            f"{one.history.metric} of {one.history.series} was not searched: {sum(one.history.used)} runs have it, "
            f"{one.history.intervals_total} know it as an interval only (sender_stalled), and {FEWEST_RUNS} are needed."
            for one in self.histories
            if one.reason is not None
            and one.history.dataset == "all"
            and one.history.metric in self.terms.judged
            and sum(one.history.used) + one.history.intervals_total >= FEWEST_RUNS
        )

    def exit_code(self, *, fail_on_regression: bool) -> ExitCode:
        """Return INVALID where no history has runs enough, THRESHOLD for a regression if that is to fail.

        A judged figure that was not searched does not pass either, if a regression is to fail.
        """
        if not self.searched_total:
            return ExitCode.INVALID
        if not fail_on_regression:
            return ExitCode.PASSED
        if self.regressions:
            return ExitCode.THRESHOLD
        return ExitCode.INVALID if self.undecided else ExitCode.PASSED


def build_trend(folder: Path, metrics: Sequence[str] = METRICS, terms: Terms | None = None) -> Trend:
    """Return the trend of a results folder; raises UsageError where it has no runs, or ruptures is not installed."""
    terms = terms or Terms()
    frame = open_results(folder).dropna(subset=["time", "run_id", "branch", "run_exit_code"])
    if frame.empty:
        raise UsageError(f"{folder} holds no run with a figure in it, so that there is nothing to follow.")
    runs = runs_of(frame, folder)
    searched = tuple(search(history) for history in histories_of(frame, runs, metrics))
    return Trend(
        schema_version=TREND_SCHEMA_VERSION,
        terms=terms,
        runs=runs,
        histories=searched,
        regressions=tuple(_regressions(searched, runs, terms)),
    )


def search(history: History) -> Searched:
    """Return a history with its change points."""
    used = np.flatnonzero(history.used)
    if len(used) < FEWEST_RUNS:
        return Searched(history=history, changes=(), reason=f"{len(used)} runs of {FEWEST_RUNS} needed")
    changes = find_changes(np.array(history.values)[used])
    return Searched(history=history, changes=tuple(_point(history, used, change) for change in changes))


def _point(history: History, used: np.ndarray, change: Change) -> ChangePoint:
    ratio, ratio_low, ratio_high = change.ratio or (None, None, None)
    difference, low, high = change.difference
    way = better(history.metric)
    kind: Literal["loss", "gain", "change"] = "change"
    if way != "neither":
        kind = "loss" if (difference > 0) == (way == "lower") else "gain"
    return ChangePoint(
        last_before=history.runs[used[change.place - 1]],
        first_after=history.runs[used[change.place]],
        level_before=change.before,
        level_after=change.after,
        ratio=ratio,
        ratio_low=ratio_low,
        ratio_high=ratio_high,
        difference=difference,
        difference_low=low,
        difference_high=high,
        p=change.p,
        runs_since=len(used) - change.place,
        kind=kind,
    )


def _regressions(searched: Sequence[Searched], runs: Sequence[TrendRun], terms: Terms) -> Iterator[Regression]:
    """Yield the histories whose newest change point is a loss beyond the margin within the last runs.

    Among many histories some change by chance: the limit for p is divided by the number of those that are judged.
    """
    judged = [
        (place, one) for place, one in enumerate(searched) if one.reason is None and one.history.metric in terms.judged
    ]
    for place, one in judged:
        if not one.changes:
            continue
        newest = one.changes[-1]
        level = newest.level_before
        # From a level of 0 every loss is beyond the margin.
        is_beyond = level == 0 or abs(newest.difference / level) > terms.margin
        counts = newest.kind == "loss" and newest.runs_since <= terms.last_runs and is_beyond
        if counts and newest.p * len(judged) < ALPHA:
            yield Regression(place, sentence(one.history, newest, runs))


def sentence(history: History, change: ChangePoint, runs: Sequence[TrendRun]) -> str:
    """Return what changed, by how much, and between which two runs."""
    before, after = runs[change.last_before], runs[change.first_after]
    return (
        f"{history.metric} of {history.series} changed by {size_text(change)} between {run_text(before)} and "
        f"{run_text(after)}"
    )


def size_text(change: ChangePoint) -> str:
    """Return a change's size with its 95 % interval: in percent, or in the metric's unit where it has no ratio."""
    if change.ratio is None or change.ratio_low is None or change.ratio_high is None:
        return f"{change.difference:+.4g} [{change.difference_low:+.4g}, {change.difference_high:+.4g}]"
    size, low, high = (100 * (value - 1) for value in (change.ratio, change.ratio_low, change.ratio_high))
    return f"{size:+.1f} % [{low:+.1f}, {high:+.1f}]"


def run_text(run: TrendRun) -> str:
    """Return what tells a run from its neighbours: its commit and day, or else its time and labels."""
    if run.commit:
        return f"{run.commit[:8]} ({run.time_utc[:10]})"
    time = run.time_utc[:19].replace("T", " ")
    return f"{time} ({run.labels})" if run.labels else time
