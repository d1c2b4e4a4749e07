"""Folders of claims made by hand: one run whose phases, repetitions and searches have known figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import Generation, NodeShape
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import (
    ClockPair,
    Ended,
    Manifest,
    PhaseRecord,
    ProbeRecord,
    SearchRecord,
    TargetRecord,
)
from aether_load.rundata.scrapes import RawScrape
from aether_load.schedule.search import Found
from folders import BEGAN_NS, MS, answered, counted, fill, new_buffer, times_of, write_buffer, write_lines

UTC = "2026-03-04T05:06:07.000000Z"
APART_MS = 60_000
NODES = (NodeShape("first"), NodeShape("second"), NodeShape("last", ("first", "second")))
"""Two nodes side by side and one behind them: of nodes that take equally long, two thirds of the time are needed."""

SCENARIO = """\
repeat = 6
order = "abba"

[workload]
datasets = ["piqa"]

[[phases]]
name = "sequential"
users = 1
passes = 1
cache = "cold"
sequential = true

[[phases]]
name = "parallel"
users = 1
passes = 1
cache = "cold"

[[phases]]
name = "warm"
users = 1
passes = 1
cache = "warm"
"""
LOADS = """\
[workload]
datasets = ["piqa"]

[[phases]]
name = "each-5"
users = 1
passes = 5
cache = "cold"

[[phases]]
name = "capacity"
find = "max_rate"
slo = "p(95)<500"
"""


class Driven(msgspec.Struct, frozen=True):
    """A phase as it was driven: its name in the scenario, its repetition, and its requests."""

    phase: str
    repeat: int | None
    requests: Sequence[dict[str, Any]]
    ended_by: str = "passes"
    counted_more: int = 0


def triage(latency_ms: float, node_ms: int, *, count: int = 20, **more: Any) -> list[dict[str, Any]]:
    """Requests one after the other, each of three nodes of the same time."""
    return [
        answered(place * (latency_ms + 1), latency_ms, int(latency_ms) - 1, nodes=(node_ms,) * 3, **more)
        for place in range(count)
    ]


def ablation(*, repeats: int = 6, shift_ms: float = 2.0, state: int = 0) -> list[Driven]:
    """Sequential 184 ms, parallel 124 ms, warm 34 ms and a little more in each repetition."""
    driven = []
    for repeat in range(1, repeats + 1):
        more = shift_ms * repeat
        driven += [
            Driven("sequential", repeat, triage(184 + more, 60, state=state)),
            Driven("parallel", repeat, triage(124 + more, 60, state=state)),
            Driven("warm", repeat, triage(34 + more, 10, state=state, cached=1)),
        ]
    return driven


def make_claims_run(
    folder: Path,
    scenario: dict[str, Any],
    driven: Sequence[Driven],
    *,
    kind: Any = "runtime",
    ended_as: Ended = "completed",
    found: Found | None = None,
    probes: Sequence[tuple[float, bool | None]] = (),
) -> RunFolder:
    """Write the run of a scenario, given with every default, whose phases were driven so.

    `found` is the result of its search, `probes` are loads and whether each held.
    """
    name = str(scenario["name"])
    run = RunFolder(folder / "runs" / f"20260304T050607Z-{name}-0001")
    run.path.mkdir(parents=True)
    plans = {plan["name"]: plan for plan in scenario["phases"]}
    buffer, records, scrapes = new_buffer(), [], []
    began_ns, index = BEGAN_NS, 0
    for one in driven:
        stage = one.phase if one.repeat is None else f"{one.phase}#{one.repeat}"
        fill(buffer, one.requests, stage, range(index, index + len(one.requests)), began_ns)
        index += len(one.requests)
        records.append(_record(stage, one, plans[one.phase], began_ns))
        times = [*times_of(one.requests), *[3] * one.counted_more]
        cached = sum(int(request.get("cached", 0)) * len(times_of([request])) for request in one.requests)
        scrapes += [
            _scrape(stage, "before", began_ns - MS, counted([])),
            _scrape(stage, "after", began_ns + (APART_MS - 10) * MS, counted(times, cached=cached)),
        ]
        began_ns += APART_MS * MS
    write_buffer(run.records, buffer)
    write_lines(run.scrapes, scrapes)
    records_of_probes = [
        ProbeRecord(
            phase=f"capacity-{place}", purpose="double", load=load, duration_s=3, holds=holds, against=(),
            limited_by={True: "held", False: "server", None: None}[holds],
        )
        for place, (load, holds) in enumerate(probes)
    ]  # fmt: skip
    search = SearchRecord(name="capacity", kind="rate", slo=("p(95)<500",), probes=records_of_probes, found=found)
    searches = [] if found is None else [search]
    run.write_manifest(
        Manifest(
            id=run.path.name, scenario=scenario, command=["locust"], seed=1,
            target=TargetRecord(url="http://127.0.0.1:3000", kind=kind, generation=Generation.V2, server=None),
            datasets=(
                DatasetIdentity(
                    name="piqa", source="file", location="x", config=None, split=None, revision="sha256:0",
                    rows_available=2, rows_used=2,
                ),
            ),
            node_ids=tuple(node.id for node in NODES), nodes=NODES, answer_node="last",
            began=ClockPair(BEGAN_NS, UTC), ended=ClockPair(began_ns, UTC), ended_as=ended_as, phases=records,
            searches=searches, git={"commit": "abc", "dirty": False},
            machine={"cpu": "a CPU", "cores": 2, "os": "an OS"},
            rows_total={run.records.name: index}, lines_total={run.scrapes.name: len(scrapes)},
        )
    )  # fmt: skip
    return run


def _record(name: str, one: Driven, plan: dict[str, Any], began_ns: int) -> PhaseRecord:
    last_ms = max(float(request["at"]) + float(request["latency"]) for request in one.requests)
    return PhaseRecord(
        name=name, users=1, sequential=bool(plan["sequential"]), cache=plan["cache"], phase=one.phase,
        repeat=one.repeat, began=ClockPair(began_ns, UTC), window_began_ns=began_ns,
        window_ended_ns=began_ns + int(last_ms * MS), ended=ClockPair(began_ns + (APART_MS - 5) * MS, UTC),
        ended_by=one.ended_by,
    )  # fmt: skip


def _scrape(phase: str, role: str, at_ns: int, text: str) -> RawScrape:
    return RawScrape(phase=phase, role=role, began_ns=at_ns, ended_ns=at_ns + 1, began_utc=UTC, text=text)
