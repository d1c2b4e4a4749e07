"""Gates' run folders made by hand: windows of known latencies on two sides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from aether_load.datasets.prompt import DatasetIdentity
from aether_load.protocol import Generation, NodeShape, NodeState
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import ClockPair, Ended, Manifest, PhaseRecord, TargetRecord
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.gate_plan import GatePlan, gate_scenario
from aether_load.scenario.load import from_plain, to_plain
from folders import BEGAN_NS, MS, add_holds, answered, counted, fill, new_buffer, times_of, write_buffer, write_lines

UTC = "2026-03-04T05:06:07.000000Z"
APART_MS = 2000
"""From the beginning of a window to that of the next."""

Requests = list[dict[str, Any]]


def one_user(latency_ms: float, window_ms: float = 1000, **more: Any) -> Requests:
    """The requests of one user who sends for a window, each taking so long."""
    count = int(-(-window_ms // latency_ms))
    return [answered(place * latency_ms, latency_ms, **more) for place in range(count)]


def make_gate(
    results: Path,
    base: Callable[[int], Requests],
    candidate: Callable[[int], Requests],
    *,
    pairs: int = 30,
    metrics: Sequence[str] = ("ok_throughput_rps",),
    ended_as: Ended = "completed",
    counted_more: Callable[[str, int], int] = lambda _side, _pair: 0,
    scenario: dict[str, Any] | None = None,
    kind: str = "runtime",
    holds: Sequence[tuple[float, float, float]] = (),
    **plan: Any,
) -> RunFolder:
    """Write a gate's folder: each side's requests by the number of the pair, in the order ABBA.

    `counted_more(side, pair)` nodes of somebody else's are counted by the server in that window. In each the sender is
    held as `holds` says.
    """
    folder = RunFolder(results / "runs" / "20260304T050607Z-gate-0001")
    folder.path.mkdir(parents=True)
    gate = GatePlan(
        base="http://127.0.0.1:3001", candidate="http://127.0.0.1:3002", pairs=30, window_s=1.0, metrics=tuple(metrics),
        command=("aether-load", "gate"), **plan,
    )  # fmt: skip
    phases = [{"name": "closed", "users": 1, "duration": 1.0}]
    plain = {"name": "gate", "workload": {"datasets": ["piqa"]}, "phases": phases, **(scenario or {})}
    buffer, records, scrapes = new_buffer(), [], []
    began_ns, index = BEGAN_NS, 0
    for pair in range(1, pairs + 1):
        sides = [("base", base), ("candidate", candidate)]
        for side, requests_of in sides if pair % 2 else reversed(sides):
            requests, name = requests_of(pair), f"{side}#{pair}"
            fill(buffer, requests, name, range(index, index + len(requests)), began_ns)
            add_holds(buffer, holds, began_ns)
            index += len(requests)
            records.append(_record(name, side, pair, began_ns))
            failures = sum(request["nodes"].count(NodeState.FAILED) for request in requests)
            times = [*times_of(requests), *[3] * counted_more(side, pair)]
            scrapes += [
                _scrape(name, "before", began_ns - MS, counted([])),
                _scrape(name, "after", began_ns + (APART_MS - 10) * MS, counted(times, failed=failures)),
            ]
            began_ns += APART_MS * MS
    ended = ended_as != "running"
    write_buffer(folder.records, buffer, ended=ended)
    write_lines(folder.scrapes, scrapes)
    folder.write_manifest(
        Manifest(
            id=folder.path.name, scenario=to_plain(gate_scenario(from_plain(plain), gate)), command=list(gate.command),
            seed=1, target=_target(gate.base, kind), candidate=_target(gate.candidate, kind), gate=gate,
            datasets=(
                DatasetIdentity(
                    name="piqa", source="file", location="x", config=None, split=None, revision="sha256:0",
                    rows_available=2, rows_used=2,
                ),
            ),
            node_ids=("answer",), nodes=(NodeShape("answer"),), began=ClockPair(BEGAN_NS, UTC),
            ended=ClockPair(began_ns, UTC) if ended else None, ended_as=ended_as, phases=records,
            git={"commit": "abc", "dirty": False}, machine={"cpu": "a CPU", "cores": 2, "os": "an OS"},
            rows_total={folder.records.name: index} if ended else None,
            lines_total={folder.scrapes.name: len(scrapes)} if ended else None,
        )
    )  # fmt: skip
    return folder


def _record(name: str, side: str, pair: int, began_ns: int) -> PhaseRecord:
    return PhaseRecord(
        name=name, users=1, phase=side, repeat=pair, began=ClockPair(began_ns, UTC), window_began_ns=began_ns,
        window_ended_ns=began_ns + 1000 * MS, ended=ClockPair(began_ns + (APART_MS - 5) * MS, UTC), ended_by="duration",
    )  # fmt: skip


def _scrape(phase: str, role: str, at_ns: int, text: str) -> RawScrape:
    return RawScrape(phase=phase, role=role, began_ns=at_ns, ended_ns=at_ns + 1, began_utc=UTC, text=text)


def _target(url: str, kind: Any) -> TargetRecord:
    return TargetRecord(url=url, kind=kind, generation=Generation.V2, server=None)
