"""The faults in force."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import msgspec

from aether_load.simulator.durations import parse_duration
from aether_load.simulator.fault_kinds import AnswerFault, AnyFault, Drawn, Fault, OnAnswer, ProcessFault

_F = TypeVar("_F", bound=Drawn)


class Faults:
    """Faults in order of arrival; of several that could change an answer, the first that is drawn does.

    A fault of the process is given to `on_process_fault` when its time has come.
    """

    def __init__(self, seed: int, on_process_fault: Callable[[ProcessFault], None]) -> None:
        self._draws = random.Random(f"{seed}/faults")
        self._on_process_fault = on_process_fault
        self._ordered = 0
        self._answers: list[_Order] = []
        self._nodes: list[_Order] = []
        self._due: dict[int, tuple[ProcessFault, asyncio.TimerHandle]] = {}

    def order(self, faults: Iterable[AnyFault]) -> None:
        """Put faults in force; their times count from now."""
        for fault in faults:
            self._ordered += 1
            if isinstance(fault, OnAnswer):
                self._answers.append(_Order(self._ordered, fault))
            elif isinstance(fault, Drawn):
                self._nodes.append(_Order(self._ordered, fault))
            else:
                delay = parse_duration(fault.after)
                handle = asyncio.get_running_loop().call_later(delay, self._run, self._ordered)
                self._due[self._ordered] = fault, handle

    def clear(self) -> None:
        """Remove all faults."""
        self._answers.clear()
        self._nodes.clear()
        for _, handle in self._due.values():
            handle.cancel()
        self._due.clear()

    def on_answer(self, path: str) -> AnswerFault | None:
        """Draw the fault of the next answer of `path`."""
        return self._strike(self._answers, lambda fault: fault.path in {path, "*"}) if self._answers else None

    def on_node(self, kind: type[_F]) -> _F | None:
        """Draw the fault of one kind for the next node."""
        return self._strike(self._nodes, lambda fault: isinstance(fault, kind)) if self._nodes else None

    def active(self) -> list[dict[str, Any]]:
        """Return each fault in force: its number, how often it was applied, and the order itself."""
        now = time.monotonic()
        drawn = [order for order in (*self._answers, *self._nodes) if not order.is_over(now)]
        rows: list[tuple[int, int, Fault]] = [(order.number, order.struck, order.fault) for order in drawn]
        rows += [(number, 0, fault) for number, (fault, _) in self._due.items()]
        return [
            {"id": number, "struck": struck, **msgspec.to_builtins(fault)} for number, struck, fault in sorted(rows)
        ]

    def _run(self, number: int) -> None:
        fault, _ = self._due.pop(number)
        self._on_process_fault(fault)

    def _strike(self, orders: list[_Order], matches: Callable[[Any], bool]) -> Any:
        now = time.monotonic()
        for order in list(orders):
            if order.is_over(now):
                orders.remove(order)
            # A share of 1 draws too, so that such a fault does not shift what the others draw.
            elif now >= order.begins and matches(order.fault) and self._draws.random() < order.fault.share:
                order.struck += 1
                return order.fault
        return None


class _Order:
    """A fault that is drawn, when it is in force, and how often it was applied."""

    __slots__ = ("begins", "ends", "fault", "number", "struck")

    def __init__(self, number: int, fault: Drawn) -> None:
        self.number = number
        self.fault = fault
        self.struck = 0
        self.begins = time.monotonic() + parse_duration(fault.after)
        self.ends = None if fault.lasting is None else self.begins + parse_duration(fault.lasting)

    def is_over(self, now: float) -> bool:
        """Tell whether it was applied as often, or lasted as long, as was ordered."""
        spent = self.fault.count is not None and self.struck >= self.fault.count
        return spent or (self.ends is not None and now >= self.ends)
