"""What this process shows of its runs while they go on: to the Aether page, and to whoever scrapes its metrics."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns, process_time
from typing import TYPE_CHECKING, Literal

import gevent
import msgspec

from aether_load.load.senders import Tally
from aether_load.observer.figures import Figures, Point, figures, point
from aether_load.observer.live_reconciliation import ReconciliationState
from aether_load.observer.live_run import Gauges, LiveRun
from aether_load.observer.live_warnings import Circumstances, LiveWarning, live_warnings
from aether_load.observer.totals import Totals

if TYPE_CHECKING:
    from aether_load.analysis.report import Report
    from aether_load.load.phases import PhaseDriver
    from aether_load.load.run import Run
    from aether_load.rundata.folder import RunFolder
    from aether_load.rundata.scrapes import RawScrape

State = Literal["ready", "running", "writing", "ended"]
_TICK_S = 1.0
_LATEST_POINTS = 10


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
    """Which phase is under way, and for how long."""

    name: str
    load: str
    users: int
    cache: str
    sequential: bool
    in_window: bool
    elapsed_s: float


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
        self.folders: dict[str, RunFolder] = {}
        self.notice: str | None = None
        self._runs: dict[str, EndedRun] = {}
        self._state: State = "ready"
        self._run: Run | None = None
        self._live: LiveRun | None = None
        self._driver: PhaseDriver | None = None
        self._facts: RunFacts | None = None
        self._final_warnings: list[LiveWarning] | None = None
        self._ticker: gevent.Greenlet | None = None
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

    def follow(self, run: Run, driver: PhaseDriver) -> None:
        """Show this run from now on."""
        manifest, workload = run.manifest, run.workload
        self._run, self._driver = run, driver
        self._live = LiveRun(
            manifest.began.monotonic_ns,
            [prompt.dataset for prompt in workload.prompts],
            workload.nodes,
            self.totals,
        )
        self._facts = RunFacts(
            id=manifest.id,
            scenario=run.scenario.name,
            dag=run.scenario.workload.dag,
            datasets=tuple(self._live.datasets),
            target=manifest.target.url,
            simulated=manifest.target.kind == "simulated",
            generation=manifest.target.generation.value,
            began_utc=manifest.began.utc,
        )
        self.folders[manifest.id] = run.folder
        self._runs[manifest.id] = EndedRun(id=manifest.id, verdict=None)
        self._state, self.notice, self._final_warnings = "running", None, None
        driver.senders.watch(self._live.took)
        run.on_scrape = self._scraped
        self._epoch += 1
        self._ticker = gevent.spawn(self._tick_for_ever)

    def stop_following(self) -> None:
        """Take note that the last answer is in and everything is handed over; the results are being written."""
        self._stop_ticking()
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
            self._final_warnings = [
                LiveWarning(warning.code, f"{warning.phase}: {warning.message}" if warning.phase else warning.message,
                            warning.advice)
                for warning in report.warnings
            ]  # fmt: skip
        self._stop_ticking()
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

    def snapshot_json(self) -> bytes:
        """Return the latest figures as JSON: the same bytes for all who ask within a tick."""
        return self._once_a_tick("snapshot", self._snapshot)

    def history_json(self) -> bytes:
        """Return the points of all charts as JSON."""
        return self._once_a_tick("history", self._history)

    def gauges(self) -> Gauges:
        """Look at what can only be looked at."""
        driver = self._driver
        current = driver.current if driver is not None else None
        in_window = current is not None and current[1].window_ended_ns is None
        tally = driver.senders.tally() if driver is not None else Tally(cpu_s=process_time())
        return Gauges(
            in_flight=tally.in_flight,
            thinking_users=tally.thinking,
            waiting_requests=tally.waiting,
            cpu_s=tally.cpu_s,
            target_rps=current[0].rate_rps if current is not None and in_window and self.is_running else None,
        )

    def _stop_ticking(self) -> None:
        if self._ticker is not None:
            self._ticker.kill()
            self._ticker = None
            if self._live is not None:
                self._live.end()

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
            runs=list(self._runs.values())[::-1],
        )

    def _history(self) -> History:
        points = [point(bucket) for bucket in self._live.timeline] if self._live else []
        return History(tick=self._tick, epoch=self._epoch, points=points)

    def _warnings(self) -> list[LiveWarning]:
        if self._final_warnings is not None:
            return self._final_warnings
        run, live = self._run, self._live
        if run is None or live is None:
            return []
        current = self._driver.current if self._driver is not None else None
        around = Circumstances(
            simulated=run.manifest.target.kind == "simulated",
            verify_tls=run.scenario.target.verify_tls,
            server_metrics=run.scenario.target.server_metrics,
            max_error_rate=run.scenario.max_error_rate,
            prompts=run.workload.prompt_count,
            cache=current[1].cache if current is not None else "keep",
        )
        return list(live_warnings(live, around))

    def _phase(self) -> PhaseFacts | None:
        if self._driver is None or self._driver.current is None:
            return None
        stage, record = self._driver.current
        return PhaseFacts(
            name=record.name,
            load=record.load,
            users=self._driver.senders.tally().loose,
            cache=record.cache,
            sequential=stage.sequential,
            in_window=record.window_began_ns is not None and record.window_ended_ns is None,
            elapsed_s=round((monotonic_ns() - record.began.monotonic_ns) / 1e9, 1),
        )

    def _scraped(self, raw: RawScrape) -> None:
        assert self._live is not None
        seen = self.gauges()
        self._live.scraped(raw, 0 if raw.role == "after" else seen.in_flight)

    def _tick_for_ever(self) -> None:
        assert self._live is not None
        while True:
            current = self._driver.current if self._driver is not None else None
            self._live.sequential = current is not None and current[0].sequential
            self._live.tick(monotonic_ns(), self.gauges())
            self._tick += 1
            gevent.sleep(_TICK_S)
