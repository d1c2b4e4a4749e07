"""Check relations between figures that hold whatever the system does; a broken one marks the run."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.analysis.server.readings import Readings, nodes_since
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.table import PhaseSamples

_WHOLE_MS = 1e-3


class Check(msgspec.Struct, frozen=True):
    """How many figures were checked, and how many of them break the relation that `code` names.

    `levels_within_total`: a request's level times add up to no more than its total. `level_holds_its_nodes`: no
    level is shorter than one of its nodes. `client_holds_server`: no request took the server longer than the
    client. `reading_not_behind`: the server has counted each node that was answered before a reading was begun.
    `reading_not_ahead`: it has counted no more nodes than were sent before the reading ended. `sum_in_whole_ms`:
    the histogram's sum is whole ms.
    """

    code: str
    checked_total: int
    violated_total: int


def check_phase(samples: PhaseSamples, readings: Readings) -> tuple[Check, ...]:
    """Return the checks of a phase."""
    told = below = 0
    for piece in samples.pieces():
        is_told = piece.server_total_ms != ABSENT
        told += int(np.count_nonzero(is_told))
        is_below = piece.ended_ns - piece.sent_ns < piece.server_total_ms.astype(np.int64) * 1_000_000
        below += int(np.count_nonzero(is_below & is_told))
    sums = [reading.scrape.node_time_sum_ms for reading in readings.readable]
    broken = sum(abs(total - round(total)) > _WHOLE_MS * max(1.0, total * 1e-9) for total in sums)
    return (
        Check("levels_within_total", samples.levels_told_total, samples.levels_over_total),
        Check("level_holds_its_nodes", samples.levels_told_total, samples.levels_short_total),
        Check("client_holds_server", told, below),
        *_readings_between(samples, readings),
        Check("sum_in_whole_ms", len(sums), broken),
    )


def _readings_between(samples: PhaseSamples, readings: Readings) -> tuple[Check, Check]:
    """Check that each reading under load lies between what was answered before it and what was sent before its end.

    The last reading, with nothing in flight, is checked by the reconciliation.
    """
    later = [reading for reading in readings.readable if reading.role == "during"]
    if readings.first is None or readings.restarted is not None or not later:
        return Check("reading_not_behind", 0, 0), Check("reading_not_ahead", 0, 0)
    counted = np.array([nodes_since(readings, reading) for reading in later])
    began = np.array([reading.began_ns for reading in later])
    ended = np.array([reading.ended_ns for reading in later])
    answered_by, sent_by = np.zeros(len(later) + 1), np.zeros(len(later) + 1)
    for piece in samples.pieces():
        sent = piece.was_sent
        _count_by(answered_by, began, piece.ended_ns[sent], piece.succeeded_nodes[sent].sum(axis=1))
        _count_by(sent_by, ended, piece.sent_ns[sent], piece.sent_nodes[sent])
    answered_by, sent_by = np.cumsum(answered_by), np.cumsum(sent_by)
    behind = counted < answered_by[:-1]
    ahead = counted > sent_by[:-1]
    return (
        Check("reading_not_behind", len(later), int(behind.sum())),
        Check("reading_not_ahead", len(later), int(ahead.sum())),
    )


def _count_by(
    sums: NDArray[np.float64], edges_ns: NDArray[np.int64], at_ns: NDArray[np.int64], nodes: NDArray[np.integer]
) -> None:
    """Add nodes to the sum of the first edge that is not before their instant."""
    sums += np.bincount(np.searchsorted(edges_ns, at_ns), nodes, minlength=len(sums))
