"""Define how a run's phases drive senders: the users of this process, or those of many."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gevent.event import Event

from aether_load.load.sending.sender_context import Tally
from aether_load.rundata.manifest import PhaseRecord
from aether_load.scenario.stage import Stage


class Senders(Protocol):
    """What a run's phases are driven over."""

    drained: Event
    """Set while nothing is in flight."""

    @property
    def planned_requests(self) -> int | None:
        """Return how many requests the stage under way will have sent, where that is known."""

    def tally(self) -> Tally:
        """Return how things stand."""

    def request_users(self, users: int) -> None:
        """Have Locust spawn enough users for `users` of them to be active."""

    def await_users(self, users: int) -> None:
        """Ask for so many users to be ready for activation, each with its connection open."""

    def are_ready(self) -> bool:
        """Tell whether as many users are ready as were asked for."""

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight and off the record.

        A cold cache that has a ramp before its window is emptied at the end of that.
        """

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Take a stage from its ramp to its window's end; return what ended it."""

    def end(self, record: PhaseRecord | None) -> None:
        """Stop sending; record what was due and not sent as dropped. `drained` is set when no user is active."""

    def cancel(self) -> None:
        """Give up what is in flight."""

    def collect_records(self) -> None:
        """Wait until every sample has been handed in."""

    def close(self) -> None:
        """Accept no further records."""


def most_of(stages: Sequence[Stage]) -> int:
    """Return how many users stages need at most."""
    return max(stage.most_users for stage in stages)
