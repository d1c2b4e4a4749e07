"""Keep which stage of a run is under way, for the observer, the watchdog and whoever ends the run."""

from __future__ import annotations

import gevent

from aether_load.load.phases.senders import Senders
from aether_load.load.process.watchdog import Waiting, waiting_for
from aether_load.load.run import Run
from aether_load.observer import messages as say
from aether_load.rundata.manifest import PhaseRecord
from aether_load.scenario.stage import SearchPlan, Stage, plan_items

GAUGES_INTERVAL_S = 0.5


class PhaseProgress:
    """The stage under way, and how its senders stand."""

    def __init__(self, run: Run, senders: Senders) -> None:
        self._run = run
        self._senders = senders
        self._current: tuple[Stage, PhaseRecord] | None = None
        self._begun = 0
        items = list(plan_items(run.scenario))
        is_open_ended = any(isinstance(item, SearchPlan) for item in items)
        self._stages_total = (
            0 if is_open_ended else sum(len(item) for item in items if not isinstance(item, SearchPlan))
        )

    @property
    def is_endless(self) -> bool:
        """Tell whether what is under way is measured, and ends when somebody stops it and not before."""
        if self._current is None:
            return False
        stage, record = self._current
        return stage.is_endless and record.window_began_ns is not None

    def begin(self, stage: Stage, record: PhaseRecord) -> None:
        """Take note that a stage begins."""
        self._current = stage, record
        self._begun += 1
        self.report()

    def report(self) -> None:
        """Tell the observer which stage is under way."""
        if self._current is None:
            return
        stage, record = self._current
        self._run.observer.send(
            say.StageNow(
                name=record.name,
                load=record.load,
                users=stage.users,
                cache=record.cache,
                sequential=stage.sequential,
                rate_rps=stage.rate_rps,
                duration_s=stage.duration_s,
                planned=self._senders.planned_requests,
                began_ns=record.began.monotonic_ns,
                window_began_ns=record.window_began_ns,
                window_ended_ns=record.window_ended_ns,
                number=self._begun,
                of=self._stages_total,
            )
        )

    def report_for_ever(self) -> None:
        """Tell the observer twice a second how things stand."""
        while True:
            tally = self._senders.tally()
            self._run.observer.send(
                say.Gauges(
                    done=tally.done,
                    failed=tally.failed,
                    active=tally.active,
                    thinking=tally.thinking,
                    waiting=tally.waiting,
                    cpu_s=tally.cpu_s,
                )
            )
            self.report()
            gevent.sleep(GAUGES_INTERVAL_S)

    def state(self) -> tuple[object, Waiting | None]:
        """Return what changes whenever something happens in the run, and what it waits for."""
        run, tally = self._run, self._senders.tally()
        stage, record = self._current or (None, None)
        of_tally = tally.done, tally.failed, tally.ready, tally.active, tally.thinking
        of_phases = len(run.manifest.phases), record and (record.window_began_ns, record.window_ended_ns)
        # What the tasks of somebody's own class do may take any time.
        any_time = self._run.follow_user_count or any(each.own_tasks for each in run.manifest.user_classes)
        waiting = waiting_for(tally, stage, run.scenario.target, any_time=any_time)
        return (of_tally, of_phases, run.ending.is_set()), waiting
