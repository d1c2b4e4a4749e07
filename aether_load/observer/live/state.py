"""Hold what the Aether page and the metrics show of a sender's runs while they go on."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Literal

import msgspec

from aether_load.observer.live.figures import Figures, Point, figures, point
from aether_load.observer.live.reconciliation import ReconciliationState
from aether_load.observer.live.run import Gauges, LiveRun
from aether_load.observer.live.totals import Totals
from aether_load.observer.live.warnings import Circumstances, LiveWarning, live_warnings
from aether_load.observer.messages import Gauges as UserGauges
from aether_load.observer.messages import StageNow
from aether_load.observer.threshold_watch import LiveThreshold
from aether_load.scenario.parts import parts_of

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.analysis.verdict.thresholds import ThresholdReport
    from aether_load.rundata.manifest import Manifest
    from aether_load.rundata.scrapes import RawScrape
    from aether_load.scenario.scenario import Scenario

State = Literal["ready", "running", "writing", "ended"]
_LATEST_POINTS = 10
_MOST_MARKS = 100


class RunFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which run it is."""

    id: str
    scenario: str
    dag: str
    datasets: tuple[str, ...]
    target: str
    simulated: bool
    generation: str
    began_utc: str


class PhaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Which phase is under way, as the `number`th `of` several (0: not known), and for how long; `users` send."""

    name: str
    number: int
    of: int
    load: str
    users: int
    cache: str
    sequential: bool
    in_window: bool
    elapsed_s: float


class PhaseMark(msgspec.Struct, frozen=True, kw_only=True):
    """Where a phase begins in the charts, in seconds of the run."""

    name: str
    began_s: float


class EndedRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run of this process and what became of it; `verdict` None as long as there are no results."""

    id: str
    verdict: str | None
    trust: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """All that the page shows but its older points; `epoch` changes when those are no longer of this run."""

    tick: int
    epoch: int
    state: State
    notice: str | None
    run: RunFacts | None
    phase: PhaseFacts | None
    points: list[Point]
    figures: Figures | None
    reconciliation: ReconciliationState | None
    warnings: list[LiveWarning]
    thresholds: list[LiveThreshold]
    phases: list[PhaseMark]
    runs: list[EndedRun]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """All points of the run, the older ones ever longer."""

    tick: int
    epoch: int
    points: list[Point]


