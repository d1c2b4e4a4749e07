"""Reconcile what the client saw of a phase with what the server counted, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.server.client_counts import OwnCounts
from aether_load.analysis.server.readings import Readings
from aether_load.analysis.server.scrape import Scrape
from aether_load.protocol import (
    BUCKET_EDGES_MS,
    CACHE_HITS_TOTAL,
    CACHE_MISSES_TOTAL,
    ERRORS_TOTAL,
    EXECUTED_NODES_TOTAL,
    EXECUTION_TIME_SECONDS,
    TOKEN_COST_TOTAL,
    Outcome,
)
from aether_load.rundata.samples.table import PhaseSamples

Trust = Literal["trusted", "contaminated", "restarted", "no_server_data"]

REQUEST_LINES = ("requests_due_total", "requests_sent_total")
_UNREAD = "requests whose answer was not read"
_TAKEN = "requests whose samples were lost with a worker"
_OTHERS = "other clients of the runtime"
_REPLICA = "another replica behind the same address"
_RESTART = "a restart between two readings"
_STALE = "readings that lag behind, from a cache before /metrics"
_LOST = "samples that this harness lost"
_CUT_OFF = "the run was cut off by force, with its last samples in memory"


class Bucket(msgspec.Struct, frozen=True):
    """Nodes in one of the server's buckets (`le_ms` None: above 10 s): by the answers, by the server."""

    le_ms: int | None
    answered: int
    counted: int
    unexplained: int


class ReconciliationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One count on both sides: of our samples, and of the source named by `against`.

    `difference` is theirs less ours; up to `explained_at_most` of it may come from requests whose answer was not
    read (None: not bounded, for a sum whose count leaves room). `agrees` is None, with a reason, where the other side
    is missing. `causes` are the likely causes of a difference, the likeliest first.
    """

    name: str
    against: str
    ours: int | None
    theirs: int | None = None
    difference: int | None = None
    explained_at_most: int | None = 0
    agrees: bool | None = None
    causes: tuple[str, ...] = ()
    reason: str | None = None


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """Successful nodes seen by the client versus nodes counted by the server, over a whole phase.

    `unexplained_*` is counted less answered: 0 on a clean run. Nodes of requests whose answer was never read are
    unknown to us; there were at most `unread_nodes_at_most`. None, with a reason, where the server said nothing.
    `lines` is the whole reconciliation. Of `readings_total` readings of /metrics, `readings_unreadable_total` could
    not be read, and `readings_behind_total` were behind what had been answered before they were taken.
    """

    trust: Trust
    reason: str | None
    answered_nodes_total: int
    counted_nodes_total: int | None = None
    unexplained_nodes_total: int | None = None
    answered_node_time_ms: int
    counted_node_time_ms: int | None = None
    unexplained_node_time_ms: int | None = None
    unread_nodes_at_most: int
    buckets: tuple[Bucket, ...] | None = None
    lines: tuple[ReconciliationLine, ...] = ()
    readings_total: int = 0
    readings_unreadable_total: int = 0
    readings_behind_total: int = 0


def reconcile(
    samples: PhaseSamples, own: OwnCounts, readings: Readings, *, behind: int = 0, was_cut_off: bool = False
) -> Reconciliation:
    """Compare a phase's answers with the server's counts.

    `behind` readings were behind what had been answered. A run that `was_cut_off` by force lost its last samples.
    """
    counted = readings.counted
    trust: Trust
    reason: str | None
    if readings.void is not None:
        trust, reason = "no_server_data", readings.void
    elif readings.restarted is not None:
        trust = "restarted"
        reason = f"{readings.restarted} fell between two readings, which only a restart of the runtime does"
    else:
        assert counted is not None
        trust, reason = _judge(own, counted, server_lines(own, counted, behind=behind), readings)
    if trust == "no_server_data":
        counted = None
    lines = (
        *request_lines(samples, was_cut_off=was_cut_off),
        *server_lines(own, counted, reason or "", behind=behind),
    )
    return Reconciliation(
        trust=trust,
        reason=reason,
        answered_nodes_total=own.succeeded_nodes_total,
        counted_nodes_total=counted.node_count if counted else None,
        unexplained_nodes_total=counted.node_count - own.succeeded_nodes_total if counted else None,
        answered_node_time_ms=own.node_time_ms,
        counted_node_time_ms=round(counted.node_time_sum_ms) if counted else None,
        unexplained_node_time_ms=round(counted.node_time_sum_ms) - own.node_time_ms if counted else None,
        unread_nodes_at_most=own.unread_nodes_at_most,
        buckets=_buckets(own, counted) if counted else None,
        lines=lines,
        readings_total=readings.readings_total,
        readings_unreadable_total=readings.unreadable_total,
        readings_behind_total=behind,
    )


def request_lines(samples: PhaseSamples, *, was_cut_off: bool) -> tuple[ReconciliationLine, ...]:
    """Return the lines of requests: each that was handed out is a row, and each row that was sent has an outcome.

    What was handed out is known from the request indexes, which each worker gives without a gap before it sends
    anything.
    """
    handed_out = seen = 0
    for worker in np.unique(samples.worker):
        indexes = samples.request_index[samples.worker == worker]
        indexes -= indexes.min()
        handed_out += int(indexes.max()) + 1
        seen += int(np.count_nonzero(np.bincount(indexes)))
    doubled = len(samples) - seen
    outcomes = np.bincount(samples.outcome, minlength=len(Outcome))
    of_sent = int(outcomes.sum() - outcomes[Outcome.DROPPED])
    causes = (_CUT_OFF,) if was_cut_off else (_LOST,)
    return (
        _line(REQUEST_LINES[0], "request indexes handed out", seen - doubled, handed_out, causes=causes),
        _line(
            REQUEST_LINES[1],
            "outcomes other than dropped, added up",
            int(np.count_nonzero(samples.was_sent)),
            of_sent,
            causes=(_LOST,),
        ),
    )


def server_lines(
    own: OwnCounts, counted: Scrape | None, reason: str = "", *, behind: int = 0
) -> tuple[ReconciliationLine, ...]:
    """Return the lines that compare our answers with the server's counters and each of its buckets.

    Where nothing was `counted`, `reason` says why, and each line has our side alone.
    """
    lines = []
    for name, against, ours, theirs in _entries(own, counted):
        if theirs is None:
            why = reason if counted is None else f"the runtime has no {against}"
        elif ours is None and own.succeeded_nodes_total:
            why = "no answer said whether a node came from the cache"
        else:
            at_most = _explained_at_most(name, own, counted)
            causes = _causes(own, theirs - (ours or 0), at_most, behind)
            lines.append(_line(name, against, ours or 0, theirs, at_most, causes))
            continue
        lines.append(ReconciliationLine(name=name, against=against, ours=ours, reason=why))
    return tuple(lines)


def _entries(own: OwnCounts, counted: Scrape | None) -> Iterator[tuple[str, str, int | None, int | None]]:
    """Yield each line's name, the server's metric, our figure, and the server's, None where it has none."""
    histogram, nodes = EXECUTION_TIME_SECONDS, own.succeeded_nodes_total
    yield "succeeded_nodes_total", f"{histogram}_count", nodes, counted.node_count if counted else None
    yield "node_time_ms", f"{histogram}_sum", own.node_time_ms, round(counted.node_time_sum_ms) if counted else None
    for place, (edge, ours) in enumerate(zip([*BUCKET_EDGES_MS, None], own.buckets, strict=True)):
        bucket = "above_10000_ms" if edge is None else f"le_{edge}_ms"
        yield f"nodes_{bucket}_total", f"{histogram}_bucket", ours, counted.buckets[place] if counted else None
    for name, metric, mine in (
        ("executed_nodes_total", EXECUTED_NODES_TOTAL, nodes),
        ("tokens_total", TOKEN_COST_TOTAL, own.tokens_total),
        ("failed_nodes_total", ERRORS_TOTAL, own.failed_nodes_total),
        ("cached_nodes_total", CACHE_HITS_TOTAL, own.cached_nodes_total),
        ("uncached_nodes_total", CACHE_MISSES_TOTAL, own.uncached_nodes_total),
    ):
        yield name, metric, mine, counted.counters.get(metric) if counted else None


