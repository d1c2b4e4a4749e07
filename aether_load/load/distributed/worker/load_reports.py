"""Report a load of this worker to its master while it goes on."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from aether_load.load.distributed import messages as say

if TYPE_CHECKING:
    from aether_load.load.distributed.worker.master_link import MasterLink
    from aether_load.load.sending.sender_context import SenderContext

_LEAST_ANNOUNCED = 16
_ANNOUNCED_S = 0.5


class LoadReports:
    """The callbacks of a worker's load: each is a message to the master, which decides."""

    def __init__(self, link: MasterLink, sender_context: SenderContext) -> None:
        self.stopping = Event()
        self.may_open_window = Event()
        self._link = link
        self._sender_context = sender_context
        self._why = "stopped"
        self._stage = 0
        self._announced_before = 0
        self._announced_ns = monotonic_ns()
        sender_context.recorder.dags.on_new = lambda dag: link.send(say.NewDag(dag))

    def begin_stage(self, number: int) -> None:
        """Report of the stage of this number from now on."""
        self._stage = number
        self.may_open_window.clear()

    def stop(self, why: str) -> None:
        """End the load, for a reason that its report states."""
        self._why = why
        self.stopping.set()

    def stats(self) -> None:
        """Tell how things stand with the users."""
        self._link.send(say.WorkerStats(self._sender_context.tally()))

    # The load's callbacks

    def open_window(self, began_ns: int | None) -> int:
        """Tell the master since when the window is open; return it."""
        opened_ns = began_ns or monotonic_ns()
        self._link.send(say.WindowOpened(self._stage, opened_ns))
        return opened_ns

    def window_edge(self) -> None:
        """Tell what this process has taken so far."""
        self._link.send_process_usage()

    def empty_cache(self) -> None:
        """Say that nothing is in flight here, and wait for the master, who empties the cache when that is so of all."""
        self._link.send(say.Idle(self._stage))
        gevent.wait([self.may_open_window, self.stopping], count=1)

    def announce(self, request: int, /) -> int:
        """Tell the master how far the indexes may go: at the present rate as far as in the next half second.

        It is told when half of what was announced before is used, so that it knows before any of it is sent. What a
        lost worker may have sent at most is what it had announced: the less, the closer the bound.
        """
        now_ns = monotonic_ns()
        rate = (request - self._announced_before) / max((now_ns - self._announced_ns) / 1e9, 1e-3)
        step = max(_LEAST_ANNOUNCED, int(rate * _ANNOUNCED_S / 2))
        self._announced_before, self._announced_ns = request, now_ns
        # In another greenlet: the caller may run on the event loop, where nothing may wait.
        gevent.spawn(self._link.send, say.Announced(request + 2 * step))
        return request + step

    def note(self, sentence: str) -> None:
        """Have the master write down what a reader has to know."""
        self._link.send(say.Noted(sentence))

    def why_stopped(self) -> str:
        """Return what ended the load early."""
        return self._why
