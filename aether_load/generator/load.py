"""Puts a stage's load on the runtime: its way up, its window, and what ends that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from time import monotonic_ns
from typing import TYPE_CHECKING

import gevent
from gevent.event import Event

from aether_load.generator.pacer import Pacer
from aether_load.generator.run import Run
from aether_load.workload.arrivals import arrival_offsets
from aether_load.workload.think_time import pauses
from aether_load.workload.way_up import user_steps
from aether_load.workload.workload import Work, work_order

if TYPE_CHECKING:
    from aether_load.analysis.run import PhaseRecord
    from aether_load.workload.stage import Stage

_NS_PER_S = 1_000_000_000
_EVERYBODY = 1_000_000
_BOOKED_AT_ONCE = 500


class Load:
    """Drives stages over the valve; `stopping` ends whatever is under way."""

    def __init__(self, run: Run, stopping: Event, *, follow_user_count: bool) -> None:
        """With `follow_user_count` all users there are are let loose: Locust's page decides how many."""
        self._run = run
        self._valve = run.valve
        self._stopping = stopping
        self._follow = follow_user_count
        self._pacer = Pacer(run.valve)
        self._next_request = 0
        self.planned_requests: int | None = None

    def close(self) -> None:
        """Give the clock back."""
        self._pacer.close()

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight and off the record.

        A cold cache that has a way up before its window is emptied at the end of that.
        """
        run = self._run
        run.turn_to(stage)
        if stage.cache == "cold":
            run.sides[run.side].clear_cache()
        elif stage.cache == "warm":
            self._send_all_once(stage)

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Take a stage from its way up to its window's end; return what ended it."""
        self._run.turn_to(stage)
        place = self._run.buffer.phases.place(stage.name)
        if stage.load == "open":
            return self._drive_open(stage, record, place)
        return self._drive_closed(stage, record, place)

    def end(self, record: PhaseRecord | None) -> None:
        """Send nothing further; what was due and is not sent is booked so."""
        self._pacer.stop()
        self._take_back()
        left = self._valve.shut()
        if record is not None and record.window_began_ns is not None and record.window_ended_ns is None:
            self._shut_window(record, monotonic_ns())
        self._book_unsent(left)

    # Closed load

    def _drive_closed(self, stage: Stage, record: PhaseRecord, place: int) -> str:
        pause_s = pauses(stage, self._run.scenario.seed)
        if stage.spawn_rate is not None or stage.ramp_over_s or stage.warmup_s:
            self._valve.open(self._closed_work(stage, place, None), pause_s)
            if not (self._climb(stage) and self._wait(stage.warmup_s) and self._cool(stage)):
                return self._early_end()
        limit = self._limit(stage)
        self._valve.open(self._closed_work(stage, place, limit), pause_s)
        self._open_window(record)
        self._allow(stage.users)
        self._wait(stage.duration_s)
        if self._is_over:
            return self._early_end()
        if self._valve.exhausted.is_set():
            return self._end_by_count(stage, limit)
        self._shut_window(record, monotonic_ns())
        return "duration"

    def _climb(self, stage: Stage) -> bool:
        """Let users loose one after the other; False when the run is to end meanwhile."""
        began = monotonic_ns() / 1e9
        if not self._follow:
            for users, at_s in user_steps(stage):
                if not self._wait(max(0.0, began + at_s - monotonic_ns() / 1e9)):
                    return False
                self._valve.allow(users)
            if not self._wait(max(0.0, began + stage.ramp_over_s - monotonic_ns() / 1e9)):
                return False
        self._allow(stage.users)
        return True

    def _allow(self, users: int) -> None:
        self._valve.allow(_EVERYBODY if self._follow else users)

    def _closed_work(self, stage: Stage, place: int, limit: int | None) -> Iterator[Work]:
        for prompt in self._prompts(stage, limit):
            request = self._next_request
            self._next_request += 1
            yield request, prompt, None, place

    # Open load

    def _drive_open(self, stage: Stage, record: PhaseRecord, place: int) -> str:
        valve, pacer = self._valve, self._pacer
        valve.open_for_due()
        self._allow(stage.users)
        began = monotonic_ns()
        way_up_s = stage.ramp_over_s + stage.warmup_s
        if way_up_s and not stage.trace:
            offsets = self._arrivals(stage, "way up", ramp=True)
            ended = began + int(way_up_s * _NS_PER_S)
            pacer.start(self._open_work(offsets, self._prompts(stage, None), began, place), ended)
            if not (self._wait_for(pacer.ended) and self._cool(stage)):
                return self._early_end()
            self._take_back()
            # The schedule goes on where it ended, unless the cache had to be emptied at rest meanwhile.
            began = monotonic_ns() if stage.cache == "cold" else ended
            if stage.cache == "cold":
                valve.open_for_due()
                self._allow(stage.users)
        limit = self._limit(stage)
        end = None if stage.duration_s is None else began + int(stage.duration_s * _NS_PER_S)
        offsets, prompts = self._window_schedule(stage, limit)
        self._open_window(record, began)
        pacer.start(self._open_work(offsets, prompts, began, place), end)
        if not self._wait_for(pacer.ended):
            return self._early_end()
        self._take_back()
        if end is not None and monotonic_ns() >= end:
            self._shut_window(record, end)
            return "duration"
        valve.all_is_due()
        if not self._wait_for(valve.exhausted):
            return self._early_end()
        self._shut_window(record, monotonic_ns())
        return "trace" if stage.trace else self._end_by_count(stage, limit)

    def _window_schedule(self, stage: Stage, limit: int | None) -> tuple[Iterator[int], Iterator[int]]:
        """Return the times of the window's requests, from its start, and their prompts."""
        if not stage.trace:
            return self._arrivals(stage, "window", ramp=False), self._prompts(stage, limit)
        trace = self._run.traces[stage.phase]
        prompts = self._prompts(stage, limit) if trace.prompts is None else iter(trace.prompts)
        return iter(trace.offsets_ns), islice(prompts, limit)

    def _arrivals(self, stage: Stage, part: str, *, ramp: bool) -> Iterator[int]:
        assert stage.rate_rps is not None
        seed = f"{self._run.scenario.seed} {stage.name} {part}"
        if not ramp or not stage.ramp_over_s:
            return arrival_offsets(stage.arrivals, stage.rate_rps, seed)
        return arrival_offsets(
            stage.arrivals, stage.rate_rps, seed, ramp_from_rps=stage.ramp_from, ramp_over_s=stage.ramp_over_s
        )

    def _open_work(self, offsets: Iterator[int], prompts: Iterator[int], began_ns: int, place: int) -> Iterator[Work]:
        # The shorter one ends it; a prompt is drawn first, so that no due time is lost to a limit.
        for prompt, offset in zip(prompts, offsets, strict=False):
            request = self._next_request
            self._next_request += 1
            yield request, prompt, began_ns + offset, place

    def _take_back(self) -> None:
        """Give the index of a request that never became due to the next one."""
        if (left := self._pacer.take_back()) is not None:
            self._next_request = left[0]

    # Both

    def _open_window(self, record: PhaseRecord, began_ns: int | None = None) -> None:
        """Open the window at an instant, or (None) as soon as that is written down."""
        record.window_began_ns = began_ns or monotonic_ns()
        # Written before any user has its turn: a run that is killed must know since when its window was open.
        self._run.save_manifest()
        if began_ns is None:
            # The writing takes milliseconds, in which nothing is in flight: of a short window that is a part.
            record.window_began_ns = monotonic_ns()
        self._run.read_sender()

    def _shut_window(self, record: PhaseRecord, ended_ns: int) -> None:
        record.window_ended_ns = ended_ns
        self._run.read_sender()

    def _limit(self, stage: Stage) -> int | None:
        limits = [stage.requests, stage.passes and stage.passes * self._prompt_count]
        if stage.trace:
            limits.append(len(self._run.traces[stage.phase].offsets_ns))
        self.planned_requests = min((limit for limit in limits if limit), default=None)
        return self.planned_requests

    @property
    def _prompt_count(self) -> int:
        return self._run.workload.prompt_count

    def _prompts(self, stage: Stage, limit: int | None) -> Iterator[int]:
        """Return the places of the prompts from the first one on, pass after pass."""
        trace = self._run.traces.get(stage.phase)
        if trace is not None and trace.prompts is not None:
            return islice(iter(trace.prompts), limit)
        return work_order(self._prompt_count, limit)

    def _end_by_count(self, stage: Stage, limit: int | None) -> str:
        return "requests" if limit == stage.requests else "passes"

    @property
    def _is_over(self) -> bool:
        return bool(self._stopping.is_set() or self._run.disk_is_full.is_set())

    def _early_end(self) -> str:
        if self._run.disk_is_full.is_set():
            return "refused by the disk"
        return "stopped" if self._run.manifest.aborted is None else "threshold"

    def _wait(self, duration_s: float | None) -> bool:
        """Wait for a time, or until there is no more work; False when the run is to end."""
        ends = [self._stopping, self._run.disk_is_full, self._valve.exhausted]
        deadline = None if duration_s is None else monotonic_ns() + int(duration_s * _NS_PER_S)
        left_s = duration_s
        # The event loop's timers ring up to a millisecond early.
        while (left_s is None or left_s > 0) and not gevent.wait(ends, timeout=left_s, count=1):
            assert deadline is not None
            left_s = (deadline - monotonic_ns()) / _NS_PER_S
        return not self._is_over

    def _wait_for(self, event: Event) -> bool:
        """Wait for an event; False when the run is to end."""
        gevent.wait([self._stopping, self._run.disk_is_full, event], count=1)
        return not self._is_over

    def _cool(self, stage: Stage) -> bool:
        """Between a way up and a cold window: let what is in flight come in, and empty the cache."""
        if stage.cache != "cold":
            return True
        self._book_unsent(self._valve.shut())
        if not self._wait_for(self._valve.drained):
            return False
        self._run.sides[self._run.side].clear_cache()
        return True

    def _book_unsent(self, works: Sequence[Work]) -> None:
        """Book what was due and never sent, with turns for the answers in flight where that is much."""
        for place, work in enumerate(works, 1):
            self._run.recorder.unsent(work)
            if place % _BOOKED_AT_ONCE == 0:
                gevent.sleep(0)

    def _send_all_once(self, stage: Stage) -> None:
        """Send every prompt of the stage once, off the record, and wait for the answers.

        Where the run ends meanwhile, what is in flight stays off the record.
        """
        recorder, valve = self._run.recorder, self._valve
        trace = self._run.traces.get(stage.phase)
        prompts = range(self._prompt_count)
        whole = list(prompts) if trace is None or trace.prompts is None else list(dict.fromkeys(trace.prompts))
        done, failed = recorder.done, recorder.failed
        recorder.off_the_record = True
        valve.open((-1, prompt, None, 0) for prompt in whole)
        self._allow(stage.users)
        self._wait_for(valve.exhausted)
        valve.shut()
        if not self._wait_for(valve.drained):
            return
        recorder.off_the_record = False
        failures = recorder.failed - failed
        recorder.done, recorder.failed = done, failed
        if failures:
            self._run.manifest.notes.append(
                f"Phase {stage.name}: {failures} of the {len(whole)} requests that were to warm the cache failed, so "
                "that it is not warm for those."
            )
