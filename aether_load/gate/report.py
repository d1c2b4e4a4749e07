"""Build the report of a gate from its folder: pairs, comparisons, and the verdict on the candidate."""

from __future__ import annotations

from typing import Any

import msgspec

from aether_load.analysis.phase.phase_report import PhaseInputs
from aether_load.analysis.report import RunInfo, run_info
from aether_load.analysis.server.repeated_answers import repeated_answers
from aether_load.analysis.verdict.warnings import Warning_, run_warnings
from aether_load.datasets.prompt import DatasetIdentity
from aether_load.errors import UsageError
from aether_load.gate.analysis.comparison import GateComparison, compare_sides
from aether_load.gate.analysis.pairs import GatePair, SideReport, gate_pairs, side_report, used_pairs
from aether_load.gate.analysis.verdict import GateVerdict, decide_gate
from aether_load.gate.analysis.warnings import for_gate, gate_warnings
from aether_load.gate.analysis.window import gate_window
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.run_data import read_run
from aether_load.scenario.gate_plan import SIDES, GatePlan, parse_gate_metric
from aether_load.scenario.load import from_plain

GATE_SCHEMA_VERSION = "1.0"


class GateReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a gate found out; gate.json is this, key for key."""

    schema_version: str
    run: RunInfo
    plan: GatePlan
    verdict: GateVerdict
    comparisons: tuple[GateComparison, ...]
    sides: tuple[SideReport, ...]
    warnings: tuple[Warning_, ...]
    pairs_used_total: int
    pairs: tuple[GatePair, ...]
    datasets: tuple[DatasetIdentity, ...]
    scenario: dict[str, Any]
    environment: dict[str, dict[str, Any]]


def build_gate_report(folder: RunFolder) -> GateReport:
    """Return what a gate's folder says; raises UsageError for a run that is no gate's."""
    manifest = folder.read_manifest()
    plan = manifest.gate
    if plan is None or manifest.candidate is None:
        raise UsageError(f"{folder.path} is no gate's run; read it with: aether-load report {folder.path}")
    scenario = from_plain(manifest.scenario, f"in {folder.manifest}")
    data = read_run(folder, manifest, (0,) * len(manifest.node_ids))
    inputs = PhaseInputs(manifest=manifest, scenario=scenario, shape=None, data=data)
    metrics = [parse_gate_metric(text) for text in plan.metrics]
    windows = {
        (record.phase, record.repeat): gate_window(inputs, record, samples, metrics)
        for record, samples in zip(manifest.phases, data.phases, strict=True)
    }
    pairs = tuple(gate_pairs(windows, manifest))
    sides = tuple(side_report(side, manifest, windows, data.phases) for side in SIDES)
    used = used_pairs(pairs)
    comparisons = tuple(compare_sides(metric, used, plan) for metric in metrics)
    repeated = repeated_answers([record.name for record in manifest.phases], data.phases)
    of_run = run_warnings(manifest, scenario, data.damage, data.torn, repeated)
    warnings = (*map(for_gate, of_run), *gate_warnings(scenario, pairs, sides))
    verdict = decide_gate(manifest.ended_as, scenario, pairs, sides, comparisons, warnings)
    return GateReport(
        schema_version=GATE_SCHEMA_VERSION,
        run=run_info(manifest, scenario),
        plan=plan,
        verdict=verdict,
        comparisons=comparisons,
        sides=sides,
        warnings=warnings,
        pairs_used_total=len(used),
        pairs=pairs,
        datasets=manifest.datasets,
        scenario=manifest.scenario,
        environment={"versions": manifest.versions, "machine": manifest.machine, "git": manifest.git},
    )
