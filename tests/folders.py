"""Run folders made by hand, for the half of the harness that only reads them."""

from __future__ import annotations

from pathlib import Path

import msgspec

from aether_load.analysis.correlate import bucket_of_counts
from aether_load.analysis.run import ClockPair, Manifest, PhaseRecord, RunFolder, TargetRecord
from aether_load.analysis.samples import ABSENT, SampleBuffer, SampleFile
from aether_load.analysis.scrape import RawScrape
from aether_load.protocol import Generation, Outcome
from aether_load.workload.prompt import DatasetIdentity

EDGES = ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"]


def exposition(counts, total_s, **counters):
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


MS = 1_000_000
BEGAN_NS = 10_000 * MS


def clock(monotonic_ms: float) -> ClockPair:
    """An instant, given in ms after the phase began."""
    return ClockPair(BEGAN_NS + int(monotonic_ms * MS), "2026-03-04T05:06:07.000000Z")


def answered(at_ms: float, latency_ms: float, server_ms: int = 60, **more: object) -> dict[str, object]:
    """A request of one node that was answered: sent at, taking so long, `server_ms` of it in the server."""
    return {"at": at_ms, "latency": latency_ms, "server": server_ms, "outcome": Outcome.OK, "node": server_ms, **more}


def failed(at_ms: float, latency_ms: float, outcome: Outcome) -> dict[str, object]:
    """A request that brought no answer that could be read."""
    return {"at": at_ms, "latency": latency_ms, "server": ABSENT, "outcome": outcome, "node": None}


def make_run(
    results: Path,
    requests: list[dict[str, object]],
    *,
    counted_ms: list[int] | None = None,
    readings: list[str | None] | None = None,
    window_ms: tuple[float, float | None] = (0, 1000),
    users: int = 1,
    ended_as: str = "completed",
    run_id: str = "20260304T050607Z-made-0001",
    scenario: dict[str, object] | None = None,
    kind: str = "runtime",
) -> RunFolder:
    """Write a run's folder: requests of one phase, and readings before and after that differ by `counted_ms`.

    Without `counted_ms` the server counted just what was answered; `readings` gives the texts themselves.
    """
    folder = RunFolder(results / "runs" / run_id)
    folder.path.mkdir(parents=True)
    buffer = SampleBuffer(["piqa/0", "piqa/1"], ["piqa", "piqa"])
    buffer.phases.place("closed")
    for index, request in enumerate(requests):
        sent = BEGAN_NS + int(float(request["at"]) * MS)
        read = request["node"] is not None
        if read:
            buffer.add_node(request["node"], 0, request.get("cached", 0))
        buffer.add_row(
            request_index=index, due_ns=sent, sent_ns=sent, ended_ns=sent + int(float(request["latency"]) * MS),
            server_total_ms=request["server"], token_cost=7 if read else ABSENT, prompt=index % 2, nodes=int(read),
            phase=0, worker=0, http_status=200 if read else ABSENT, answer=ABSENT, error=ABSENT,
            outcome=request["outcome"], answer_state=request.get("state", ABSENT),
            correct=request.get("correct", ABSENT), execution_id=b"",
        )  # fmt: skip
    samples = SampleFile(folder.samples)
    while (batch := buffer.take()) is not None:
        samples.append(batch)
    samples.close()

    import numpy as np

    if counted_ms is None:
        counted_ms = [int(request["node"]) for request in requests if request["node"] is not None]
    if readings is None:
        buckets = list(bucket_of_counts(np.array(counted_ms, np.int64)))
        first = [3, *[0] * 11]
        both = [a + b for a, b in zip(first, buckets, strict=True)]
        readings = [exposition(first, 0.009), exposition(both, (9 + sum(counted_ms)) / 1000)]
    roles = ["before", *["during"] * (len(readings) - 2), "after"]
    lines = [
        msgspec.json.encode(
            RawScrape(
                phase="closed", role=role, began_ns=BEGAN_NS + place * MS, ended_ns=BEGAN_NS + place * MS + 1,
                began_utc="2026-03-04T05:06:07.000000Z", text=text, error=None if text is not None else "no answer",
            )
        )
        for place, (role, text) in enumerate(zip(roles, readings, strict=True))
    ]  # fmt: skip
    folder.scrapes.write_bytes(b"".join(line + b"\n" for line in lines))
    window_end = window_ms[1]
    ended = ended_as != "running"
    record = PhaseRecord(
        name="closed",
        users=users,
        began=clock(0),
        window_began_ns=clock(window_ms[0]).monotonic_ns,
        window_ended_ns=None if window_end is None else clock(window_end).monotonic_ns,
        ended=clock(2000) if ended else None,
        ended_by="duration" if ended else None,
    )
    folder.write_manifest(
        Manifest(
            id=run_id,
            scenario=scenario or {"name": "made", "phases": [{"name": "closed", "users": users, "duration": 1.0}]},
            command=["locust"],
            seed=1,
            target=TargetRecord(url="http://127.0.0.1:3000", kind=kind, generation=Generation.V2, server=None),
            datasets=(
                DatasetIdentity(
                    name="piqa", source="file", location="x", config=None, split=None, revision="sha256:0",
                    rows_available=2, rows_used=2,
                ),
            ),
            node_ids=("answer",),
            began=clock(0),
            ended=clock(2000) if ended else None,
            ended_as=ended_as,
            phases=[record],
            git={"commit": "abc", "dirty": False},
        )
    )  # fmt: skip
    return folder
