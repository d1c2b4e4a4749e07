"""The valve at which users wait for work: a phase lets loose as many as it wants, and its edges are exact."""

from __future__ import annotations

from collections.abc import Iterator

from gevent.event import Event


class Valve:
    """Users that wait, users that are let loose, and the work that is left for those.

    Who waited last is let loose first, so that a small load uses few, warm connections. Everything here runs on
    one event loop and yields nowhere but in `enter`, so that no count needs a lock.
    """

    def __init__(self) -> None:
        # In order of arrival; a dict, so that a thousand users killed while they wait are each found at once.
        self._waiting: dict[Event, None] = {}
        self._allowed = 0
        self._work: Iterator[tuple[int, int]] | None = None
        self.loose = 0
        self.starting = 0
        self.exhausted = Event()
        self.drained = Event()
        self.drained.set()

    @property
    def waiting(self) -> int:
        """Return how many users stand before the valve."""
        return len(self._waiting)

    def open(self, work: Iterator[tuple[int, int]]) -> None:
        """Give out `work`, pairs of request index and prompt index, to as many users as `allow` says."""
        self._work = work
        self.exhausted.clear()
        self._let_loose()

    def allow(self, users: int) -> None:
        """Let `users` be loose at a time; those beyond it wait from their next request on."""
        self._allowed = users
        self._let_loose()

    def shut(self) -> None:
        """Give out no further work; `drained` is set when the last user is back."""
        self._work = None
        self._allowed = 0

    def enter(self) -> None:
        """Wait until let loose."""
        if self._work is not None and self.loose < self._allowed:
            self._go()
            return
        ticket = Event()
        self._waiting[ticket] = None
        try:
            ticket.wait()
            self.starting -= 1
        except BaseException:
            if ticket in self._waiting:
                del self._waiting[ticket]
            else:
                # Let loose and killed before it ran: its place is free again.
                self.starting -= 1
                self.leave()
            raise

    def leave(self) -> None:
        """Come back: this user will send nothing more until it entered again."""
        self.loose -= 1
        self._let_loose()
        # Only now: whoever waits for `drained` must not wake up when the place was taken at once by the next user.
        if self.loose == 0:
            self.drained.set()

    def next_work(self) -> tuple[int, int] | None:
        """Return the next request and prompt index, or None when this user is to come back."""
        if self._work is None or self.loose > self._allowed:
            return None
        work = next(self._work, None)
        if work is None:
            self.shut()
            self.exhausted.set()
        return work

    def _let_loose(self) -> None:
        while self._waiting and self._work is not None and self.loose < self._allowed:
            self._go()
            ticket, _ = self._waiting.popitem()
            self.starting += 1
            ticket.set()

    def _go(self) -> None:
        self.loose += 1
        self.drained.clear()
