"""Run folders made by hand, for the half of the harness that only reads them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aether_load.analysis.server.client_counts import bucket_of_counts
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import Generation, NodeShape, NodeState, Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.json_lines import LineFile
from aether_load.rundata.manifest import ClockPair, Ended, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, LEVEL, NODE, RequestRecord
from aether_load.rundata.records.record_writer import RecordWriter
from aether_load.rundata.scrapes import RawScrape

EDGES = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]
TOKENS = 7
"""What each node that succeeded costs in these folders."""


def exposition(counts: list[int], total_s: float | str, **counters: int) -> str:
    """The text that a runtime with these bucket counts would give."""
    values = {"executed_nodes_total": sum(counts), "token_cost_total": 0, "errors_total": 0, **counters}
    lines = []
    for name, value in values.items():
        lines += [f"# HELP aether_{name} x", f"# TYPE aether_{name} counter", f"aether_{name} {value}"]
    lines += ["# HELP aether_execution_time_seconds x", "# TYPE aether_execution_time_seconds histogram"]
    running = 0
    for edge, count in zip(EDGES, counts, strict=True):
        running += count
        lines.append(f'aether_execution_time_seconds_bucket{{le="{edge}"}} {running}')
    lines += [f"aether_execution_time_seconds_sum {total_s}", f"aether_execution_time_seconds_count {running}"]
    return "\n".join(lines) + "\n"


def counted(times_ms: Sequence[int], *, cached: int = 0, failed: int = 0) -> str:
    """The text that a v2 runtime would give that ran nodes of these times, on top of three nodes of 3 ms."""
    counts = [a + b for a, b in zip([3, *[0] * 11], bucket_of_counts(np.array(times_ms, np.int64)), strict=True)]
    total = 3 + len(times_ms)
    return exposition(
        counts, (9 + sum(times_ms)) / 1000, token_cost_total=TOKENS * total, errors_total=failed,
        cache_hits_total=cached, cache_misses_total=total - cached,
    )  # fmt: skip


MS = 1_000_000
BEGAN_NS = 10_000 * MS


def clock(monotonic_ms: float) -> ClockPair:
    """An instant, given in ms after the phase began."""
    return ClockPair(BEGAN_NS + int(monotonic_ms * MS), "2026-03-04T05:06:07.000000Z")


def answered(at_ms: float, latency_ms: float, server_ms: int = 60, **more: Any) -> dict[str, Any]:
    """A request of one node that was answered: sent at, taking so long, `server_ms` of it in the server.

    `nodes` takes the place of that node: the times of several, or a state in place of a time. `due_ms` is when it
    was due, if that was not when it was sent.
    """
    nodes = more.pop("nodes", (server_ms,))
    return {"at": at_ms, "latency": latency_ms, "server": server_ms, "outcome": Outcome.OK, "nodes": nodes, **more}


def failed(at_ms: float, latency_ms: float, outcome: Outcome, **more: Any) -> dict[str, Any]:
    """A request that brought no answer that could be read."""
    return {"at": at_ms, "latency": latency_ms, "server": ABSENT, "outcome": outcome, "nodes": (), **more}


def dropped(due_ms: float) -> dict[str, Any]:
    """A request that was due and never sent."""
    return {"at": None, "due_ms": due_ms, "latency": 0, "server": ABSENT, "outcome": Outcome.DROPPED, "nodes": ()}


def times_of(requests: Sequence[dict[str, Any]]) -> list[int]:
    """The times of all nodes that succeeded in these requests."""
    return [time for request in requests for time in request["nodes"] if not isinstance(time, NodeState)]


def write_records(path: Path, requests: Sequence[dict[str, Any]], indexes: Sequence[int] | None = None) -> None:
    """Write requests of one phase, `closed`, as the records of a run that goes on, of two prompts of one dataset."""
    buffer = new_buffer()
    fill(buffer, requests, "closed", indexes)
    write_buffer(path, buffer, ended=False)


def new_buffer(worker: int = 0) -> RecordBuffer:
    """A buffer for requests of two prompts of one dataset."""
    return RecordBuffer(["piqa/0", "piqa/1"], ["piqa", "piqa"], worker)


def write_buffer(path: Path, buffer: RecordBuffer, *, ended: bool = True) -> None:
    """Write all that a buffer holds as a new record file."""
    writer = RecordWriter(buffer, path)
    if ended:
        writer.finish()
    else:
        writer.write_out()
    writer.close()


def write_lines(path: Path, values: Sequence[Any]) -> None:
    """Write values as a new file of JSON lines."""
    path.unlink(missing_ok=True)
    lines = LineFile(path)
    for value in values:
        lines.append(value)
    lines.write_out()
    lines.close()


def packed_nodes(times: Sequence[object], cached: int = 0) -> bytes:
    """Nodes as a record has them: the time of one that succeeded, or the state of one that did not."""
    return b"".join(
        NODE.pack(ABSENT, node, ABSENT) if isinstance(node, NodeState) else NODE.pack(node, NodeState.SUCCEEDED, cached)
        for node in times
    )


def fill(
    buffer: RecordBuffer,
    requests: Sequence[dict[str, Any]],
    phase: str,
    indexes: Sequence[int] | None = None,
    began_ns: int = BEGAN_NS,
) -> None:
    """Add the requests of one phase that began at `began_ns`."""
    phase_place = buffer.phases.place(phase)
    for place, request in enumerate(requests):
        sent = ABSENT if request["at"] is None else began_ns + int(float(request["at"]) * MS)
        due = sent if request.get("due_ms") is None else began_ns + int(float(request["due_ms"]) * MS)
        nodes, levels = request["nodes"], request.get("levels", ())
        record = RequestRecord(
            request_index=place if indexes is None else indexes[place], due_ns=due, sent_ns=sent,
            ended_ns=ABSENT if sent == ABSENT else sent + int(float(request["latency"]) * MS),
            server_total_ms=request["server"], tokens=TOKENS * len(times_of([request])) if nodes else ABSENT,
            prompt=place % 2, nodes=len(nodes), levels=len(levels), phase=phase_place, worker=buffer.worker,
            http_status=200 if nodes else ABSENT, error=buffer.errors.place(request.get("error")),
            outcome=request["outcome"], answer_state=request.get("state", ABSENT),
            correct=request.get("correct", ABSENT), execution_id=request.get("execution_id", b""),
        )  # fmt: skip
        buffer.add(record, packed_nodes(nodes, request.get("cached", 0)), b"".join(map(LEVEL.pack, levels)))


def add_holds(buffer: RecordBuffer, holds: Sequence[tuple[float, float, float]], began_ns: int = BEGAN_NS) -> None:
    """Add holds of the sender's event loop: from, to, and caught up with, in ms after the phase began."""
    for hold in holds:
        buffer.add_hold(*(began_ns + int(at * MS) for at in hold))


