"""Hold a run's samples as NumPy columns, one phase at a time, small enough for ten million of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import READABLE, NodeState, Outcome
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.iterations import NO_ITERATIONS, PhaseIterations

_PIECE_ROWS = 131_072


class PhaseSamples(msgspec.Struct, frozen=True, kw_only=True):
    """One phase's samples, an array a column; `ABSENT` (-1) stands where nothing was measured.

    Instants are monotonic ns, times whole ms as the server said them. Node columns have a row a request and a
    column a node, in the manifest's order, and `ABSENT` for nodes that are not of the request's DAG; `sent_nodes` is
    how many are. `dataset` and `outcome` are places in the manifest's datasets and in `Outcome`; a request's index is
    one of its worker's. `window_began_ns` and `window_ended_ns` are the window's edges, None when it never opened.
    `late_ns` is by how much an answer may have been read late because the sender's event loop was held;
    `holds_total` times in the window, for `held_ns_total` in all and `longest_hold_ns` at a time.
    `cycles_total` answers refused a DAG with a cycle. `levels_told_total` answers named the times of their levels;
    in `levels_over_total` of them these add up to more than the total, in `levels_short_total` a level is shorter
    than one of its nodes. `execution_key` is the same in two rows where their execution ids are; 0 for no id.
    `errors` has outcome, text and number of requests of each error, the most frequent first. `name` is a place in
    `names`, which a user's own code gave its requests, or `ABSENT`; `iterations` are the passes of its tasks.
    """

    request_index: NDArray[np.int64]
    worker: NDArray[np.int16]
    due_ns: NDArray[np.int64]
    sent_ns: NDArray[np.int64]
    ended_ns: NDArray[np.int64]
    dataset: NDArray[np.int16]
    name: NDArray[np.int16]
    outcome: NDArray[np.int8]
    server_total_ms: NDArray[np.int32]
    token_cost: NDArray[np.int64]
    answer_state: NDArray[np.int8]
    correct: NDArray[np.int8]
    node_times_ms: NDArray[np.int32]
    node_states: NDArray[np.int8]
    node_cached: NDArray[np.int8]
    sent_nodes: NDArray[np.int32]
    late_ns: NDArray[np.int64]
    execution_key: NDArray[np.uint64]
    holds_total: int = 0
    held_ns_total: int = 0
    longest_hold_ns: int = 0
    cycles_total: int
    levels_told_total: int = 0
    levels_over_total: int = 0
    levels_short_total: int = 0
    errors: tuple[tuple[str, str, int], ...] = ()
    names: tuple[str, ...] = ()
    iterations: PhaseIterations = NO_ITERATIONS
    window_began_ns: int | None
    window_ended_ns: int | None

    def __len__(self) -> int:
        return len(self.due_ns)

    def pieces(self) -> Iterator[PhaseSamples]:
        """Yield all samples in pieces of their order, which share the memory of the columns; see `pieces`."""
        columns = {
            name: column for name in self.__struct_fields__ if isinstance(column := getattr(self, name), np.ndarray)
        }
        for rows in pieces(len(self)):
            yield msgspec.structs.replace(self, **{name: column[rows] for name, column in columns.items()})

    @property
    def window_s(self) -> float | None:
        """Return the window's length in seconds, or None when it never opened."""
        if self.window_began_ns is None or self.window_ended_ns is None:
            return None
        return (self.window_ended_ns - self.window_began_ns) / 1e9

    @property
    def in_window(self) -> NDArray[np.bool_]:
        """Tell of each request whether it was due inside the window."""
        if self.window_began_ns is None or self.window_ended_ns is None:
            return np.zeros(len(self), np.bool_)
        inside: NDArray[np.bool_] = (self.due_ns >= self.window_began_ns) & (self.due_ns <= self.window_ended_ns)
        return inside

    @property
    def completed(self) -> NDArray[np.bool_]:
        """Tell of each request whether its answer came in inside the window, whenever it was sent.

        In a steady load as many reach in at its beginning as reach out at its end.
        """
        if self.window_began_ns is None or self.window_ended_ns is None:
            return np.zeros(len(self), np.bool_)
        inside = (self.ended_ns >= self.window_began_ns) & (self.ended_ns <= self.window_ended_ns)
        answered: NDArray[np.bool_] = inside & self.was_sent & (self.outcome != Outcome.CANCELLED)
        return answered

    def labelled(self, label: str, datasets: Sequence[str]) -> NDArray[np.bool_]:
        """Tell of each request whether a row or scope of that label is of it: by its name, or by its dataset."""
        places = [names.index(label) if label in names else None for names in (self.names, datasets)]
        found = np.zeros(len(self), np.bool_)
        for column, place in zip((self.name, self.dataset), places, strict=True):
            if place is not None:
                found |= column == place
        return found

    @property
    def was_sent(self) -> NDArray[np.bool_]:
        """Tell of each request whether it was sent at all."""
        sent: NDArray[np.bool_] = self.sent_ns != ABSENT
        return sent

    @property
    def readable(self) -> NDArray[np.bool_]:
        """Tell of each request whether its answer was read in full."""
        readable: NDArray[np.bool_] = self.outcome == READABLE[0]
        for outcome in READABLE[1:]:
            readable |= self.outcome == outcome
        return readable

    def lacks_node(self, place: int) -> bool:
        """Tell whether a node is of another DAG than those of these requests, as far as their answers tell."""
        is_of_several = bool((self.sent_nodes < self.node_states.shape[1]).any())
        return is_of_several and not (self.node_states[:, place] != ABSENT).any()

    @property
    def all_succeeded(self) -> NDArray[np.bool_]:
        """Tell of each request whether every node of its DAG succeeded."""
        whole: NDArray[np.bool_] = self.succeeded_nodes.sum(axis=1) == self.sent_nodes
        return whole

    @property
    def succeeded_nodes(self) -> NDArray[np.bool_]:
        """Tell of each node of each request whether it succeeded."""
        succeeded: NDArray[np.bool_] = self.node_states == NodeState.SUCCEEDED
        return succeeded