class LiveState:
    """Follows one run after the other; what is asked for is written once a tick, however many ask."""

    def __init__(self) -> None:
        self.totals = Totals()
        self.notice: str | None = None
        self.thresholds: list[LiveThreshold] = []
        self._stage = StageNow(name=None)
        self._phases: list[PhaseMark] = []
        self.users = UserGauges(done=0, failed=0, active=0, thinking=0, waiting=0, cpu_s=0.0)
        self._runs: dict[str, EndedRun] = {}
        self._state: State = "ready"
        self._manifest: Manifest | None = None
        self._scenario: Scenario | None = None
        self._prompts = 0
        self._live: LiveRun | None = None
        self._facts: RunFacts | None = None
        self._final_warnings: list[LiveWarning] | None = None
        self._tick = 0
        self._epoch = 0
        self._written: dict[str, tuple[int, bytes]] = {}

    @property
    def live(self) -> LiveRun | None:
        """Return what is known of the latest run, None before the first."""
        return self._live

    @property
    def is_running(self) -> bool:
        """Tell whether a run is under way."""
        return self._state == "running"

    @property
    def stage(self) -> StageNow:
        """Return the stage that is under way."""
        return self._stage

    def at_stage(self, stage: StageNow) -> None:
        """Take note of the stage that is under way."""
        is_new = stage.name is not None and (stage.name, stage.began_ns) != (self._stage.name, self._stage.began_ns)
        self._stage = stage
        if is_new and self._manifest is not None and self.is_running:
            began_s = (stage.began_ns - self._manifest.began.monotonic_ns) / 1e9
            self._phases.append(PhaseMark(name=stage.name or "", began_s=round(began_s, 2)))
            del self._phases[:-_MOST_MARKS]

    def learn(self, manifest: Manifest) -> None:
        """Take in what is known of the run by now."""
        if self._live is not None and self._manifest is not None and manifest.nodes != self._manifest.nodes:
            self._live.learn(manifest.nodes)
        self._manifest = manifest

    def follow(self, manifest: Manifest, scenario: Scenario) -> None:
        """Show this run from now on."""
        self._phases.clear()
        self.thresholds = []
        self._manifest, self._scenario = manifest, scenario
        self._prompts = sum(identity.rows_used or 0 for identity in manifest.datasets)
        datasets = [identity.name for identity in manifest.datasets]
        self._live = LiveRun(manifest.began.monotonic_ns, datasets, manifest.nodes, self.totals)
        self._facts = RunFacts(
            id=manifest.id,
            scenario=scenario.name,
            dag=", ".join(dict.fromkeys(part.plan.dag for part in parts_of(scenario))),
            datasets=tuple(datasets),
            target=manifest.target.url,
            simulated=manifest.target.kind == "simulated",
            generation=manifest.target.generation.value,
            began_utc=manifest.began.utc,
        )
        self._runs[manifest.id] = EndedRun(id=manifest.id, verdict=None)
        self._state, self.notice, self._final_warnings = "running", None, None
        self._epoch += 1

    def tick(self) -> None:
        """Close the second that is over."""
        if self._live is not None and self.is_running:
            self._live.sequential = self.stage.sequential
            self._live.tick(monotonic_ns(), self.gauges())
            self._tick += 1

    def stop_following(self) -> None:
        """Take note that the last answer is in; the results are being written."""
        if self._live is not None and self.is_running:
            self._live.end()
        self._state = "writing"
        self._tick += 1

    def end(self, report: Report | None, sentence: str | None) -> None:
        """Show what became of the run: its report, or why there is none."""
        if report is not None:
            self._runs[report.run.id] = EndedRun(
                id=report.run.id,
                verdict=report.verdict.status,
                trust=tuple(phase.reconciliation.trust for phase in report.phases),
            )
            self.thresholds = [_final(threshold) for threshold in report.thresholds]
            self._final_warnings = [
                LiveWarning(warning.code, f"{warning.phase}: {warning.message}" if warning.phase else warning.message,
                            warning.advice)
                for warning in report.warnings
            ]  # fmt: skip
        self.notice = sentence
        self._state = "ended"
        self._tick += 1

    def refuse(self, sentence: str) -> None:
        """Show why no run could begin."""
        self.notice = sentence
        self._tick += 1

    def reset(self) -> None:
        """Begin the charts anew, with the run that is under way."""
        if self._live is not None:
            self._live.reset()
            self._epoch += 1
            self._tick += 1

    def scraped(self, raw: RawScrape) -> None:
        """Take in a reading of /metrics."""
        if self._live is not None and self.is_running:
            self._live.scraped(raw, 0 if raw.role == "after" else self.users.active)

    def snapshot_json(self) -> bytes:
        """Return the latest figures as JSON: the same bytes for all who ask within a tick."""
        return self._once_a_tick("snapshot", self._snapshot)

    def history_json(self) -> bytes:
        """Return the points of all charts as JSON."""
        return self._once_a_tick("history", self._history)

    def gauges(self) -> Gauges:
        """Return what can only be looked at."""
        users, stage = self.users, self.stage
        in_window = stage.name is not None and stage.window_ended_ns is None
        return Gauges(
            in_flight=users.active - users.thinking,
            thinking_users=users.thinking,
            waiting_requests=users.waiting,
            cpu_s=users.cpu_s,
            target_rps=stage.rate_rps if in_window and self.is_running else None,
        )

    def _once_a_tick(self, name: str, make: Callable[[], Snapshot | History]) -> bytes:
        tick, written = self._written.get(name, (-1, b""))
        if tick != self._tick:
            written = msgspec.json.encode(make())
            self._written[name] = self._tick, written
        return written

    def _snapshot(self) -> Snapshot:
        live = self._live
        return Snapshot(
            tick=self._tick,
            epoch=self._epoch,
            state=self._state,
            notice=self.notice,
            run=self._facts,
            phase=self._phase() if self.is_running else None,
            points=[point(bucket) for bucket in live.timeline.latest(_LATEST_POINTS)] if live else [],
            figures=figures(live) if live else None,
            reconciliation=live.reconciliation.state if live else None,
            warnings=self._warnings(),
            thresholds=self.thresholds,
            phases=self._phases,
            runs=list(self._runs.values())[::-1],
        )

    def _history(self) -> History:
        points = [point(bucket) for bucket in self._live.timeline] if self._live else []
        return History(tick=self._tick, epoch=self._epoch, points=points)

    def _warnings(self) -> list[LiveWarning]:
        if self._final_warnings is not None:
            return self._final_warnings
        manifest, scenario, live = self._manifest, self._scenario, self._live
        if manifest is None or scenario is None or live is None:
            return []
        around = Circumstances(
            simulated=manifest.target.kind == "simulated",
            verify_tls=scenario.target.verify_tls,
            server_metrics=scenario.target.server_metrics,
            max_error_rate=scenario.max_error_rate,
            prompts=self._prompts,
            cache=self.stage.cache,
        )
        return list(live_warnings(live, around))

    def _phase(self) -> PhaseFacts | None:
        stage = self.stage
        if stage.name is None:
            return None
        return PhaseFacts(
            name=stage.name,
            number=stage.number,
            of=stage.of,
            load=stage.load,
            users=self.users.active,
            cache=stage.cache,
            sequential=stage.sequential,
            in_window=stage.window_began_ns is not None and stage.window_ended_ns is None,
            elapsed_s=round((monotonic_ns() - stage.began_ns) / 1e9, 1),
        )


def _final(threshold: ThresholdReport) -> LiveThreshold:
    """Return what became of a threshold, as it stood while the run went on."""
    first = next((finding for finding in threshold.findings if finding.state == threshold.state), None)
    return LiveThreshold(
        condition=threshold.condition,
        state=threshold.state,
        phase=None if first is None else first.phase,
        shown="" if first is None else first.shown,
    )
