"""Define what the page is told of a run that goes on, and write it as JSON."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns

import msgspec

from aether_load.observer.live.figures import Figures, Point, figures, point
from aether_load.observer.live.reconciliation import ReconciliationState
from aether_load.observer.live.state import EndedRun, LiveState, PhaseMark, State
from aether_load.observer.live.warnings import LiveWarning, live_warnings
from aether_load.observer.threshold_watch import LiveThreshold
from aether_load.scenario.parts import parts_of

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


class LivePage:
    """Writes what is asked for once a tick: all who ask within it get the same bytes."""

    def __init__(self, state: LiveState) -> None:
        self._state = state
        self._written: dict[Callable[[LiveState], Snapshot | History], tuple[int, bytes]] = {}

    def snapshot(self) -> bytes:
        """Return the latest figures as JSON."""
        return self._once_a_tick(_snapshot)

    def history(self) -> bytes:
        """Return the points of all charts as JSON."""
        return self._once_a_tick(_history)

    def _once_a_tick(self, make: Callable[[LiveState], Snapshot | History]) -> bytes:
        ticks, written = self._written.get(make, (-1, b""))
        if ticks != self._state.ticks:
            written = msgspec.json.encode(make(self._state))
            self._written[make] = self._state.ticks, written
        return written


def _snapshot(state: LiveState) -> Snapshot:
    live = state.live
    return Snapshot(
        tick=state.ticks,
        epoch=state.epoch,
        state=state.state,
        notice=state.notice,
        run=_run_facts(state),
        phase=_phase_facts(state) if state.is_running else None,
        points=[point(bucket) for bucket in live.timeline.latest(_LATEST_POINTS)] if live else [],
        figures=figures(live) if live else None,
        reconciliation=live.server.reconciliation.state if live else None,
        warnings=_warnings(state),
        thresholds=state.thresholds,
        phases=state.phases,
        runs=list(state.runs.values())[::-1],
    )


def _history(state: LiveState) -> History:
    points = [point(bucket) for bucket in state.live.timeline] if state.live else []
    return History(tick=state.ticks, epoch=state.epoch, points=points)


def _run_facts(state: LiveState) -> RunFacts | None:
    manifest, scenario = state.manifest, state.scenario
    if manifest is None or scenario is None:
        return None
    return RunFacts(
        id=manifest.id,
        scenario=scenario.name,
        dag=", ".join(dict.fromkeys(part.plan.dag for part in parts_of(scenario))),
        datasets=tuple(identity.name for identity in manifest.datasets),
        target=manifest.target.url,
        simulated=manifest.target.kind == "simulated",
        generation=manifest.target.generation.value,
        began_utc=manifest.began.utc,
    )


def _phase_facts(state: LiveState) -> PhaseFacts | None:
    stage = state.stage
    if stage.name is None:
        return None
    return PhaseFacts(
        name=stage.name,
        number=stage.number,
        of=stage.of,
        load=stage.load,
        users=state.users.active,
        cache=stage.cache,
        sequential=stage.sequential,
        in_window=stage.window_began_ns is not None and stage.window_ended_ns is None,
        elapsed_s=round((monotonic_ns() - stage.began_ns) / 1e9, 1),
    )


def _warnings(state: LiveState) -> list[LiveWarning]:
    if state.final_warnings is not None:
        return state.final_warnings
    if state.manifest is None or state.scenario is None or state.live is None:
        return []
    return list(live_warnings(state.live, state.manifest, state.scenario, state.stage.cache))
