"""Combine the probes of one load that a search has tried."""

from __future__ import annotations

from typing import Literal

from aether_load.schedule.probe import Judgement

State = Literal["held", "broken", "undecided"]
LEAD = 3
"""How many more probes of a load must say the same than the opposite before its state is final."""
MAX_PROBES_OF_LOAD = 5
MAX_UNDECIDED = 2


class TriedLoad:
    """A load that was probed, and what its probes said."""

    def __init__(self, load: float) -> None:
        self.load = load
        self._votes: dict[State, int] = {"held": 0, "broken": 0, "undecided": 0}
        self._by_client = 0
        self.against: tuple[str, ...] = ()
        self.more_decides = True

    def add(self, judgement: Judgement) -> None:
        """Count a judgement."""
        states: dict[bool | None, State] = {True: "held", False: "broken", None: "undecided"}
        state = states[judgement.holds]
        self._votes[state] += 1
        self._by_client += judgement.limited_by == "client" and state == "broken"
        if state != "held":
            self.against = judgement.against
        if state == "undecided":
            self.more_decides = judgement.more_decides

    @property
    def state(self) -> State:
        """Return what most of its probes said; where that stays unclear, it is undecided."""
        if self._lead == 0 or (self.is_settled and abs(self._lead) < LEAD):
            return "undecided"
        return "held" if self._lead > 0 else "broken"

    @property
    def is_settled(self) -> bool:
        """Tell whether the load is not probed again."""
        enough = self._votes["undecided"] >= MAX_UNDECIDED or sum(self._votes.values()) >= MAX_PROBES_OF_LOAD
        return enough or abs(self._lead) >= LEAD

    @property
    def is_contradicted(self) -> bool:
        """Tell whether it held in one probe and broke in another."""
        return bool(self._votes["held"] and self._votes["broken"])

    @property
    def is_limited_by_client(self) -> bool:
        """Tell whether most probes that broke did so because of the client."""
        return 2 * self._by_client > self._votes["broken"]

    @property
    def _lead(self) -> int:
        """Return how many more of its probes held than broke."""
        return self._votes["held"] - self._votes["broken"]