def _explained_at_most(name: str, own: OwnCounts, counted: Scrape | None) -> int | None:
    """Return how much more than ours requests without an answer may have caused; None where there is no bound.

    Without an extra node there is no extra time or token; with one, their amount has no bound.
    """
    if name in {"node_time_ms", "tokens_total"}:
        surplus = counted is not None and counted.node_count > own.succeeded_nodes_total
        return None if surplus and own.unread_nodes_at_most else 0
    return own.unread_nodes_at_most


def _line(
    name: str, against: str, ours: int, theirs: int, at_most: int | None = 0, causes: tuple[str, ...] = ()
) -> ReconciliationLine:
    difference = theirs - ours
    agrees = difference == 0 or (difference > 0 and (at_most is None or difference <= at_most))
    return ReconciliationLine(
        name=name,
        against=against,
        ours=ours,
        theirs=theirs,
        difference=difference,
        explained_at_most=at_most,
        agrees=agrees,
        causes=causes if difference else (),
    )


def _causes(own: OwnCounts, difference: int, at_most: int | None, behind: int) -> tuple[str, ...]:
    if difference > 0:
        return (_OTHERS,) if at_most == 0 else (*_unseen(own), _OTHERS)
    return (_STALE, _REPLICA) if behind else (_REPLICA, _RESTART)


def _unseen(own: OwnCounts) -> list[str]:
    """Return which requests may have run nodes that no answer lists."""
    found = ((own.unread_requests_total, _UNREAD), (own.lost_requests_at_most, _TAKEN))
    return [words for count, words in found if count]


def _judge(
    own: OwnCounts, counted: Scrape, lines: tuple[ReconciliationLine, ...], readings: Readings
) -> tuple[Trust, str | None]:
    """Return the trust in the counts, and the reason where they differ."""
    off = [line for line in lines if line.difference]
    if not off:
        return "trusted", None
    nodes_off = counted.node_count - own.succeeded_nodes_total
    if own.succeeded_nodes_total and all(reading.scrape == readings.first for reading in readings.readable):
        return "no_server_data", (
            f"all {len(readings.readable)} readings of /metrics are the same, though {own.succeeded_nodes_total} nodes "
            "were answered meanwhile: they are stale, or another runtime's"
        )
    # Failed and succeeded nodes of unread requests share one bound.
    ran_unread = nodes_off + sum(line.difference or 0 for line in off if line.name == "failed_nodes_total")
    if all(line.agrees for line in off) and ran_unread <= own.unread_nodes_at_most:
        what = (
            f"{nodes_off} nodes more than were answered" if nodes_off else f"{off[0].against} {off[0].difference} more"
        )
        return "trusted", f"{what}, which {' or '.join(_unseen(own))} may have run"
    return "contaminated", _suspicion(nodes_off, off)


def _suspicion(nodes_off: int, off: list[ReconciliationLine]) -> str:
    if nodes_off > 0:
        return f"the server counted {nodes_off} nodes more than were answered: other clients used it meanwhile"
    if nodes_off < 0:
        behind = _STALE in off[0].causes
        likely = _STALE if behind else "another replica, or a restart"
        return f"the server counted {-nodes_off} nodes fewer than were answered: {likely}"
    if any(line.name == "node_time_ms" or line.against.endswith("_bucket") for line in off):
        return "the server's node times differ from those in the answers: other clients and another replica"
    first = off[0]
    causes = " or ".join(first.causes)
    return f"{first.against} rose by {first.theirs}, our answers account for {first.ours}: {causes}"


def _buckets(own: OwnCounts, counted: Scrape) -> tuple[Bucket, ...]:
    return tuple(
        Bucket(edge, ours, theirs, theirs - ours)
        for edge, ours, theirs in zip([*BUCKET_EDGES_MS, None], own.buckets, counted.buckets, strict=True)
    )
