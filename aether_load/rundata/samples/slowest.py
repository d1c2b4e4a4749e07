"""Keep the slowest requests of each dataset while a run's records are read."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.protocol import READABLE, NodeState, Outcome
from aether_load.rundata.manifest import PhaseRecord
from aether_load.rundata.records.record_format import ABSENT, NODE_FIELDS
from aether_load.rundata.records.record_reader import RecordBatch, Tables
from aether_load.rundata.samples.holds import Holds

KEPT = 10
"""Requests that are kept of each dataset."""
_AS_RECORDED = ("worker", "request_index", "due_ns", "sent_ns", "ended_ns", "server_total_ms")
_LATEST_NS = np.iinfo(np.int64).max


class SlowNode(msgspec.Struct, frozen=True):
    """A node of a slow request: its time in ms where it has one, its state, and whether it came from the cache."""

    time_ms: int | None
    state: NodeState
    cached: bool | None


class SlowRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One request as it was recorded; instants in monotonic ns.

    `phase` is the place of its phase among those that were read. `late_ns` is by how much its answer may have been
    read late. `node_ids` are those of its DAG, as the run lists them; there are none where the records do not say.
    """

    phase: int
    dataset: int
    prompt: str | None
    worker: int
    request_index: int
    due_ns: int
    sent_ns: int
    ended_ns: int
    late_ns: int = 0
    outcome: Outcome
    error: str | None
    execution_id: str | None
    server_total_ms: int
    nodes: tuple[SlowNode, ...]
    node_ids: tuple[str, ...] = ()
    levels_ms: tuple[int, ...]

    @property
    def latency_ns(self) -> int:
        """Return its response latency: from due to answered."""
        return self.ended_ns - self.due_ns


class SlowestRecords:
    """Takes in batches and keeps each dataset's requests that took longest from due to answered, of the windows.

    Requests without an answer that could be read are left out: nothing divides their time.
    """

    def __init__(self, records: Sequence[PhaseRecord], datasets: int) -> None:
        def edge(value: int | None, absent: int) -> int:
            return absent if value is None else value

        # The two places behind the phases' own are of phases that are not wanted, and of those without a name.
        never = [_LATEST_NS, _LATEST_NS]
        self._began = np.array([*(edge(record.window_began_ns, _LATEST_NS) for record in records), *never])
        self._ended = np.array([*(edge(record.window_ended_ns, _LATEST_NS) for record in records), *never])
        self._kept: list[list[SlowRecord]] = [[] for _ in range(datasets)]
        self._floor = np.full(datasets + 1, -1, np.int64)
        self._floor[datasets] = _LATEST_NS

    def add(self, batch: RecordBatch, tables: Tables, phase: NDArray[np.int64], dataset: NDArray[np.integer]) -> None:
        """Take in a batch; `phase` and `dataset` have each request's place, -1 for none."""
        rows = batch.requests
        latency = rows["ended_ns"] - rows["due_ns"]
        due = rows["due_ns"]
        slow = np.isin(rows["outcome"], READABLE) & (latency > self._floor[dataset])
        slow &= (due >= self._began[phase]) & (due <= self._ended[phase])
        found = np.flatnonzero(slow)
        if not len(found):
            return
        found = found[np.argsort(latency[found], kind="stable")[::-1]]
        first_node, first_level = (np.cumsum(rows[name], dtype=np.int64) - rows[name] for name in ("nodes", "levels"))
        for place in np.unique(dataset[found]):
            mine = found[dataset[found] == place][:KEPT]
            kept = self._kept[place]
            kept += [
                _record(
                    batch, tables, int(row), int(phase[row]), int(place), int(first_node[row]), int(first_level[row])
                )
                for row in mine
            ]
            kept.sort(key=lambda record: -record.latency_ns)
            del kept[KEPT:]
            if len(kept) == KEPT:
                self._floor[place] = kept[-1].latency_ns

    def finish(self, holds: Holds) -> tuple[SlowRecord, ...]:
        """Return what was kept, the slowest first; `holds` are those of the senders' event loops."""
        kept = sorted((record for mine in self._kept for record in mine), key=lambda record: -record.latency_ns)
        if not kept:
            return ()
        columns = [np.array([getattr(record, name) for record in kept]) for name in ("worker", "sent_ns", "ended_ns")]
        late = holds.late_ns(columns[0].astype(np.int16), *columns[1:])
        return tuple(msgspec.structs.replace(record, late_ns=int(by)) for record, by in zip(kept, late, strict=True))


def _record(
    batch: RecordBatch, tables: Tables, row: int, phase: int, dataset: int, first_node: int, first_level: int
) -> SlowRecord:
    request = batch.requests[row]
    nodes = batch.nodes[first_node : first_node + int(request["nodes"])]
    levels = batch.levels[first_level : first_level + int(request["levels"])]
    identifier = request["execution_id"].tobytes()
    return SlowRecord(
        phase=phase,
        dataset=dataset,
        prompt=_text(tables.prompts, int(request["prompt"])),
        outcome=Outcome(int(request["outcome"])),
        error=_text(tables.errors, int(request["error"])),
        execution_id=str(UUID(bytes=identifier)) if any(identifier) else None,
        nodes=tuple(map(_node, nodes)),
        node_ids=tables.node_ids(int(request["dag"])),
        levels_ms=tuple(levels.tolist()),
        **{name: int(request[name]) for name in _AS_RECORDED},
    )


def _node(node: np.void) -> SlowNode:
    time, state, cached = (int(node[name]) for name in NODE_FIELDS)
    return SlowNode(None if time == ABSENT else time, NodeState(state), None if cached == ABSENT else bool(cached))


def _text(texts: Sequence[str | None], place: int) -> str | None:
    return texts[place] if 0 <= place < len(texts) else None
