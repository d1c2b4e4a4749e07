"""Define what a load calls in the process that drives it: the run's own, or a worker."""

from __future__ import annotations

from typing import Protocol

from gevent.event import Event


class LoadCallbacks(Protocol):
    """What a load calls to report its progress, and to learn whether it is to end."""

    stopping: Event

    def open_window(self, began_ns: int | None) -> int:
        """Write down that the window is open since then, or (None) now; return since when.

        Done before any user has its turn: a run that is killed must know since when its window was open.
        """

    def window_edge(self) -> None:
        """Read what this process has taken so far: a window has just been opened or shut."""

    def empty_cache(self) -> None:
        """Empty the runtime's cache, with nothing in flight; raises TargetError."""

    def announce(self, request: int, /) -> int:
        """Say that requests from this index on are about to be taken on; return from which on to say so again."""

    def note(self, sentence: str) -> None:
        """Write down what a reader of the results has to know."""

    def why_stopped(self) -> str:
        """Return what ended a load early."""