def make_run(
    results: Path,
    requests: list[dict[str, Any]],
    *,
    counted_ms: list[int] | None = None,
    readings: Sequence[str | None] | None = None,
    reading_at_ms: Sequence[float] | None = None,
    window_ms: tuple[float, float | None] = (0, 1000),
    phase_ms: float = 2000,
    users: int | None = 1,
    ended_as: Ended = "completed",
    run_id: str = "20260304T050607Z-made-0001",
    scenario: dict[str, Any] | None = None,
    kind: Any = "runtime",
    generation: Generation = Generation.V2,
    nodes: tuple[NodeShape, ...] = (NodeShape("answer"),),
    indexes: Sequence[int] | None = None,
    sender: Sequence[object] = (),
    server: Sequence[object] = (),
    machine: dict[str, Any] | None = None,
    holds: Sequence[tuple[float, float, float]] = (),
    **phase: Any,
) -> RunFolder:
    """Write a run's folder: requests of one phase, and readings before and after that differ by `counted_ms`.

    Without `counted_ms` the server counted just what was answered; `readings` gives the texts themselves, and
    `reading_at_ms` when each was taken. `holds` are those of the sender's event loop, as `add_holds` takes them.
    `phase` has further fields of the phase's record.
    """
    folder = RunFolder(results / "runs" / run_id)
    folder.path.mkdir(parents=True)
    ended = ended_as != "running"
    buffer = new_buffer()
    fill(buffer, requests, "closed", indexes)
    add_holds(buffer, holds)
    write_buffer(folder.records, buffer, ended=ended)
    if readings is None:
        cached = sum(int(request.get("cached", 0)) * len(times_of([request])) for request in requests)
        failures = sum(request["nodes"].count(NodeState.FAILED) for request in requests)
        times = times_of(requests) if counted_ms is None else counted_ms
        readings = [counted([]), counted(times, cached=cached, failed=failures)]
    if reading_at_ms is None:
        reading_at_ms = [-1, *range(len(readings) - 2), phase_ms - 1]
    roles = ["before", *["during"] * (len(readings) - 2), "after"]
    scrapes = [
        RawScrape(
            phase="closed", role=role, began_ns=BEGAN_NS + int(at_ms * MS),
            ended_ns=BEGAN_NS + int(at_ms * MS) + 1, began_utc="2026-03-04T05:06:07.000000Z", text=text,
            error=None if text is not None else "no answer",
        )
        for role, text, at_ms in zip(roles, readings, reading_at_ms, strict=True)
    ]  # fmt: skip
    lines = {folder.scrapes: scrapes, folder.sender: sender, folder.server: server}
    for path, values in lines.items():
        write_lines(path, values)
    window_end = window_ms[1]
    record = PhaseRecord(
        name="closed",
        users=users,
        began=clock(0),
        window_began_ns=clock(window_ms[0]).monotonic_ns,
        window_ended_ns=None if window_end is None else clock(window_end).monotonic_ns,
        ended=clock(phase_ms) if ended else None,
        ended_by="duration" if ended else None,
        **phase,
    )
    folder.write_manifest(
        Manifest(
            id=run_id,
            scenario=scenario or {"name": "made", "phases": [{"name": "closed", "users": users or 1, "duration": 1.0}]},
            command=["locust"],
            seed=1,
            target=TargetRecord(url="http://127.0.0.1:3000", kind=kind, generation=generation, server=None),
            datasets=(
                DatasetIdentity(
                    name="piqa", source="file", location="x", config=None, split=None, revision="sha256:0",
                    rows_available=2, rows_used=2,
                ),
            ),
            node_ids=tuple(node.id for node in nodes),
            nodes=nodes,
            began=clock(0),
            ended=clock(phase_ms) if ended else None,
            ended_as=ended_as,
            phases=[record],
            git={"commit": "abc", "dirty": False},
            machine=machine or {},
            rows_total={folder.records.name: len(requests)} if ended else None,
            lines_total={path.name: len(values) for path, values in lines.items()} if ended else None,
        )
    )  # fmt: skip
    return folder
