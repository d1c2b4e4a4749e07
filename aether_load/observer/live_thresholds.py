"""Watches a run that is going on for thresholds that are to end it (`python -m aether_load.observer.live_thresholds`).

A process of its own, because the analysis has no business in the one that sends. The run's folder is the argument;
one line on standard output says that it is ready, a second one, an `AbortRecord` as JSON, that a threshold is broken.
It ends with its parent, which holds the other end of its standard input.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns, process_time

import msgspec

from aether_load.analysis.latency.dag_shape import dag_shape, nodes_alone
from aether_load.analysis.latency.row_parts import part_means_of
from aether_load.analysis.phase.phase_report import ALL
from aether_load.analysis.phase.rows import Terms, build_row
from aether_load.analysis.statistics.window_rates import clock_error_s, window_rates
from aether_load.analysis.verdict.conditions import Finding, judge_condition
from aether_load.analysis.verdict.thresholds import names_in
from aether_load.protocol import Generation
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.manifest import AbortRecord, Manifest, PhaseRecord
from aether_load.rundata.sample_reader import sample_parts
from aether_load.rundata.table import PhaseSamples
from aether_load.rundata.table_reader import read_phases
from aether_load.scenario.load import from_plain
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import Scope, ThresholdPlan, scope_of

CONFIDENCE = 0.999
"""Of the intervals here: who looks a hundred times must not be wrong one time in twenty."""
SHORTEST_PAUSE_S = 1.0
PAUSE_BY_LOOK = 10
"""Pauses last so many times the CPU time of the look before them: all of it takes a tenth of a core at most."""
READY = b"ready\n"


class Watch:
    """Looks at a run's folder again and again; phases that are over and were looked at since are left out."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._done: set[str] = set()

    def look(self) -> AbortRecord | None:
        """Return the first threshold that is found broken, if any."""
        manifest = self._folder.read_manifest()
        scenario = from_plain(manifest.scenario)
        now_ns = monotonic_ns()
        records = [
            record
            for record in manifest.phases
            if record.search is None and record.window_began_ns is not None and record.name not in self._done
        ]
        plans = [plan for plan in scenario.thresholds if plan.abort_on_fail]
        if not any(_is_due(plan, record, now_ns) for plan in plans for record in records):
            return None
        datasets = [identity.name for identity in manifest.datasets]
        shape = dag_shape(manifest.nodes or nodes_alone(manifest.node_ids))
        level_of = shape.level_of if shape else (0,) * len(manifest.node_ids)
        read = read_phases(sample_parts(self._folder, manifest), records, datasets, level_of)
        for record, samples in zip(records, read.phases, strict=True):
            for plan in plans:
                if not _is_due(plan, record, now_ns):
                    continue
                found = _judge(plan, manifest, scenario, record, samples)
                if found is not None and found[1].state == "broken":
                    return AbortRecord(
                        condition=plan.condition.text,
                        phase=record.name,
                        dataset=found[0].dataset,
                        shown=found[1].shown,
                        confidence=CONFIDENCE,
                        after_s=round(_open_for_ns(record, now_ns) / 1e9, 3),
                    )
        # By the manifest as it was before the samples were read, so that all of them were there.
        self._done |= {record.name for record in records if record.ended is not None}
        return None


def _open_for_ns(record: PhaseRecord, now_ns: int) -> int:
    assert record.window_began_ns is not None
    return (record.window_ended_ns or now_ns) - record.window_began_ns


def _is_due(plan: ThresholdPlan, record: PhaseRecord, now_ns: int) -> bool:
    return _open_for_ns(record, now_ns) >= plan.delay_abort_eval * 1e9


def _judge(
    plan: ThresholdPlan, manifest: Manifest, scenario: Scenario, record: PhaseRecord, samples: PhaseSamples
) -> tuple[Scope, Finding] | None:
    """Return what a threshold comes to in a phase that is going on; None where it is not about that phase."""
    condition = plan.condition
    scope = scope_of(condition.where, names_in(manifest, scenario))
    places = {identity.name: place for place, identity in enumerate(manifest.datasets)}
    if not scope.covers(record.name, record.phase) or not {scope.dataset} <= {None, *places}:
        return None
    which = samples.in_window
    if scope.dataset is not None:
        which = which & (samples.dataset == places[scope.dataset])
    terms = Terms(
        unscored=manifest.unscored,
        goodput_slo=scenario.goodput_slo,
        price_usd_per_1000_tokens=scenario.workload.price_usd_per_1000_tokens,
    )
    parts = None
    if condition.metric.startswith("decomposition_mean_ms."):
        shape = dag_shape(manifest.nodes or nodes_alone(manifest.node_ids))
        sequential = record.sequential or manifest.target.generation is Generation.V1
        parts = part_means_of(samples, which, shape, sequential=sequential)
    rates = window_rates(samples, record, clock_error_s(manifest))
    row = build_row(scope.dataset or ALL, samples, which if scope.dataset else None, terms, parts, rates)
    return scope, judge_condition(condition, row, samples, which, confidence=CONFIDENCE)


def watch(look: Callable[[], AbortRecord | None], wait: Callable[[float], bool]) -> AbortRecord | None:
    """Look again and again until something is found, or `wait` says that nobody wants to know any more."""
    pause_s = SHORTEST_PAUSE_S
    while not wait(pause_s):
        began_s = process_time()
        if (found := look()) is not None:
            return found
        pause_s = max(SHORTEST_PAUSE_S, PAUSE_BY_LOOK * (process_time() - began_s))
    return None


def _parent_is_gone(within_s: float) -> bool:
    """Wait; tell whether standard input ended meanwhile, which it does with whoever holds its other end."""
    return bool(select.select([sys.stdin], [], [], within_s)[0])


def main() -> int:
    """Watch the run whose folder the argument names."""
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    found = watch(Watch(RunFolder(Path(sys.argv[1]))).look, _parent_is_gone)
    if found is not None:
        sys.stdout.buffer.write(msgspec.json.encode(found) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
