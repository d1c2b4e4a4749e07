"""Compare our answers with the server's counts during a load; requests in flight may differ."""

from __future__ import annotations

from collections import deque
from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.server.scrape import Scrape, difference, fell
from aether_load.observer.live.counts import NAMES, NODES, WIDTH, Counts, counts_of_server

State = Literal["waiting", "agrees", "contaminated", "restarted", "no_server_data"]


class Line(msgspec.Struct, frozen=True):
    """One count on both sides: of the answers that came in before a reading, and of the server."""

    name: str
    ours: int
    theirs: int | None


class ReconciliationState(msgspec.Struct, frozen=True, kw_only=True):
    """The result of the latest reading for a phase so far.

    `agrees`: the server counted no fewer than were answered before the reading, and no more nodes than may have run by
    its end. `difference_nodes` is how many nodes lie outside of that, None without a reading. `at_rest` is a reading
    with nothing in flight, so that the two have to be equal.
    """

    state: State
    reason: str | None = None
    lines: tuple[Line, ...] = ()
    difference_nodes: int | None = None
    at_rest: bool = False


class _Batch(msgspec.Struct, frozen=True):
    ended_ns: Counts
    counts: Counts
    unread: Counts
    last_ns: int


class LiveReconciliation:
    """Keeps a phase's own counts, and those of the last seconds request by request, to compare them with a reading.

    `nodes_per_request` is how many nodes a request has at most.
    """

    def __init__(self, nodes_per_request: int) -> None:
        self.nodes_per_request = nodes_per_request
        self._recent: deque[_Batch] = deque()
        self._settled = np.zeros(WIDTH, np.int64)
        self._unread = 0
        self._first: Scrape | None = None
        self._last: Scrape | None = None
        self._restarted: str | None = None
        self.state = ReconciliationState(state="waiting", reason="the server has not been read yet")

    def take(self, ended_ns: Counts, counts: Counts, unread: Counts) -> None:
        """Add answers: when each came in, its counts, and whether (1) it could not be read."""
        self._recent.append(_Batch(ended_ns, counts, unread, int(ended_ns.max())))

    def begin(self, scrape: Scrape | None, reason: str | None) -> None:
        """Start again from a reading with nothing in flight."""
        self._recent.clear()
        self._settled[:] = 0
        self._unread = 0
        self._restarted = None
        self._first = self._last = scrape
        if scrape is None:
            self.state = ReconciliationState(state="no_server_data", reason=reason)
        else:
            self.state = ReconciliationState(state="waiting", reason="the phase has just begun")

    def fail(self, reason: str) -> None:
        """Note a reading that failed; the state before it stays."""
        if self._first is None or self.state.state == "waiting":
            self.state = ReconciliationState(state="no_server_data", reason=reason)

    def judge(self, scrape: Scrape, began_ns: int, ended_ns: int, in_flight: int) -> None:
        """Compare a reading with the answers; all that came in before its end must have been added.

        `in_flight` is how many requests were at its end.
        """
        if self._first is None or self._last is None:
            return
        fallen = fell(self._last, scrape)
        self._restarted = self._restarted or fallen
        self._last = scrape
        before, until, unread = self._answered(began_ns, ended_ns)
        theirs = counts_of_server(difference(self._first, scrape))
        most = int(until[NODES]) + (in_flight + unread) * self.nodes_per_request
        counted = theirs[NODES]
        assert counted is not None
        beyond = counted - most if counted > most else min(0, counted - int(before[NODES]))
        state, reason = self._verdict(before, theirs, beyond)
        self.state = ReconciliationState(
            state=state,
            reason=reason,
            lines=tuple(
                Line(name, int(ours), counted) for name, ours, counted in zip(NAMES, before, theirs, strict=True)
            ),
            difference_nodes=None if state == "restarted" else beyond,
            at_rest=in_flight == 0,
        )

    def _answered(self, began_ns: int, ended_ns: int) -> tuple[Counts, Counts, int]:
        """Return what came in before two instants, and how many answers before the later one were not readable."""
        while self._recent and self._recent[0].last_ns <= began_ns:
            batch = self._recent.popleft()
            self._settled += batch.counts.sum(axis=0)
            self._unread += int(batch.unread.sum())
        before, until, unread = self._settled.copy(), self._settled.copy(), self._unread
        for batch in self._recent:
            before += batch.counts[batch.ended_ns <= began_ns].sum(axis=0)
            in_time = batch.ended_ns <= ended_ns
            until += batch.counts[in_time].sum(axis=0)
            unread += int(batch.unread[in_time].sum())
        return before, until, unread

    def _verdict(self, before: Counts, theirs: tuple[int | None, ...], beyond: int) -> tuple[State, str | None]:
        if self._restarted is not None:
            return "restarted", f"{self._restarted} fell between two readings, which only a restart does"
        if beyond > 0:
            return "contaminated", (
                f"the server counted at least {beyond} nodes more than this load can have run: other clients use it"
            )
        for name, ours, counted in zip(NAMES, before, theirs, strict=True):
            if counted is not None and counted < ours:
                return "contaminated", (
                    f"the server counted {counted} {name}, and {int(ours)} were answered: another replica, or readings "
                    "that lag behind"
                )
        return "agrees", None
