"""Drive a scenario's phases: users at rest, server read, load driven, drained, server read again."""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from time import monotonic_ns

import gevent

from aether_load.load.phases.phase_progress import PhaseProgress
from aether_load.load.phases.search_driver import drive_search
from aether_load.load.phases.senders import Senders, most_of
from aether_load.load.process.guard import guarded
from aether_load.load.run import Run
from aether_load.load.sending.sender_context import Tally
from aether_load.observer import messages as say
from aether_load.rundata.manifest import PhaseRecord, now
from aether_load.scenario.stage import SearchPlan, Stage, plan_items

SPAWN_LIMIT_S = 120.0
_DRAIN_SLACK_S = 2.0


class PhaseDriver:
    """Takes a run through its phases, one after the other, until they are over or the run is ended."""

    def __init__(self, run: Run, senders: Senders, measured_users: Callable[[int], int] = lambda users: users) -> None:
        """Count with `measured_users`, which says how many of so many users are ours; others may run beside them."""
        self._run = run
        self._measured_users = measured_users
        self._ending = run.ending
        self.senders = senders
        self.progress = PhaseProgress(run, senders)

    def run_phases(self) -> None:
        """Run every phase to its end, or until the run is ended."""
        report = guarded(self.progress.report_for_ever, lambda sentence, _: self._run.fail(sentence))
        reporting = gevent.spawn(report)
        try:
            for item in plan_items(self._run.scenario):
                if self._ending.is_set():
                    return
                before = self.senders.tally()
                if isinstance(item, SearchPlan):
                    drive_search(self._run, item, self._drive)
                else:
                    self._drive(item)
                if self._run.manifest.gate is not None and self._only_failures_since(before):
                    # A gate need not ask a dead runtime sixty times.
                    return
        finally:
            reporting.kill()
            self.senders.close()
            gc.unfreeze()

    def _only_failures_since(self, before: Tally) -> bool:
        tally = self.senders.tally()
        done = tally.done - before.done
        return 0 < done == tally.failed - before.failed

    def _drive(self, stages: Sequence[Stage]) -> None:
        """Drive stages that are joined to each other, from rest to rest."""
        first = stages[0]
        self._wait_for_users(1 if self._run.follow_user_count else most_of(stages))
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        if self._ending.is_set():
            return
        self._run.turn_to(first)
        self.senders.prepare(first)
        if self._ending.is_set():
            _drain(self._run, self.senders)
        else:
            self._drive_from_rest(stages)

    def _wait_for_users(self, count: int) -> None:
        """Wait until Locust has spawned the users and each waits with its connection open."""
        if not self._run.follow_user_count:
            # A number from Locust's page is the load of a plain closed phase only; here the scenario says it.
            self.senders.request_users(count)
        self.senders.await_users(count)
        limit = monotonic_ns() + SPAWN_LIMIT_S * 1e9
        while not self.senders.are_ready():
            if self._ending.is_set():
                return
            if monotonic_ns() >= limit:
                ready = self.senders.tally().ready
                self._run.manifest.notes.append(f"Only {ready} of {count} users were ready within {SPAWN_LIMIT_S:g} s.")
                return
            gevent.sleep(0.005)

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
            drained = _drain(self._run, self.senders)
            run.observer.send(say.Watch(phase=None))
        run.flush()
        run.scrape(scraped_as, "after" if drained else "during")
        for record in records:
            record.ended = now()
        self.senders.collect_records()
        run.save_manifest()
        run.let_observer_catch_up()
        self.progress.report()

    def _new_record(self, stage: Stage, shape: str | None) -> PhaseRecord:
        phase = self._run.scenario.phases[stage.phase]
        record = PhaseRecord(
            name=stage.name,
            users=None if self._run.follow_user_count else self._measured_users(stage.users),
            load=stage.load,
            rate_rps=stage.rate_rps,
            think_time_mean_s=stage.think_time_s,
            sequential=stage.sequential,
            cache=stage.cache,
            unique_prompts=stage.unique_prompts,
            phase=phase.name,
            repeat=stage.repeat,
            joined_in=shape,
            search=stage.shape if phase.find is not None else None,
            own_tasks=any(each.own_tasks for each in self._run.manifest.user_classes),
            began=now(),
        )
        self._run.manifest.phases.append(record)
        self._run.save_manifest()
        self.progress.begin(stage, record)
        return record


def _drain(run: Run, senders: Senders) -> bool:
    """Wait for the answers in flight; what is not in when the limit is reached is cancelled."""
    ending, drained, target = run.ending, senders.drained, run.scenario.target
    limit_s = target.connect_timeout + target.request_timeout + _DRAIN_SLACK_S
    deadline = monotonic_ns() + limit_s * 1e9
    while not drained.is_set():
        if ending.is_set() and ending.stop_timeout_s is not None:
            deadline = min(deadline, monotonic_ns() + ending.stop_timeout_s * 1e9)
            ending.stop_timeout_s = None
        left_s = (deadline - monotonic_ns()) / 1e9
        if left_s <= 0:
            senders.cancel()
            return False
        # Short steps, because a second interruption moves the deadline.
        drained.wait(min(left_s, 0.05))
    return True
