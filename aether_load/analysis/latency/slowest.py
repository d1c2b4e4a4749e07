"""Divide the slowest requests' time into the stretches of a waterfall."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aether_load.analysis.latency.dag_shape import DagShape, dag_shape
from aether_load.protocol import Generation, NodeState
from aether_load.rundata.manifest import Manifest, PhaseRecord
from aether_load.rundata.samples.slowest import SlowNode, SlowRecord

_NOT_ALL = "not all of its nodes succeeded, and the answer does not tell the times of its levels"
_NO_LEVELS = "the run does not say how its nodes depend on each other"


class SlowNodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a slow request.

    `began_ms` counts from when the request was due; it is null where the times before it are not known.
    """

    id: str  # the node
    level: int | None  # its level, from 0
    state: str  # what became of it
    cached: bool | None  # whether it came from the cache
    began_ms: float | None  # where its bar begins
    time_ms: int | None  # its time, as the server said it


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One of the slowest requests of its dataset, part by part.

    `response_latency_ms` is the sum of `start_delay_ms`, `outside_ms`, `sender_hold_ms` and `server_ms`, and
    `server_ms` that of `scheduler_ms` and `levels_ms`. Only durations are known, not when each part was: a waterfall
    draws the time outside the server and the scheduler's before the first level. Requests without an answer that could
    be read are none of them.
    """

    phase: str  # the phase
    dataset: str  # the dataset
    prompt: str | None  # the prompt: dataset and row
    execution_id: str | None  # the id that the runtime gave it
    worker: int  # the sending process
    request_index: int  # its number in that process
    due_s: float  # when it was due, in seconds of the run
    outcome: str  # what became of it
    error: str | None  # the error, if any
    response_latency_ms: float  # from due to answered
    start_delay_ms: float  # waiting in the client, from due to sent
    outside_ms: float  # between the client and the server's own total
    sender_hold_ms: float  # by how much the sender may have read the answer late
    server_ms: int  # the server's own total
    scheduler_ms: int | None  # the runtime's own work beside the levels
    levels_ms: tuple[int, ...] | None  # each level; of nodes that ran one after the other a level each
    cached_nodes_total: int | None  # nodes from the cache
    nodes: tuple[SlowNodeReport, ...]  # each node
    reasons: dict[str, str]  # why a key is null


def slow_requests(manifest: Manifest, records: Sequence[SlowRecord], shape: DagShape | None) -> tuple[SlowRequest, ...]:
    """Return the slowest requests, as they were read from the records, the slowest first."""
    return tuple(_request(manifest, record, _own_shape(manifest, record, shape)) for record in records)


def _own_shape(manifest: Manifest, record: SlowRecord, shape: DagShape | None) -> DagShape | None:
    """Return the shape of a request's own DAG, of which `shape` has all in the run."""
    if not record.node_ids or shape is None or record.node_ids == shape.ids:
        return shape
    nodes = {node.id: node for node in manifest.nodes}
    return dag_shape([nodes[id_] for id_ in record.node_ids if id_ in nodes])


def _request(manifest: Manifest, record: SlowRecord, shape: DagShape | None) -> SlowRequest:
    phase = manifest.phases[record.phase]
    response, start_delay = (end - record.due_ns for end in (record.ended_ns, record.sent_ns))
    server_ms = record.server_total_ms
    beside = max(0.0, (response - start_delay) / 1e6 - server_ms)
    hold = min(record.late_ns / 1e6, beside)
    outside = beside - hold
    levels, reasons = _levels(manifest, phase, record, shape)
    scheduler = None if levels is None else max(0, server_ms - sum(levels))
    told = [node.cached for node in record.nodes if node.cached is not None]
    if not told:
        reasons["cached_nodes_total"] = "the answer does not tell of a cache"
    if record.execution_id is None:
        reasons["execution_id"] = "the answer named none"
    if record.prompt is None:
        reasons["prompt"] = "its name was in a damaged block"
    before_ms = None if scheduler is None else start_delay / 1e6 + outside + scheduler
    return SlowRequest(
        phase=phase.name,
        dataset=manifest.datasets[record.dataset].name,
        prompt=record.prompt,
        execution_id=record.execution_id,
        worker=record.worker,
        request_index=record.request_index,
        due_s=round((record.due_ns - manifest.began.monotonic_ns) / 1e9, 3),
        outcome=record.outcome.label,
        error=record.error,
        response_latency_ms=round(response / 1e6, 3),
        start_delay_ms=round(start_delay / 1e6, 3),
        outside_ms=round(outside, 3),
        sender_hold_ms=round(hold, 3),
        server_ms=server_ms,
        scheduler_ms=scheduler,
        levels_ms=levels,
        cached_nodes_total=sum(told) if told else None,
        nodes=_nodes(manifest, phase, record, shape, levels, before_ms),
        reasons=reasons,
    )


def _is_sequential(manifest: Manifest, phase: PhaseRecord) -> bool:
    return phase.sequential or manifest.target.generation is Generation.V1


def _levels(
    manifest: Manifest, phase: PhaseRecord, record: SlowRecord, shape: DagShape | None
) -> tuple[tuple[int, ...] | None, dict[str, str]]:
    """Return the time of each level, or None and why the server's time stays whole."""
    not_all = dict.fromkeys(("scheduler_ms", "levels_ms"), _NOT_ALL)
    if shape is None or len(record.nodes) != len(shape.ids):
        return None, dict.fromkeys(not_all, _NO_LEVELS)
    times = [node.time_ms for node in record.nodes]
    known = [time for time in times if time is not None]
    whole = len(known) == len(times) and all(node.state == NodeState.SUCCEEDED for node in record.nodes)
    if _is_sequential(manifest, phase):
        return (tuple(times[place] or 0 for place in shape.order), {}) if whole else (None, not_all)
    if record.levels_ms and sum(record.levels_ms) <= record.server_total_ms:
        return record.levels_ms, {}
    if not whole:
        return None, not_all
    return tuple(
        max(time for time, own in zip(known, shape.level_of, strict=True) if own == level)
        for level in range(shape.levels)
    ), {}


def _nodes(
    manifest: Manifest,
    phase: PhaseRecord,
    record: SlowRecord,
    shape: DagShape | None,
    levels_ms: tuple[int, ...] | None,
    before_ms: float | None,
) -> tuple[SlowNodeReport, ...]:
    """Return each node with the instant at which its level begins."""
    if shape is None or len(record.nodes) != len(shape.ids):
        ids = list(record.node_ids) or [node.id for node in manifest.nodes] or list(manifest.node_ids)
        return tuple(_node(id_, None, node, None) for id_, node in zip(ids, record.nodes, strict=False))
    step_of = dict(zip(shape.order, range(len(shape.order)), strict=True))
    steps = step_of if _is_sequential(manifest, phase) else dict(enumerate(shape.level_of))
    begins: dict[int, float] = {}
    if levels_ms is not None and before_ms is not None:
        begins = {place: round(before_ms + sum(levels_ms[:step]), 3) for place, step in steps.items()}
    places = zip(shape.ids, shape.level_of, record.nodes, strict=True)
    return tuple(_node(id_, level, node, begins.get(place)) for place, (id_, level, node) in enumerate(places))


def _node(id_: str, level: int | None, node: SlowNode, began_ms: float | None) -> SlowNodeReport:
    state = node.state.label
    return SlowNodeReport(id=id_, level=level, state=state, cached=node.cached, began_ms=began_ms, time_ms=node.time_ms)
