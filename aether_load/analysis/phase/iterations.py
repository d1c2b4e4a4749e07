"""Report the passes of users' own tasks: how many, how they ended, and where their time went."""

from __future__ import annotations

from collections import Counter

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.statistics.distribution import Distribution, distribution, rounded
from aether_load.rundata.records.record_format import ABSENT, ITERATION_STATES
from aether_load.rundata.samples.iterations import PhaseIterations

_COMPLETED, _FAILED, _INTERRUPTED = range(len(ITERATION_STATES))
_MOST_ERRORS = 10
_OF_ENDED = ("error_rate", "duration_ms", "requests_mean", "request_time_ms", "own_time_ms")


class IterationError(msgspec.Struct, frozen=True, kw_only=True):
    """An exception that left a task, and how many iterations it ended."""

    text: str
    iterations_total: int


class Iterations(msgspec.Struct, frozen=True, kw_only=True):
    """One task's iterations that began inside the phase's window.

    An iteration is one pass of the task. One that the end of the phase interrupted has no duration. `own_time_ms` is
    the mean time of an iteration outside its requests: what the task's own code took, its sleeps included.
    """

    task: str  # name of the task
    iterations_total: int  # iterations that began in the window
    completed_total: int  # those that came to their end
    failed_total: int  # those that an exception ended
    interrupted_total: int  # those that the end of the phase ended
    error_rate: float | None  # failed ones among completed and failed ones
    duration_ms: Distribution | None  # from the task's begin to its end, of completed and failed ones
    requests_mean: float | None  # requests sent in one, on average
    request_time_ms: float | None  # mean time of one between sending requests and their answers
    own_time_ms: float | None  # mean time of one outside its requests
    errors: tuple[IterationError, ...]  # the most frequent exceptions
    reasons: dict[str, str]  # why a key is null


def iteration_reports(
    iterations: PhaseIterations, began_ns: int | None, ended_ns: int | None
) -> tuple[Iterations, ...]:
    """Return a report of each task, by name, of the iterations that began between two instants."""
    rows = iterations.rows
    if began_ns is None or ended_ns is None or not len(rows):
        return ()
    rows = rows[(rows["began_ns"] >= began_ns) & (rows["began_ns"] <= ended_ns)]
    tasks = {int(place): iterations.texts[place] if place != ABSENT else "?" for place in np.unique(rows["name"])}
    return tuple(
        _report(task, rows[rows["name"] == place], iterations)
        for place, task in sorted(tasks.items(), key=lambda item: item[1])
    )


def _report(task: str, rows: NDArray[np.void], iterations: PhaseIterations) -> Iterations:
    states = np.bincount(rows["state"], minlength=len(ITERATION_STATES))
    ended = rows[rows["state"] != _INTERRUPTED]
    took_ms = (ended["ended_ns"] - ended["began_ns"]) / 1e6
    request_ms = ended["request_ns"] / 1e6
    errors = Counter(iterations.texts[place] for place in rows["error"] if place != ABSENT)
    why = {} if len(ended) else dict.fromkeys(_OF_ENDED, "no iteration that began in the window came to its end")
    return Iterations(
        task=task,
        iterations_total=len(rows),
        completed_total=int(states[_COMPLETED]),
        failed_total=int(states[_FAILED]),
        interrupted_total=int(states[_INTERRUPTED]),
        error_rate=rounded(int(states[_FAILED]) / len(ended)) if len(ended) else None,
        duration_ms=distribution(took_ms),
        requests_mean=rounded(float(ended["requests"].mean())) if len(ended) else None,
        request_time_ms=rounded(float(request_ms.mean())) if len(ended) else None,
        own_time_ms=rounded(float((took_ms - request_ms).mean())) if len(ended) else None,
        errors=tuple(IterationError(text=text, iterations_total=n) for text, n in errors.most_common(_MOST_ERRORS)),
        reasons=why,
    )
