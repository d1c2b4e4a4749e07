"""Follow a sender's runs while they go on, for what the Aether page and the metrics show of them."""

from __future__ import annotations

from time import monotonic_ns
from typing import Literal

import msgspec

from aether_load.analysis.report import Report
from aether_load.analysis.verdict.thresholds import ThresholdReport
from aether_load.observer.live.run import LiveRun
from aether_load.observer.live.totals import Totals
from aether_load.observer.live.warnings import LiveWarning
from aether_load.observer.messages import Gauges, StageNow
from aether_load.observer.threshold_watch import LiveThreshold
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_reader import RecordBatch, Tables
from aether_load.rundata.scrapes import RawScrape
from aether_load.scenario.scenario import Scenario

State = Literal["ready", "running", "writing", "ended"]
_MOST_MARKS = 100


class PhaseMark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a phase begins in the charts, in seconds of the run."""

    name: str
    began_s: float


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of this process and what became of it; `verdict` None as long as there are no results."""

    id: str
    verdict: str | None
    trust: tuple[str, ...] = ()


class LiveState:
    """Follows one run after the other; `ticks` counts what may have changed what is shown.

    `epoch` changes when the points that were shown are no longer of this run.
    """

    def __init__(self) -> None:
        self.totals = Totals()
        self.state: State = "ready"
        self.notice: str | None = None
        self.stage = StageNow(name=None)
        self.users = Gauges(done=0, failed=0, active=0, thinking=0, waiting=0, cpu_s=0.0)
        self.manifest: Manifest | None = None
        self.scenario: Scenario | None = None
        self.live: LiveRun | None = None
        self.thresholds: list[LiveThreshold] = []
        self.final_warnings: list[LiveWarning] | None = None
        self.phases: list[PhaseMark] = []
        self.runs: dict[str, EndedRun] = {}
        self.ticks = 0
        self.epoch = 0

    @property
    def is_running(self) -> bool:
        """Tell whether a run is under way."""
        return self.state == "running"

    @property
    def target_rps(self) -> float | None:
        """Return the open load that is asked for at this moment, None where none is."""
        stage = self.stage
        in_window = stage.name is not None and stage.window_ended_ns is None
        return stage.rate_rps if in_window and self.is_running else None

    def at_stage(self, stage: StageNow) -> None:
        """Take note of the stage that is under way."""
        is_new = stage.name is not None and (stage.name, stage.began_ns) != (self.stage.name, self.stage.began_ns)
        self.stage = stage
        if is_new and self.manifest is not None and self.is_running:
            began_s = (stage.began_ns - self.manifest.began.monotonic_ns) / 1e9
            self.phases.append(PhaseMark(name=stage.name or "", began_s=round(began_s, 2)))
            del self.phases[:-_MOST_MARKS]

    def follow(self, manifest: Manifest, scenario: Scenario) -> None:
        """Show this run from now on."""
        self.phases.clear()
        self.thresholds = []
        self.manifest, self.scenario = manifest, scenario
        datasets = [identity.name for identity in manifest.datasets]
        self.live = LiveRun(manifest.began.monotonic_ns, datasets, manifest.nodes, self.totals)
        self.runs[manifest.id] = EndedRun(id=manifest.id, verdict=None)
        self.state, self.notice, self.final_warnings = "running", None, None
        self.epoch += 1

    def learn(self, manifest: Manifest) -> None:
        """Take in what is known by now of the run that is followed."""
        if self.live is not None and self.manifest is not None:
            if manifest.nodes != self.manifest.nodes:
                self.live.learn(manifest.nodes)
            self.manifest = manifest

    def take(self, batch: RecordBatch, tables: Tables) -> None:
        """Take in records of the run that is followed."""
        if self.live is not None:
            self.live.take(batch, tables)

    def scraped(self, raw: RawScrape) -> None:
        """Take in a reading of /metrics."""
        if self.live is not None and self.is_running:
            self.live.scraped(raw, 0 if raw.role == "after" else self.users.active)

    def tick(self) -> None:
        """Close the second that is over."""
        if self.live is not None and self.is_running:
            self.live.sequential = self.stage.sequential
            self.live.tick(monotonic_ns(), self.users, self.target_rps)
            self.ticks += 1

    def reset(self) -> None:
        """Begin the charts anew, with the run that is under way."""
        if self.live is not None:
            self.live.reset()
            self.epoch += 1
            self.ticks += 1

    def refuse(self, sentence: str) -> None:
        """Show why no run could begin."""
        self.notice = sentence
        self.ticks += 1

    def stop_following(self) -> None:
        """Take note that the last answer is in; the results are being written."""
        if self.live is not None and self.is_running:
            self.live.end()
        self.state = "writing"
        self.ticks += 1

    def end(self, report: Report | None, sentence: str | None) -> None:
        """Show what became of the run: its report, or why there is none."""
        if report is not None:
            self.runs[report.run.id] = EndedRun(
                id=report.run.id,
                verdict=report.verdict.status,
                trust=tuple(phase.reconciliation.trust for phase in report.phases),
            )
            self.thresholds = [_final(threshold) for threshold in report.thresholds]
            self.final_warnings = [
                LiveWarning(warning.code, f"{warning.phase}: {warning.message}" if warning.phase else warning.message,
                            warning.advice)
                for warning in report.warnings
            ]  # fmt: skip
        self.notice = sentence
        self.state = "ended"
        self.ticks += 1


def _final(threshold: ThresholdReport) -> LiveThreshold:
    """Return what became of a threshold, as it stood while the run went on."""
    first = next((finding for finding in threshold.findings if finding.state == threshold.state), None)
    return LiveThreshold(
        condition=threshold.condition,
        state=threshold.state,
        phase=None if first is None else first.phase,
        shown="" if first is None else first.shown,
    )
