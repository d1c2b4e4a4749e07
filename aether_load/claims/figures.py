"""The phases and searches of finished runs by SCENARIO/PHASE, and why one cannot be used."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aether_load.analysis.phase.phase_report import PhaseReport
from aether_load.analysis.phase.searches import SearchReport
from aether_load.analysis.report import Report, build_report
from aether_load.rundata.folder import RunFolder
from aether_load.rundata.records.record_set import record_parts
from aether_load.rundata.samples.samples_arrow import read_samples
from aether_load.scenario.warning_codes import WarningCode

ENDS_IN_ORDER = frozenset(["duration", "requests", "passes", "trace"])


class RunFigures(msgspec.Struct, frozen=True):
    """A run's report, and how many different prompts each of its phases sent."""

    report: Report
    distinct_prompts: dict[str, int]


class PhaseFigures(msgspec.Struct, frozen=True):
    """The repetitions of a phase that ran to their end and may be used; `reason` says why there are none."""

    phases: tuple[PhaseReport, ...] = ()
    distinct_prompts: int | None = None
    mock: bool = False
    reason: str | None = None


def read_figures(folder: RunFolder) -> RunFigures:
    """Return what a run's folder says; raises AetherLoadError where it cannot be read."""
    table = read_samples(record_parts(folder, folder.read_manifest())).table.select(["phase", "prompt_id"])
    counts = table.to_pandas().groupby("phase", observed=True)["prompt_id"].nunique()
    return RunFigures(build_report(folder), {str(phase): int(count) for phase, count in counts.items()})


class Figures:
    """What was measured, run by run."""

    def __init__(self, runs: Sequence[RunFigures]) -> None:
        """Take runs of different scenarios; of several of one scenario the last counts."""
        self._runs = {run.report.run.scenario: run for run in runs}

    def phase(self, place: str, *, failures: bool = False) -> PhaseFigures:
        """Return a phase's repetitions, those that were interrupted left out; with `failures` any number may fail."""
        scenario, _, name = place.partition("/")
        run = self._runs.get(scenario)
        if run is None:
            return PhaseFigures(reason=f"scenario {scenario} was not run")
        all_of_it = [phase for phase in run.report.phases if (phase.phase or phase.name) == name]
        complete = tuple(phase for phase in all_of_it if phase.ended_by in ENDS_IN_ORDER)
        if not complete:
            return PhaseFigures(reason=f"no repetition of {place} ran to its end")
        against = (_against(phase, run.report, failures=failures) for phase in complete)
        if (why := next(filter(None, against), None)) is not None:
            return PhaseFigures(reason=why)
        mock = any(
            warning.code == WarningCode.MOCK_PROVIDER and warning.phase in {phase.name for phase in complete}
            for warning in run.report.warnings
        )
        return PhaseFigures(complete, run.distinct_prompts.get(complete[0].name), mock)

    def search(self, place: str) -> SearchReport | str:
        """Return a search, or why there is none."""
        scenario, _, name = place.partition("/")
        run = self._runs.get(scenario)
        if run is None:
            return f"scenario {scenario} was not run"
        found = next((search for search in run.report.searches if search.name == name), None)
        return f"search {place} did not begin" if found is None else found


def _against(phase: PhaseReport, report: Report, *, failures: bool) -> str | None:
    """Return why a phase's figures are not to be used, or None."""
    allowed = report.scenario["max_error_rate"]
    if not failures and (phase.all.error_rate is None or phase.all.error_rate > allowed):
        failed = phase.all.requests_total - phase.all.ok_total
        return f"in {phase.name} {failed} of {phase.all.requests_total} requests failed"
    if report.scenario["target"]["server_metrics"] and phase.reconciliation.trust != "trusted":
        return f"in {phase.name} the counts are not trusted: {phase.reconciliation.reason}"
    return None
