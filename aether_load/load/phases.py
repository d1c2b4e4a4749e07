"""Drives a scenario's phases: user_pool shut, drained, scraped, next phase."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from aether_load.load.judging import judge
from aether_load.load.run import Run, now
from aether_load.load.senders import Senders, most_of
from aether_load.rundata.manifest import AbortRecord, PhaseRecord, ProbeRecord, SearchRecord
from aether_load.scenario.stage import SearchPlan, plan_items
from aether_load.schedule.search import Search

if TYPE_CHECKING:
    from aether_load.scenario.stage import Stage

NO_WORKER_LEFT = "no worker was left"
"""What ends a phase whose workers have all been lost, or have left."""
SPAWN_LIMIT_S = 120.0
_SCRAPE_INTERVAL_S = 1.0
_DRAIN_SLACK_S = 2.0


class PhaseDriver:
    """Takes a run through its phases, one after the other; `stop` ends it early but in order."""

    def __init__(self, run: Run, senders: Senders, stopping: Event, *, follow_user_count: bool) -> None:
        """With `follow_user_count` as many are let loose as Locust has users: its web page decides then.

        `stopping` is what tells `senders` to end whatever is under way.
        """
        self._run = run
        self._follow = follow_user_count
        self._stopping = stopping
        self._was_stopped = self._was_interrupted = False
        self._stop_timeout_s: float | None = None
        self.senders = senders
        self.current: tuple[Stage, PhaseRecord] | None = None
        self.done_before = 0
        self._failed_before = 0

    @property
    def was_stopped(self) -> bool:
        """Tell whether somebody ended the phases before their time."""
        return self._was_stopped

    @property
    def was_interrupted(self) -> bool:
        """Tell whether they ended before the end that the scenario gives them."""
        return self._was_interrupted

    @property
    def is_endless(self) -> bool:
        """Tell whether what is under way ends when somebody stops it, and not before."""
        return self.current is not None and self.current[0].is_endless

    @property
    def _is_over(self) -> bool:
        return bool(self._stopping.is_set() or self._run.disk_is_full.is_set())

    @property
    def planned_requests(self) -> int | None:
        """Return how many requests the stage under way will have sent, where that is known."""
        return self.senders.planned_requests

    def stop(self, stop_timeout_s: float | None = None, *, is_its_end: bool = False) -> None:
        """End the phase that is under way; requests in flight have `stop_timeout_s` (None: their own limit).

        `is_its_end` is what no interruption is: the end that the load was to have.
        """
        self._stop_timeout_s = stop_timeout_s
        self._was_stopped = True
        self._was_interrupted = self._was_interrupted or not is_its_end
        self._stopping.set()

    def abort(self, reason: AbortRecord) -> None:
        """End the phases because a threshold is broken; requests in flight have their own limit."""
        if not self._is_over:
            self._run.manifest.aborted = reason
            self._stopping.set()

    def run_phases(self) -> None:
        """Run every phase to its end, or until stopped."""
        try:
            for item in plan_items(self._run.scenario):
                if self._is_over:
                    return
                if isinstance(item, SearchPlan):
                    self._search(item)
                else:
                    self.drive(item)
                if self._run.manifest.gate is not None and self._nothing_succeeded():
                    return
        finally:
            self.senders.close()
            gc.unfreeze()

    def _nothing_succeeded(self) -> bool:
        """Tell whether the last window brought nothing but failures; a gate need not ask a dead runtime sixty times."""
        tally = self.senders.tally()
        done = tally.done - self.done_before
        return 0 < done == tally.failed - self._failed_before

    def drive(self, stages: Sequence[Stage]) -> None:
        """Drive stages that are joined to each other, from rest to rest."""
        first = stages[0]
        self._wait_for_users(1 if self._follow else most_of(stages))
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        if self._stopping.is_set():
            return
        self.senders.prepare(first)
        if self._is_over:
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
                if self._is_over:
                    record.found = search.result("stopped")
                    return
                judgement = judge(self._run.folder, name)
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

    def _wait_for_users(self, count: int) -> None:
        """Wait until Locust has spawned the users and each stands before the user_pool with its connection open."""
        if not self._follow:
            # A number from Locust's page is the load of a plain closed phase only; here the scenario says it.
            self.senders.request_users(count)
        self.senders.muster(count)
        limit = monotonic_ns() + SPAWN_LIMIT_S * 1e9
        while not self.senders.are_ready():
            if monotonic_ns() >= limit or self._stopping.is_set():
                break
            gevent.sleep(0.005)
        else:
            return
        ready = self.senders.tally().ready
        if not self._stopping.is_set():
            self._run.manifest.notes.append(f"Only {ready} of {count} users were ready within {SPAWN_LIMIT_S:g} s.")

    def _drive_from_rest(self, stages: Sequence[Stage]) -> None:
        run = self._run
        shape = stages[0].shape if len(stages) > 1 else None
        scraped_as = shape or stages[0].name
        run.side.find_process()
        self._scrape(scraped_as, "before")
        records: list[PhaseRecord] = []
        # Two greenlets: a server that stalls holds up its own reading, not that of this process.
        readers = [gevent.spawn(self._scrape_for_ever, scraped_as), gevent.spawn(self._read_sender_for_ever)]
        try:
            for stage in stages:
                records.append(self._new_record(stage, shape))
                records[-1].ended_by = self.senders.drive(stage, records[-1])
                if self._is_over:
                    break
        finally:
            self.senders.end(records[-1] if records else None)
            drained = self._drain()
            gevent.killall(readers)
        self._scrape(scraped_as, "after" if drained else "during")
        for record in records:
            record.ended = now()
        self.senders.hand_in()
        run.save_manifest()

    def _new_record(self, stage: Stage, shape: str | None) -> PhaseRecord:
        record = PhaseRecord(
            name=stage.name,
            users=None if self._follow else stage.users,
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
            began=now(),
        )
        self._run.manifest.phases.append(record)
        self._run.save_manifest()
        tally = self.senders.tally()
        self.done_before, self._failed_before = tally.done, tally.failed
        self.current = stage, record
        return record

    def _drain(self) -> bool:
        """Wait for the answers in flight; what is not in when the limit is reached is cut off."""
        target = self._run.scenario.target
        limit = target.connect_timeout + target.request_timeout + _DRAIN_SLACK_S
        deadline = monotonic_ns() + limit * 1e9
        drained = self.senders.drained
        while not drained.is_set():
            if self._stopping.is_set() and self._stop_timeout_s is not None:
                deadline = min(deadline, monotonic_ns() + self._stop_timeout_s * 1e9)
                self._stop_timeout_s = None
            left = (deadline - monotonic_ns()) / 1e9
            if left <= 0:
                break
            # Short steps, because a second call of stop() moves the deadline.
            drained.wait(min(left, 0.05))
        if drained.is_set():
            return True
        self.senders.cancel()
        return False

    def _scrape_for_ever(self, phase: str) -> None:
        while True:
            gevent.sleep(_SCRAPE_INTERVAL_S)
            self._scrape(phase, "during")

    def _scrape(self, phase: str, role: str) -> None:
        """Read the server, unless the scenario says that there is nothing to read."""
        if self._run.scenario.target.server_metrics:
            self._run.scrape(phase, role)

    def _read_sender_for_ever(self) -> None:
        while True:
            self.senders.read_process()
            gevent.sleep(_SCRAPE_INTERVAL_S)
