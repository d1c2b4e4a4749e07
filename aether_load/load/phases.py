"""Drive a scenario's phases: users at rest, server read, load driven, drained, server read again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent

from aether_load.load.observer_client import JUDGE_LIMIT_S, CommandFailed
from aether_load.load.process.guard import guarded
from aether_load.load.run import Run, now
from aether_load.load.senders import Senders, most_of
from aether_load.observer import messages as say
from aether_load.rundata.manifest import PhaseRecord, ProbeRecord, SearchRecord
from aether_load.scenario.stage import SearchPlan, plan_items
from aether_load.schedule.probe import Judgement
from aether_load.schedule.search import Search

if TYPE_CHECKING:
    from aether_load.scenario.stage import Stage

SPAWN_LIMIT_S = 120.0
GAUGES_INTERVAL_S = 0.5
_DRAIN_SLACK_S = 2.0


class PhaseDriver:
    """Takes a run through its phases, one after the other, until they are over or the run is ended."""

    def __init__(
        self,
        run: Run,
        senders: Senders,
        *,
        follow_user_count: bool,
        measured_users: Callable[[int], int] = lambda users: users,
    ) -> None:
        """Activate every user that Locust has with `follow_user_count`: its web page or load shape decides how many.

        `measured_users` says how many of so many users are ours; others may run beside them.
        """
        self._run = run
        self._follow = follow_user_count
        self._measured_users = measured_users
        self._ending = run.ending
        self.senders = senders
        self.current: tuple[Stage, PhaseRecord] | None = None
        self._driven = 0
        items = list(plan_items(run.scenario))
        is_open_ended = any(isinstance(item, SearchPlan) for item in items)
        self._stage_count = 0 if is_open_ended else sum(len(item) for item in items if not isinstance(item, SearchPlan))
        self._done_before = self._failed_before = 0

    @property
    def is_endless(self) -> bool:
        """Tell whether what is under way is measured, and ends when somebody stops it and not before."""
        return self.current is not None and self.current[0].is_endless and self.current[1].window_began_ns is not None

    @property
    def may_take_any_time(self) -> bool:
        """Tell whether only somebody at a page says when something has to happen."""
        return self._follow

    def run_phases(self) -> None:
        """Run every phase to its end, or until the run is ended."""
        gauges = gevent.spawn(guarded(self._send_gauges_for_ever, lambda sentence, _: self._run.fail(sentence)))
        try:
            for item in plan_items(self._run.scenario):
                if self._ending.is_set():
                    return
                if isinstance(item, SearchPlan):
                    self._search(item)
                else:
                    self.drive(item)
                if self._run.manifest.gate is not None and self._nothing_succeeded():
                    return
        finally:
            gauges.kill()
            self.senders.close()
            gc.unfreeze()

    def _nothing_succeeded(self) -> bool:
        """Tell whether the last window brought nothing but failures; a gate need not ask a dead runtime sixty times."""
        tally = self.senders.tally()
        done = tally.done - self._done_before
        return 0 < done == tally.failed - self._failed_before

    def drive(self, stages: Sequence[Stage]) -> None:
        """Drive stages that are joined to each other, from rest to rest."""
        first = stages[0]
        self._wait_for_users(1 if self._follow else most_of(stages))
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        if self._ending.is_set():
            return
        self._run.turn_to(first)
        self.senders.prepare(first)
        if self._ending.is_set():
            self._drain()
        else:
            self._drive_from_rest(stages)

    def _search(self, plan: SearchPlan) -> None:
        """Drive one probe after the other, each judged before the next, within the search's time."""
        slo = tuple(condition.text for condition in plan.plan.slo)
        record = SearchRecord(name=plan.name, kind=plan.plan.kind, slo=slo, tolerance=plan.plan.tolerance)
        self._run.manifest.searches.append(record)
        deadline = monotonic_ns() + plan.plan.time_limit * 1e9
        search = Search(plan)
        probes = search.probes()
        try:
            probe = next(probes)
            while not record.probes or monotonic_ns() + probe.duration_s * 1e9 <= deadline:
                name = f"{plan.name}-{len(record.probes) + 1}-{probe.load:g}"
                self.drive([plan.stage(name, probe.load, probe.duration_s)])
                if self._ending.is_set():
                    record.found = search.result("stopped")
                    return
                judgement = self._judge(name)
                record.probes.append(
                    ProbeRecord(
                        phase=name,
                        purpose=probe.purpose,
                        load=probe.load,
                        duration_s=probe.duration_s,
                        holds=judgement.holds,
                        against=judgement.against,
                        limited_by=judgement.limited_by,
                        measured=judgement.measured,
                    )
                )
                probe = probes.send(judgement)
            record.found = search.result("out_of_time")
        except StopIteration as end:
            record.found = end.value
        finally:
            self._run.save_manifest()

    def _judge(self, phase: str) -> Judgement:
        """Have a probe judged; one that could not be judged is undecided. Raises ObserverLost."""
        try:
            judged: say.Judged = self._run.observer.call(say.Judge(phase=phase), JUDGE_LIMIT_S)
        except CommandFailed as error:
            return Judgement(holds=None, against=(f"the phase could not be judged: {error}",))
        return judged.judgement

    def _wait_for_users(self, count: int) -> None:
        """Wait until Locust has spawned the users and each waits with its connection open."""
        if not self._follow:
            # A number from Locust's page is the load of a plain closed phase only; here the scenario says it.
            self.senders.request_users(count)
        self.senders.muster(count)
        limit = monotonic_ns() + SPAWN_LIMIT_S * 1e9
        while not self.senders.are_ready():
            if monotonic_ns() >= limit or self._ending.is_set():
                break
            gevent.sleep(0.005)
        else:
            return
        ready = self.senders.tally().ready
        if not self._ending.is_set():
            self._run.manifest.notes.append(f"Only {ready} of {count} users were ready within {SPAWN_LIMIT_S:g} s.")

    def _drive_from_rest(self, stages: Sequence[Stage]) -> None:
        run = self._run
        shape = stages[0].shape if len(stages) > 1 else None
        scraped_as = shape or stages[0].name
        run.flush()
        run.scrape(scraped_as, "before")
        run.observer.send(say.Watch(phase=scraped_as))
        records: list[PhaseRecord] = []
        try:
            for stage in stages:
                records.append(self._new_record(stage, shape))
                records[-1].ended_by = self.senders.drive(stage, records[-1])
                if self._ending.is_set():
                    break
        finally:
            self.senders.end(records[-1] if records else None)
            drained = self._drain()
            run.observer.send(say.Watch(phase=None))
        run.flush()
        run.scrape(scraped_as, "after" if drained else "during")
        for record in records:
            record.ended = now()
        self.senders.hand_in()
        run.save_manifest()
        run.let_observer_catch_up()
        self._say_stage()

    def _new_record(self, stage: Stage, shape: str | None) -> PhaseRecord:
        record = PhaseRecord(
            name=stage.name,
            users=None if self._follow else self._measured_users(stage.users),
            load=stage.load,
            rate_rps=stage.rate_rps,
            think_time_mean_s=stage.think_time_s,
            sequential=stage.sequential,
            cache=stage.cache,
            unique_prompts=stage.unique_prompts,
            phase=self._run.scenario.phases[stage.phase].name,
            repeat=stage.repeat,
            joined_in=shape,
            search=stage.shape if self._run.scenario.phases[stage.phase].find is not None else None,
            own_tasks=any(each.own_tasks for each in self._run.manifest.user_classes),
            began=now(),
        )
        self._run.manifest.phases.append(record)
        self._run.save_manifest()
        tally = self.senders.tally()
        self._done_before, self._failed_before = tally.done, tally.failed
        self.current = stage, record
        self._driven += 1
        self._say_stage()
        return record

    def _drain(self) -> bool:
        """Wait for the answers in flight; what is not in when the limit is reached is cancelled."""
        target = self._run.scenario.target
        limit = target.connect_timeout + target.request_timeout + _DRAIN_SLACK_S
        deadline = monotonic_ns() + limit * 1e9
        drained = self.senders.drained
        while not drained.is_set():
            if self._ending.is_set() and self._ending.stop_timeout_s is not None:
                deadline = min(deadline, monotonic_ns() + self._ending.stop_timeout_s * 1e9)
                self._ending.stop_timeout_s = None
            left = (deadline - monotonic_ns()) / 1e9
            if left <= 0:
                break
            # Short steps, because a second interruption moves the deadline.
            drained.wait(min(left, 0.05))
        if drained.is_set():
            return True
        self.senders.cancel()
        return False

    # What the observer has to know

    def _send_gauges_for_ever(self) -> None:
        while True:
            tally = self.senders.tally()
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
            self._say_stage()
            gevent.sleep(GAUGES_INTERVAL_S)

    def _say_stage(self) -> None:
        if self.current is None:
            return
        stage, record = self.current
        self._run.observer.send(
            say.StageNow(
                name=record.name,
                load=record.load,
                users=stage.users,
                cache=record.cache,
                sequential=stage.sequential,
                rate_rps=stage.rate_rps,
                duration_s=stage.duration_s,
                planned=self.senders.planned_requests,
                began_ns=record.began.monotonic_ns,
                window_began_ns=record.window_began_ns,
                window_ended_ns=record.window_ended_ns,
                number=self._driven,
                of=self._stage_count,
            )
        )
