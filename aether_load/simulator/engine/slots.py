"""So many nodes at once and no more: what gives the simulated runtime a knee."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from aether_load.simulator.http.fiber import suspend

if TYPE_CHECKING:
    import asyncio

    from aether_load.simulator.http.fiber import Disarm, Resume


class Slots:
    """Slots that nodes take in order of arrival; None is no limit."""

    def __init__(self, limit: int | None, loop: asyncio.AbstractEventLoop) -> None:
        self._limited = limit is not None
        self._free = limit or 0
        self._loop = loop
        self._queue: deque[_Ticket] = deque()

    async def take(self) -> None:
        """Take a slot, after those who came before."""
        if not self._limited:
            return
        if self._free:
            self._free -= 1
            return
        await suspend(self._enqueue)

    def give_back(self) -> None:
        """Hand the slot to the first in the queue, or keep it free."""
        if not self._limited:
            return
        if self._queue:
            ticket = self._queue.popleft()
            # Not called here: a long queue of nodes that take no time would nest as deep as it is long.
            ticket.turn = self._loop.call_soon(ticket.resume)
        else:
            self._free += 1

    def _enqueue(self, resume: Resume) -> Disarm:
        ticket = _Ticket(resume)
        self._queue.append(ticket)
        return partial(self._withdraw, ticket)

    def _withdraw(self, ticket: _Ticket) -> None:
        if ticket.turn is None:
            self._queue.remove(ticket)
        else:
            ticket.turn.cancel()
            self.give_back()


class _Ticket:
    """A place in the queue; `turn` is the call that is due once a slot is handed over."""

    __slots__ = ("resume", "turn")

    def __init__(self, resume: Resume) -> None:
        self.resume = resume
        self.turn: asyncio.Handle | None = None
