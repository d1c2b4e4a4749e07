"""A run folder with some of everything: a sweep, an open load, two datasets, two nodes, failures, a cache, accuracy."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import Generation, NodeShape, NodeState, Outcome
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import ClockPair, Ended, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.process_usage import SelfCheck
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import ABSENT, RequestRecord
from aether_load.rundata.scrapes import RawScrape
from folders import MS, TOKENS, counted, packed_nodes, write_buffer, write_lines

USERS = (2, 4, 8, 16, 32)
WINDOW_MS = 4000
REST_MS = 500
BEGAN_MS = 20_000
UTC = "2026-03-04T05:06:07.000000Z"

SCENARIO: dict[str, Any] = {
    "name": "evening",
    "purpose": "Two sets under rising load, then at a rate.",
    "goodput_slo": "response_latency_ms<150",
    "workload": {"datasets": ["piqa", "arc_easy"], "price_usd_per_1000_tokens": 0.5},
    "phases": [
        {"name": "load", "sweep": list(USERS), "duration": 4.0},
        {"name": "open", "rate": 40.0, "duration": 4.0},
    ],
}
MACHINE = {"os": "Linux-6.1-x86_64", "cpu": "AMD EPYC 7R13", "cores": 8, "memory_bytes": 34_359_738_368}


def clock(ms: float) -> ClockPair:
    return ClockPair(int(ms * MS), UTC)


def make_rich_run(
    results: Path,
    *,
    run_id: str = "20260304T050607Z-evening-0001",
    slower: float = 1.0,
    scenario: dict[str, Any] | None = None,
    kind: Any = "runtime",
    machine: dict[str, Any] = MACHINE,
    ended_as: Ended = "completed",
    seed: int = 7,
    dataset: str = "piqa",
) -> RunFolder:
    """Write the folder; each latency is `slower` times as long."""
    folder = RunFolder(results / "runs" / run_id)
    folder.path.mkdir(parents=True)
    chance = random.Random(seed)
    names = [dataset, "arc_easy"]
    buffer = RecordBuffer([f"{name}/{row}" for name in names for row in range(2)], [n for n in names for _ in range(2)])
    records, scrapes = [], []
    index, at_ms = 0, float(BEGAN_MS)
    for users in (*USERS, None):
        name = "open" if users is None else f"load-{users}"
        place = buffer.phases.place(name)
        nodes, cached, failed = [], 0, 0
        for request in _requests(chance, users, slower):
            due = int((at_ms + request["due"]) * MS)
            sent = ABSENT if request["sent"] is None else int((at_ms + request["sent"]) * MS)
            times = request["nodes"]
            hit = request["cached"]
            done = [time for time in times if time is not None]
            nodes += done
            cached += hit * len(done)
            failed += len(times) - len(done)
            outcome = request["outcome"]
            record = RequestRecord(
                request_index=index, due_ns=due, sent_ns=sent,
                ended_ns=ABSENT if sent == ABSENT else sent + int(request["took"] * MS),
                server_total_ms=sum(done) + 1 if times else ABSENT, tokens=TOKENS * len(done) if times else ABSENT,
                prompt=index % 4, nodes=len(times), phase=place, http_status=200 if times else ABSENT,
                outcome=outcome, answer_state=0 if outcome == Outcome.OK else ABSENT,
                correct=int(chance.random() < 0.7) if outcome == Outcome.OK else ABSENT,
            )  # fmt: skip
            buffer.add(record, packed_nodes([NodeState.FAILED if time is None else time for time in times], hit))
            index += 1
        last = at_ms + WINDOW_MS + 1000
        for role, when, text in (
            ("before", at_ms - 10, counted([])),
            ("after", last, counted(nodes, cached=cached, failed=failed)),
        ):
            scrapes.append(
                RawScrape(
                    phase=name, role=role, began_ns=int(when * MS), ended_ns=int(when * MS) + 1, began_utc=UTC,
                    text=text, error=None,
                )
            )  # fmt: skip
        records.append(
            PhaseRecord(
                name=name,
                phase="open" if users is None else "load",
                users=64 if users is None else users,
                load="open" if users is None else "closed",
                rate_rps=40.0 if users is None else None,
                began=clock(at_ms - 20),
                window_began_ns=int(at_ms * MS),
                window_ended_ns=int((at_ms + WINDOW_MS) * MS),
                ended=clock(last + 1),
                ended_by="duration",
            )
        )
        at_ms = last + REST_MS
    ended = ended_as != "running"
    write_buffer(folder.records, buffer, ended=ended)
    write_lines(folder.scrapes, scrapes)
    folder.write_manifest(
        Manifest(
            id=run_id, scenario=scenario or SCENARIO, seed=7,
            command=["locust", "-f", "locustfiles/eval.py", "--headless"],
            target=TargetRecord(
                url="http://127.0.0.1:3000", kind=kind, generation=Generation.V2, server="aether-runtime/2.1"
            ),
            datasets=tuple(
                DatasetIdentity(
                    name=name, source="hub", location=f"some/{name}", config=None, split="validation",
                    revision=f"{place:040x}", rows_available=2, rows_used=2,
                )
                for place, name in enumerate(names)
            ),
            node_ids=("draft", "answer"), nodes=(NodeShape("draft"), NodeShape("answer", ("draft",))),
            answer_node="answer", began=clock(BEGAN_MS - 100), ended=clock(at_ms) if ended else None,
            ended_as=ended_as, phases=records, versions={"python": "3.11.7", "aether-load": "0.1.0"}, machine=machine,
            git={"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
            self_check=SelfCheck(
                latency_p50_ms=0.05, latency_p99_ms=0.2, latency_samples_total=2000, most_rps=20_000.0,
                cpu_us_per_request=45.0,
            ),
            rows_total={folder.records.name: buffer.rows_total} if ended else None,
            lines_total={folder.scrapes.name: len(scrapes)} if ended else None,
        )
    )  # fmt: skip
    return folder


def _requests(chance: random.Random, users: int | None, slower: float) -> Iterator[dict[str, Any]]:
    """Yield a phase's requests: a server that serves eight at a time, so that waiting grows beyond them."""
    if users is None:
        for place in range(160):
            due = place * 25.0
            if place % 40 == 39:
                yield {"due": due, "sent": None, "nodes": [], "outcome": Outcome.DROPPED, "took": 0, "cached": 0}
            else:
                delay = 60.0 if place % 16 == 15 else 0.2
                yield {"due": due, "sent": due + delay, **_answer(chance, 1.0, slower, place)}
        return
    crowd = max(1.0, users / 8)
    for user in range(users):
        at, place = user * 3.0, 0
        while at < WINDOW_MS:
            request = {"due": at, "sent": at, **_answer(chance, crowd, slower, user + place)}
            yield request
            at += request["took"] + 0.5
            place += 1


def _answer(chance: random.Random, crowd: float, slower: float, place: int) -> dict[str, Any]:
    if place % 50 == 49:
        return {"nodes": [], "outcome": Outcome.TIMEOUT, "took": 500.0, "cached": 0}
    hit = int(place % 10 == 9)
    base = 5 if hit else 30 * slower
    times: list[int | None] = [int(base * chance.uniform(0.9, 1.3)), int(base * crowd * chance.uniform(0.9, 1.4))]
    outcome = Outcome.OK
    if place % 37 == 36:
        times, outcome = [times[0], None], Outcome.NODE_ERROR
    spent = sum(time for time in times if time is not None)
    return {"nodes": times, "outcome": outcome, "took": spent + 2.5 + chance.random(), "cached": hit}
