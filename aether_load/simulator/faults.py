"""Hold the faults in force."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from aether_load.simulator.durations import parse_duration
from aether_load.simulator.fault_kinds import AnswerFault, AnyFault, DrawnFault, Fault, ProcessFault

_F = TypeVar("_F", bound=DrawnFault)


class Faults:
    """Faults in the order in which they were added.

    Faults of answers and nodes are drawn; a fault of the process is given to `on_process_fault` at its time.
    """

    def __init__(self, seed: int, on_process_fault: Callable[[ProcessFault], None]) -> None:
        self._draws = random.Random(f"{seed}/faults")
        self._on_process_fault = on_process_fault
        self._added = 0
        self._drawn: list[_ActiveFault] = []
        self._due: dict[int, tuple[ProcessFault, asyncio.TimerHandle]] = {}

    def add(self, faults: Iterable[AnyFault]) -> None:
        """Put faults in force; their times count from now."""
        for fault in faults:
            self._added += 1
            if isinstance(fault, DrawnFault):
                self._drawn.append(_ActiveFault(self._added, fault))
            else:
                delay = parse_duration(fault.after)
                timer = asyncio.get_running_loop().call_later(delay, self._run, self._added)
                self._due[self._added] = fault, timer

    def clear(self) -> None:
        """Remove all faults."""
        self._drawn.clear()
        for _, timer in self._due.values():
            timer.cancel()
        self._due.clear()

    def on_answer(self, path: str) -> AnswerFault | None:
        """Draw the fault of the next answer of `path`: the first that is drawn, of several."""
        fault: AnswerFault | None = self._draw(
            lambda fault: isinstance(fault, AnswerFault) and fault.path in {path, "*"}
        )
        return fault

    def on_node(self, kind: type[_F]) -> _F | None:
        """Draw the fault of one kind for the next node."""
        fault: _F | None = self._draw(lambda fault: isinstance(fault, kind))
        return fault

    def active(self) -> list[dict[str, Any]]:
        """Return each fault in force: its number, how often it was applied, and its settings as they were given."""
        now = time.monotonic()
        rows: dict[int, tuple[int, Fault]] = {number: (0, fault) for number, (fault, _) in self._due.items()}
        rows |= {drawn.number: (drawn.applied, drawn.fault) for drawn in self._drawn if not drawn.is_over(now)}
        return [
            {"id": number, "applied": applied, **msgspec.to_builtins(fault)}
            for number, (applied, fault) in sorted(rows.items())
        ]

    def _run(self, number: int) -> None:
        fault, _ = self._due.pop(number)
        self._on_process_fault(fault)

    def _draw(self, matches: Callable[[DrawnFault], bool]) -> Any:
        if not self._drawn:
            return None
        now = time.monotonic()
        self._drawn = [active for active in self._drawn if not active.is_over(now)]
        for active in self._drawn:
            # A share of 1 draws too, so that such a fault does not shift what the others draw.
            if now >= active.begins and matches(active.fault) and self._draws.random() < active.fault.share:
                active.applied += 1
                return active.fault
        return None


class _ActiveFault:
    """A fault that is drawn, when it is in force, and how often it was applied."""

    __slots__ = ("applied", "begins", "ends", "fault", "number")

    def __init__(self, number: int, fault: DrawnFault) -> None:
        self.number = number
        self.fault = fault
        self.applied = 0
        self.begins = time.monotonic() + parse_duration(fault.after)
        self.ends = None if fault.lasting is None else self.begins + parse_duration(fault.lasting)

    def is_over(self, now: float) -> bool:
        """Tell whether it was applied as often, or lasted as long, as it should."""
        is_spent = self.fault.count is not None and self.applied >= self.fault.count
        return is_spent or (self.ends is not None and now >= self.ends)