def service_ms(samples: PhaseSamples, which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the time from sent to answered, of sent requests, in ms at the samples' resolution of 1 us."""
    return _took_ms(samples, samples.sent_ns, which)


def response_ms(samples: PhaseSamples, which: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the time from due to answered, of sent requests, in ms at the samples' resolution of 1 us."""
    return _took_ms(samples, samples.due_ns, which)


class Latencies(NamedTuple):
    """Latencies in ms as they were measured, and the least that each may have been; None where both are the same.

    They differ where the sender may have read an answer late.
    """

    measured: NDArray[np.float64]
    at_least: NDArray[np.float64] | None


def service_latencies(samples: PhaseSamples, which: NDArray[np.bool_]) -> Latencies:
    """Return the times from sent to answered, of sent requests."""
    return _latencies(samples, samples.sent_ns, which)


def response_latencies(samples: PhaseSamples, which: NDArray[np.bool_]) -> Latencies:
    """Return the times from due to answered, of sent requests."""
    return _latencies(samples, samples.due_ns, which)


def _latencies(samples: PhaseSamples, since_ns: NDArray[np.int64], which: NDArray[np.bool_]) -> Latencies:
    late = any(samples.late_ns[rows][which[rows]].any() for rows in pieces(len(which)))
    at_least = _took_ms(samples, since_ns, which, samples.late_ns) if late else None
    return Latencies(_took_ms(samples, since_ns, which), at_least)


def _took_ms(
    samples: PhaseSamples,
    since_ns: NDArray[np.int64],
    which: NDArray[np.bool_],
    less_ns: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Return the times since an instant, less something, in ms at the samples' resolution of 1 us."""
    took = np.empty(int(np.count_nonzero(which)))
    end = 0
    for rows in pieces(len(which)):
        mine = which[rows]
        ns = samples.ended_ns[rows][mine]
        ns -= since_ns[rows][mine]
        if less_ns is not None:
            ns -= less_ns[rows][mine]
        ns //= 1000
        np.divide(ns, 1000, out=took[end : (end := end + len(ns))])
    return took


def pieces(rows: int) -> Iterator[slice]:
    """Yield slices that together are so many rows, each small enough that what is made of it stays in the cache.

    Memory that a whole column takes for a moment costs more time than the arithmetic.
    """
    for start in range(0, rows, _PIECE_ROWS):
        yield slice(start, min(rows, start + _PIECE_ROWS))


def together(parts: Sequence[PhaseSamples]) -> PhaseSamples:
    """Return the samples of several phases as one, whose window reaches from the first to the last."""
    columns: dict[str, Any] = {}
    for field in msgspec.structs.fields(PhaseSamples):
        values = [getattr(part, field.name) for part in parts]
        if isinstance(values[0], np.ndarray):
            columns[field.name] = np.concatenate(values)
        elif field.name.endswith("_total"):
            columns[field.name] = sum(values)
        elif field.name.startswith("longest_"):
            columns[field.name] = max(values)
    edges = [part.window_began_ns for part in parts], [part.window_ended_ns for part in parts]
    return PhaseSamples(**columns, window_began_ns=edges[0][0], window_ended_ns=edges[1][-1])
