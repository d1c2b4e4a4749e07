"""Find answers that were read twice: rows whose execution id stands in another row of the run."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.samples.table import PhaseSamples

MOST_NAMED = 3


class RepeatedAnswers(msgspec.Struct, frozen=True):
    """Rows of a phase whose answer had been read before: how many, and the first of them, each with the earlier row."""

    phase: str
    total: int
    pairs: tuple[tuple[str, str], ...]

    @property
    def sentence(self) -> str:
        """Return which rows they are."""
        named = ", ".join(f"{later} that of {earlier}" for earlier, later in self.pairs)
        more = "" if self.total <= len(self.pairs) else f", and {self.total - len(self.pairs)} more"
        count = "1 row has" if self.total == 1 else f"{self.total} rows have"
        return f"{count} the execution id of an earlier one: {named}{more}"


def repeated_answers(names: Sequence[str], phases: Sequence[PhaseSamples]) -> tuple[RepeatedAnswers, ...]:
    """Return the answers of each phase that had been read before, in it or in an earlier one; nothing for the others.

    A runtime gives each execution an id of its own, so that an answer with the id of another is that answer again: it
    was read by a request that it does not belong to.
    """
    keys = np.concatenate([np.zeros(0, np.uint64), *(samples.execution_key for samples in phases)])
    if _are_distinct(keys):
        return ()
    ended = np.concatenate([samples.ended_ns for samples in phases])
    starts = np.cumsum([0, *map(len, phases)])
    found: dict[int, list[tuple[int, int]]] = {}
    for first, later in sorted(_pairs(keys, ended), key=itemgetter(1)):
        found.setdefault(_phase_of(later, starts), []).append((first, later))

    def row(number: int, seen_from: int) -> str:
        phase = _phase_of(number, starts)
        samples, place = phases[phase], number - int(starts[phase])
        worker = f" of worker {samples.worker[place]}" if samples.worker.any() else ""
        where = "" if phase == seen_from else f" of phase {names[phase]}"
        return f"request {samples.request_index[place]}{worker}{where}"

    return tuple(
        RepeatedAnswers(names[phase], len(pairs), tuple((row(a, phase), row(b, phase)) for a, b in pairs[:MOST_NAMED]))
        for phase, pairs in sorted(found.items())
    )


def _are_distinct(keys: NDArray[np.uint64]) -> bool:
    """Tell whether no two rows with an id have the same."""
    ordered = keys[keys != 0]
    ordered.sort()
    return not bool((ordered[1:] == ordered[:-1]).any())


def _pairs(keys: NDArray[np.uint64], ended_ns: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Return each row whose key an earlier answer has, behind the row of the first answer that has it."""
    ordered = np.lexsort((ended_ns, keys))
    pairs = []
    first = int(ordered[0])
    for row in map(int, ordered[1:]):
        if keys[row] == 0 or keys[row] != keys[first]:
            first = row
        else:
            pairs.append((first, row))
    return pairs


def _phase_of(row: int, starts: NDArray[np.int64]) -> int:
    return int(np.searchsorted(starts, row, side="right")) - 1
