"""Keep why a run ends, whatever ends it."""

from __future__ import annotations

from enum import Enum

from gevent.event import Event

from aether_load.rundata import manifest
from aether_load.rundata.manifest import Ended


class EndReason(Enum):
    """Why a run ended before its phases had: what its last phase says of it, and what the run counts as."""

    STOPPED = "stopped", "completed"
    """Stopped from the page, where the scenario gives the load no other end."""
    INTERRUPTED = "stopped", "interrupted"
    THRESHOLD = "threshold", "aborted"
    DISK_FULL = "refused by the disk", "interrupted"
    WORKERS_GONE = "no worker was left", "interrupted"
    OBSERVER_LOST = "the observer was lost", "interrupted"
    FOLDER_GONE = manifest.FOLDER_GONE, "interrupted"
    STALLED = manifest.STALLED, "interrupted"
    FAILED = manifest.FAILED, "interrupted"

    @property
    def ended_by(self) -> str:
        """Return what the record of a phase says."""
        return self.value[0]

    @property
    def ended_as(self) -> Ended:
        """Return what the manifest says of the run."""
        ended: Ended = self.value[1]
        return ended


class RunEnding:
    """The one place where a run is ended; the first reason counts, and an interruption counts over a planned stop.

    `event` is set from then on. `stop_timeout_s` is how long answers in flight have, None for their own limit; a later
    call can shorten it.
    """

    def __init__(self) -> None:
        self.event = Event()
        self.reason: EndReason | None = None
        self.stop_timeout_s: float | None = None

    def end(self, reason: EndReason, stop_timeout_s: float | None = None) -> None:
        """End the run in order."""
        if self.reason in {None, EndReason.STOPPED}:
            self.reason = reason
        if stop_timeout_s is not None:
            self.stop_timeout_s = stop_timeout_s
        self.event.set()

    def is_set(self) -> bool:
        """Tell whether the run is to end."""
        return self.reason is not None

    @property
    def ended_by(self) -> str:
        """Return what a phase that was ended early says."""
        return (self.reason or EndReason.INTERRUPTED).ended_by

    @property
    def ended_as(self) -> Ended:
        """Return what the run counts as."""
        return "completed" if self.reason is None else self.reason.ended_as

    @property
    def by_hand(self) -> bool:
        """Tell whether a person, or a signal, ended it."""
        return self.reason in {EndReason.STOPPED, EndReason.INTERRUPTED}
