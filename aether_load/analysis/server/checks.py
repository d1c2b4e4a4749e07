"""Check relations between figures that hold whatever the system does; a broken one marks the run."""

from __future__ import annotations

import msgspec
import numpy as np

from aether_load.analysis.server.readings import Readings, nodes_since
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.table import PhaseSamples

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
    told = samples.server_total_ms != ABSENT
    took_ns = samples.ended_ns[told] - samples.sent_ns[told]
    below = int(np.count_nonzero(took_ns < samples.server_total_ms[told] * 1_000_000))
    sums = [reading.scrape.node_time_sum_ms for reading in readings.readable]
    broken = sum(abs(total - round(total)) > _WHOLE_MS * max(1.0, total * 1e-9) for total in sums)
    return (
        Check("levels_within_total", samples.levels_told_total, samples.levels_over_total),
        Check("level_holds_its_nodes", samples.levels_told_total, samples.levels_short_total),
        Check("client_holds_server", len(took_ns), below),
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
    sent = samples.was_sent
    succeeded = samples.succeeded_nodes.sum(axis=1)
    answered_by = np.cumsum(
        np.bincount(np.searchsorted(began, samples.ended_ns[sent]), succeeded[sent], minlength=len(later) + 1)
    )
    sent_by = np.cumsum(
        np.bincount(np.searchsorted(ended, samples.sent_ns[sent]), samples.sent_nodes[sent], minlength=len(later) + 1)
    )
    behind = counted < answered_by[:-1]
    ahead = counted > sent_by[:-1]
    return (
        Check("reading_not_behind", len(later), int(behind.sum())),
        Check("reading_not_ahead", len(later), int(ahead.sum())),
    )
