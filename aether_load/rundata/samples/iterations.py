"""Collect the passes of users' own tasks, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.records.record_reader import ITERATION_TYPE, Tables, look_up


class PhaseIterations(msgspec.Struct, frozen=True):
    """One phase's passes, a row each: `rows` as they were recorded, whose `name` and `error` are places in `texts`."""

    rows: NDArray[np.void]
    texts: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.rows)


NO_ITERATIONS = PhaseIterations(np.empty(0, ITERATION_TYPE))


class Iterations:
    """The passes of all senders' users."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.void]] = []
        self._texts: dict[str, int] = {}

    def add(self, rows: NDArray[np.void], phase_places: Sequence[int], tables: Tables) -> None:
        """Take in some more, whose texts are in `tables`; `phase_places` are the phases' places among the run's."""
        if not len(rows):
            return
        rows = rows.copy()
        rows["phase"] = look_up(phase_places, rows["phase"])
        rows["name"] = look_up([self._place(text) for text in tables.names], rows["name"])
        rows["error"] = look_up([self._place(text) for text in tables.errors], rows["error"])
        self._parts.append(rows)

    def _place(self, text: str | None) -> int:
        return ABSENT if text is None else self._texts.setdefault(text, len(self._texts))

    def of_phase(self, place: int) -> PhaseIterations:
        """Return those of one phase."""
        if not self._parts:
            return NO_ITERATIONS
        rows = np.concatenate(self._parts)
        return PhaseIterations(rows[rows["phase"] == place], tuple(self._texts))
