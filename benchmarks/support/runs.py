"""Read what our own runs have left in their folders."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from support.setting import BenchmarkFailed

from aether_load.protocol import Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import read_lines
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.process_usage import SenderReading
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import HOLD_TYPE, REQUEST_TYPE
from aether_load.rundata.records.record_set import RecordSet, record_parts


class Records(NamedTuple):
    """All requests and holds of a run, as `REQUEST_TYPE` and `HOLD_TYPE` have them, and reasons of failures."""

    requests: NDArray[np.void]
    holds: NDArray[np.void]
    reasons: Counter[str]

    @property
    def sent(self) -> NDArray[np.void]:
        """Return the requests that were sent; others were due and dropped."""
        sent: NDArray[np.void] = self.requests[self.requests["sent_ns"] != ABSENT]
        return sent

    @property
    def outcomes(self) -> Counter[str]:
        """Return how many requests had each outcome, by its name."""
        found = np.unique(self.requests["outcome"], return_counts=True)
        return Counter({Outcome(code).label: int(count) for code, count in zip(*found, strict=True)})


def only_run(results: Path) -> RunFolder:
    """Return the one run of a results folder; raises BenchmarkFailed."""
    found = list((results / "runs").glob("*"))
    if len(found) != 1:
        raise BenchmarkFailed(f"{results} holds {len(found)} runs; there should be one")
    return RunFolder(found[0])


def read_records(run: RunFolder) -> Records:
    """Read all records of a run; raises BenchmarkFailed where they are not whole."""
    found = RecordSet(record_parts(run, run.read_manifest()))
    requests, holds = [np.empty(0, REQUEST_TYPE)], [np.empty(0, HOLD_TYPE)]
    reasons: Counter[str] = Counter()
    for batch, tables in found:
        requests.append(batch.requests)
        holds.append(batch.holds)
        reasons.update(tables.errors[place] or "" for place in batch.requests["error"] if place != ABSENT)
    if faults := [*(f"{name} is torn" for name in found.torn), *found.damage]:
        raise BenchmarkFailed(f"{run.path}: {'; '.join(faults)}")
    return Records(np.concatenate(requests), np.concatenate(holds), reasons)


def sender_readings(run: RunFolder) -> list[SenderReading]:
    """Return the readings of the sending processes' CPU time and memory."""
    return read_lines(run.sender, SenderReading).values


def only_phase(run: RunFolder) -> PhaseRecord:
    """Return the one phase of a run; raises BenchmarkFailed where there are others."""
    phases = run.read_manifest().phases
    if len(phases) != 1:
        raise BenchmarkFailed(f"{run.path} has {len(phases)} phases; there should be one")
    return phases[0]


def window(phase: PhaseRecord) -> tuple[int, int]:
    """Return when a phase's window began and ended, in monotonic ns; raises BenchmarkFailed."""
    if phase.window_began_ns is None or phase.window_ended_ns is None:
        raise BenchmarkFailed("the phase's window did not open, or did not end")
    return phase.window_began_ns, phase.window_ended_ns
