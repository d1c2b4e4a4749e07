"""Drives a scenario's phases: valve shut, drained, scraped, next phase."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from aether_load.analysis.run import PhaseRecord
from aether_load.generator.run import Run, now
from aether_load.workload.workload import work_order

if TYPE_CHECKING:
    from locust.runners import Runner

    from aether_load.workload.phase import Phase

SPAWN_LIMIT_S = 120.0
_SCRAPE_INTERVAL_S = 1.0
_DRAIN_SLACK_S = 2.0
_RELEASE_LIMIT_S = 2.0


class PhaseDriver:
    """Takes a run through its phases, one after the other; `stop` ends it early but in order."""

    def __init__(self, run: Run, runner: Runner, *, follow_user_count: bool) -> None:
        """With `follow_user_count` as many are let loose as Locust has users: its web page decides then."""
        self._run = run
        self._runner = runner
        self._follow = follow_user_count
        self._stopping = Event()
        self._stop_timeout_s: float | None = None
        self._next_request = 0
        self.current: PhaseRecord | None = None
        self.planned_requests: int | None = None
        self.done_before = 0

    @property
    def was_stopped(self) -> bool:
        """Tell whether the phases were ended before their time."""
        return bool(self._stopping.is_set())

    def stop(self, stop_timeout_s: float | None = None) -> None:
        """End the phase that is under way; requests in flight have `stop_timeout_s` (None: their own limit)."""
        self._stop_timeout_s = stop_timeout_s
        self._stopping.set()

    def run_phases(self) -> None:
        """Run every phase to its end, or until stopped."""
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        try:
            self._run_all()
        finally:
            gc.unfreeze()

    def _run_all(self) -> None:
        for number, phase in enumerate(self._run.scenario.phases):
            if self._stopping.is_set():
                return
            self._wait_for_users(1 if self._follow else phase.users)
            if not self._stopping.is_set():
                self._run_phase(number, phase)

    def _wait_for_users(self, count: int) -> None:
        """Wait until Locust has spawned the users and each stands before the valve with its connection open."""
        limit = monotonic_ns() + SPAWN_LIMIT_S * 1e9
        while self._run.valve.waiting < count and monotonic_ns() < limit and not self._stopping.is_set():
            gevent.sleep(0.005)
        ready = self._run.valve.waiting
        if ready < count and not self._stopping.is_set():
            self._run.manifest.notes.append(f"Only {ready} of {count} users were ready within {SPAWN_LIMIT_S:g} s.")

    def _run_phase(self, number: int, phase: Phase) -> None:
        run = self._run
        valve = run.valve
        run.recorder.phase = number
        self.done_before = run.recorder.done
        run.find_server()
        self._scrape(phase.name, "before")
        record = PhaseRecord(name=phase.name, users=None if self._follow else phase.users, began=now())
        run.manifest.phases.append(record)
        run.save_manifest()
        self.current = record
        # Two greenlets: a server that stalls holds up its own reading, not that of this process.
        readers = [gevent.spawn(self._scrape_for_ever, phase.name), gevent.spawn(self._read_sender_for_ever)]
        try:
            ended_by = self._load(phase, record)
        finally:
            valve.shut()
            if record.window_began_ns is not None:
                run.read_sender()
                record.window_ended_ns = monotonic_ns()
            drained = self._drain()
            gevent.killall(readers)
        self._scrape(phase.name, "after" if drained else "during")
        record.ended = now()
        record.ended_by = ended_by
        run.flush()
        run.save_manifest()

    def _load(self, phase: Phase, record: PhaseRecord) -> str:
        """Let the users loose and wait for the window's end; return what ended it."""
        if phase.spawn_rate is not None or phase.warmup:
            self._open(None)
            if not (self._ramp(phase) and self._wait(phase.warmup)):
                return self._early_end()
        prompts = len(self._run.requests)
        limits = [limit for limit in (phase.requests, phase.passes and phase.passes * prompts) if limit is not None]
        self.planned_requests = min(limits, default=None)
        self._open(self.planned_requests)
        record.window_began_ns = monotonic_ns()
        self._run.read_sender()
        # Written before any user has its turn: a run that is killed must know since when its window was open.
        self._run.save_manifest()
        self._allow(phase.users)
        self._wait(phase.duration)
        if self._stopping.is_set() or self._run.disk_is_full.is_set():
            return self._early_end()
        if not self._run.valve.exhausted.is_set():
            return "duration"
        return "requests" if self.planned_requests == phase.requests else "passes"

    def _early_end(self) -> str:
        return "refused by the disk" if self._run.disk_is_full.is_set() else "stopped"

    def _open(self, limit: int | None) -> None:
        """Hand out the prompts from the first one on, counting requests on through the whole run."""
        self._run.valve.open(self._numbered(limit))

    def _numbered(self, limit: int | None) -> Iterator[tuple[int, int]]:
        for prompt in work_order(len(self._run.requests), limit):
            request = self._next_request
            self._next_request += 1
            yield request, prompt

    def _allow(self, users: int) -> None:
        """Let users loose, all of them before the first answers are looked at.

        gevent wakes no more than some fifty greenlets in a turn of its loop once the turn has lasted as long as
        the interpreter's switch interval; then answers have their turn, and of thousands of users the last would
        begin seconds late.
        """
        valve = self._run.valve
        interval = sys.getswitchinterval()
        sys.setswitchinterval(_RELEASE_LIMIT_S)
        try:
            valve.allow(1_000_000 if self._follow else users)
            limit = monotonic_ns() + _RELEASE_LIMIT_S * 1e9
            while valve.starting and monotonic_ns() < limit:
                gevent.sleep(0)
        finally:
            sys.setswitchinterval(interval)

    def _ramp(self, phase: Phase) -> bool:
        """Let users loose one after the other at the phase's rate; False when stopped meanwhile."""
        if phase.spawn_rate is not None and not self._follow:
            began = monotonic_ns()
            for users in range(1, phase.users + 1):
                self._run.valve.allow(users)
                if not self._wait(max(0.0, began / 1e9 + users / phase.spawn_rate - monotonic_ns() / 1e9)):
                    return False
        self._allow(phase.users)
        return True

    def _wait(self, duration_s: float | None) -> bool:
        """Wait for a time, or until there is no more work; False when the run is to end."""
        ends = [self._stopping, self._run.disk_is_full, self._run.valve.exhausted]
        gevent.wait(ends, timeout=duration_s, count=1)
        return not (self._stopping.is_set() or self._run.disk_is_full.is_set())

    def _drain(self) -> bool:
        """Wait for the answers in flight; what is not in when the limit is reached is cut off."""
        target = self._run.scenario.target
        limit = target.connect_timeout + target.request_timeout + _DRAIN_SLACK_S
        deadline = monotonic_ns() + limit * 1e9
        drained = self._run.valve.drained
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
        self._runner.user_greenlets.kill()
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
            self._run.read_sender()
            gevent.sleep(_SCRAPE_INTERVAL_S)
