"""Pair a gate's windows, and sum up each side over all of its windows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import msgspec
import numpy as np

from aether_load.analysis.statistics.distribution import Distribution, distribution, rounded
from aether_load.dag.program import ProgramIdentity
from aether_load.gate.analysis.window import GateWindow
from aether_load.rundata.manifest import Manifest, TargetRecord
from aether_load.rundata.samples.table import PhaseSamples, response_ms
from aether_load.scenario.gate_plan import SIDES

_FIGURES = re.compile(r"[0-9.]+%?")

SideName = Literal["base", "candidate"]


class GatePair(msgspec.Struct, frozen=True, kw_only=True):
    """Two windows next to each other in time; `not_used` says why they are in no comparison, None where they are."""

    pair: int
    first: SideName
    base: GateWindow | None
    candidate: GateWindow | None
    not_used: str | None


class SideReport(msgspec.Struct, frozen=True, kw_only=True):
    """One side over all of its windows, those of pairs that were not used too; `name` is its build's.

    `program` is the compiled program that it was sent, if it was sent one.
    """

    side: SideName
    name: str | None = None
    target: TargetRecord
    program: ProgramIdentity | None = None
    windows_total: int
    requests_total: int
    ok_total: int
    rejected_total: int
    error_rate: float | None
    cached_share: float | None
    response_latency_ms: Distribution | None = None


def gate_pairs(windows: Mapping[tuple[str | None, int | None], GateWindow], manifest: Manifest) -> Iterator[GatePair]:
    """Yield each pair that was begun, in the order driven."""
    for repeat in dict.fromkeys(repeat for _, repeat in windows):
        assert repeat is not None
        both = {side: windows.get((side, repeat)) for side in SIDES}
        first = next(record.phase for record in manifest.phases if record.repeat == repeat)
        not_used = None
        missing = [side for side, window in both.items() if window is None]
        void = [f"{side}: {window.void}" for side, window in both.items() if window is not None and window.void]
        if repeat == 1:
            not_used = "the first pair is dropped: connections and caches settle in it"
        elif missing:
            not_used = f"{missing[0]}: its window was not driven"
        elif void:
            not_used = "; ".join(void)
        yield GatePair(
            pair=repeat,
            first="candidate" if first == "candidate" else "base",
            base=both["base"],
            candidate=both["candidate"],
            not_used=not_used,
        )


def side_report(
    side: SideName,
    manifest: Manifest,
    windows: Mapping[tuple[str | None, int | None], GateWindow],
    samples: Sequence[PhaseSamples],
) -> SideReport:
    """Return one side over all of its windows; `samples` are those of all phases, in the manifest's order."""
    plan = manifest.gate
    assert plan is not None
    assert manifest.candidate is not None
    is_base = side == "base"
    own = [window for (name, _), window in windows.items() if name == side]
    parts = [part for record, part in zip(manifest.phases, samples, strict=True) if record.phase == side]
    requests = sum(window.requests_total for window in own)
    failed = sum((window.error_rate or 0.0) * window.requests_total for window in own)
    told = sum(window.nodes_told_total for window in own)
    latencies = [response_ms(part, part.in_window & part.was_sent) for part in parts]
    return SideReport(
        side=side,
        name=plan.base_name if is_base else plan.candidate_name,
        target=manifest.target if is_base else manifest.candidate,
        program=manifest.program if is_base else manifest.candidate_program or manifest.program,
        windows_total=len(own),
        requests_total=requests,
        ok_total=sum(window.ok_total for window in own),
        rejected_total=sum(window.rejected_total for window in own),
        error_rate=rounded(failed / requests) if requests else None,
        cached_share=rounded(sum(window.cached_nodes_total for window in own) / told) if told else None,
        response_latency_ms=distribution(np.concatenate(latencies)) if sum(map(len, latencies)) else None,
    )


def used_pairs(pairs: Sequence[GatePair]) -> list[GatePair]:
    """Return the pairs that comparisons are made of."""
    return [pair for pair in pairs if pair.not_used is None]


def why_not_used(pairs: Sequence[GatePair]) -> list[str]:
    """Return why pairs were not used, the most frequent reason first; those that differ in figures only are one."""
    reasons = [pair.not_used for pair in pairs if pair.not_used is not None]
    kinds = Counter(_FIGURES.sub("", reason) for reason in reasons)
    first = {_FIGURES.sub("", reason): reason for reason in reversed(reasons)}
    return [f"{count} pairs, as in {first[kind]}" if count > 1 else first[kind] for kind, count in kinds.most_common()]
