"""Report each sending process of a run: its share of the requests, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np

from aether_load.rundata.manifest import Manifest, PhaseRecord, WorkerRecord
from aether_load.rundata.samples.table import PhaseSamples


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """One sending process: `requests_total` rows of the run are its own, of all phases, in their windows or not.

    Its monotonic clock was `clock_offset_ms` ahead of the run's, give or take `clock_uncertainty_ms`, which is taken
    out of every instant; None where it is the run's own. A worker that was `lost`, or `left` early, may have sent
    `unaccounted_at_most_total` requests of which there is no sample: None, with a reason, where nothing says how many.
    `lost_at_utc` is when it was heard of last.
    """

    worker: int
    pid: int
    host: str | None
    requests_total: int
    ended: Literal["finished", "lost", "left", "unknown"]
    lost_in_phase: str | None
    lost_at_utc: str | None
    unaccounted_at_most_total: int | None
    unaccounted_reason: str | None
    clock_offset_ms: float | None
    clock_uncertainty_ms: float | None
    utc_ahead_s: float | None
    connections_opened_total: int | None


_NO_WORD = "the run was cut off by force, and nothing says how far the worker went on after its last samples"


def worker_reports(manifest: Manifest, phases: Sequence[PhaseSamples]) -> tuple[WorkerReport, ...]:
    """Return a run's workers, in the order in which they came."""
    return tuple(_report(worker, phases) for worker in manifest.workers)


def _report(worker: WorkerRecord, phases: Sequence[PhaseSamples]) -> WorkerReport:
    last, loss = worker.clock[-1] if worker.clock else None, worker.loss
    return WorkerReport(
        worker=worker.worker,
        pid=worker.pid,
        host=worker.host,
        requests_total=sum(int(np.count_nonzero(samples.worker == worker.worker)) for samples in phases),
        ended=loss.how if loss else "finished" if worker.ended else "unknown",
        lost_in_phase=loss.phase if loss else None,
        lost_at_utc=loss.at.utc if loss else None,
        unaccounted_at_most_total=loss.unaccounted_at_most if loss else 0 if worker.ended else None,
        unaccounted_reason=None if loss or worker.ended else _NO_WORD,
        clock_offset_ms=last.offset_ns / 1e6 if last else None,
        clock_uncertainty_ms=last.uncertainty_ns / 1e6 if last else None,
        utc_ahead_s=worker.utc_ahead_s,
        connections_opened_total=worker.connections_opened,
    )


def lost_in(manifest: Manifest, record: PhaseRecord) -> list[WorkerRecord]:
    """Return the workers that were lost or left in a phase, or in the shape that it is joined in."""
    names = {
        other.name
        for other in manifest.phases
        if other is record or (record.joined_in is not None and other.joined_in == record.joined_in)
    }
    return [worker for worker in manifest.workers if worker.loss is not None and worker.loss.phase in names]
