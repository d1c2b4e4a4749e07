"""Drive a stage's load: its ramp, its window, and what ends that."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic_ns

import gevent

from aether_load.load.sending.load_callbacks import LoadCallbacks
from aether_load.load.sending.pacer import Pacer
from aether_load.load.sending.request_source import RequestSource
from aether_load.load.sending.sender_context import SenderContext, Window
from aether_load.load.sending.waits import Waits
from aether_load.scenario.stage import Stage
from aether_load.schedule.order import Work
from aether_load.schedule.ramp import user_steps
from aether_load.schedule.shard import WHOLE, Share
from aether_load.schedule.think_time import pauses

_NS_PER_S = 1_000_000_000
_EVERYBODY = 1_000_000
_BOOKED_AT_ONCE = 500


class Load:
    """Drives stages over a sender_context's user_pool; `stopping` of the callbacks ends whatever is under way."""

    def __init__(self, sender_context: SenderContext, callbacks: LoadCallbacks) -> None:
        self._sender_context = sender_context
        self._callbacks = callbacks
        self._user_pool = sender_context.user_pool
        self._waits = Waits(callbacks.stopping)
        self._pacer = Pacer(sender_context.user_pool)
        self._source = RequestSource(sender_context, callbacks.announce)
        self._began_ns: int | None = None
        self.planned_requests: int | None = None

    @property
    def handed_out(self) -> int:
        """Return how many requests were handed out so far."""
        return self._source.handed_out

    def close(self) -> None:
        """Give the clock back."""
        self._pacer.close()

    def warm(self, stage: Stage, share: Share = WHOLE) -> None:
        """Send every prompt of the stage once, off the record and with nothing else in flight; wait for the answers.

        Where the run ends meanwhile, what is in flight stays off the record.
        """
        self._source.share = share
        self._sender_context.turn_to(stage)
        recorder, user_pool = self._sender_context.recorder, self._user_pool
        mine = self._source.each_prompt_once(stage)
        done, failed = recorder.done, recorder.failed
        recorder.off_the_record = True
        user_pool.is_warming = True
        user_pool.open((-1, prompt, None, 0) for prompt in mine)
        self._allow(stage.users)
        self._waits.wait_for(user_pool.exhausted)
        user_pool.shut()
        user_pool.is_warming = False
        if not self._waits.wait_for(user_pool.drained):
            return
        recorder.off_the_record = False
        failures = recorder.failed - failed
        recorder.done, recorder.failed = done, failed
        if failures:
            self._callbacks.note(
                f"Phase {stage.name}: {failures} of the {len(mine)} requests that were to warm the cache failed, so "
                "that it is not warm for those."
            )

    def drive(self, stage: Stage, share: Share = WHOLE, began_ns: int | None = None) -> str:
        """Take a share of a stage from its ramp to its window's end; return what ended it.

        The load begins now, or began at an instant that is just over. The sender_context's `window` tells when it was
        open.
        """
        self._source.share = share
        self._began_ns = began_ns
        self._sender_context.window = Window()
        self._sender_context.turn_to(stage)
        place = self._sender_context.buffer.phases.place(stage.name)
        if stage.load == "open":
            return self._drive_open(stage, place)
        return self._drive_closed(stage, place)

    def rest(self) -> None:
        """Send nothing until the next stage, if one is joined to this; what is due waits."""
        self._user_pool.allow(0)

    def end(self) -> None:
        """Stop sending; record what was due and not sent as dropped."""
        self._pacer.stop()
        self._source.take_back(self._pacer.take_back())
        left = self._user_pool.shut()
        if self._sender_context.window.began_ns is not None and self._sender_context.window.ended_ns is None:
            self._shut_window(monotonic_ns())
        self._book_unsent(left)

    # Closed load

    def _drive_closed(self, stage: Stage, place: int) -> str:
        pause_s = pauses(stage, self._sender_context.scenario.seed, self._source.share)
        if stage.has_ramp:
            self._user_pool.open(self._source.closed_work(stage, place, None), pause_s)
            if not (self._climb(stage) and self._wait(stage.warmup_s) and self._cool(stage)):
                return self._callbacks.why_stopped()
        limit, limited_by = self._limit(stage)
        self._user_pool.open(self._source.closed_work(stage, place, limit), pause_s)
        self._open_window()
        self._allow(stage.users)
        self._wait(stage.duration_s)
        if self._waits.is_over:
            return self._callbacks.why_stopped()
        if self._user_pool.exhausted.is_set():
            return limited_by
        self._shut_window(monotonic_ns())
        return "duration"

    def _climb(self, stage: Stage) -> bool:
        """Activate users one after the other; return False when the run is to end before all are active."""
        began_ns, exhausted = self._began_ns or monotonic_ns(), self._user_pool.exhausted
        if not self._sender_context.follow_user_count:
            for users, at_s in self._source.share.steps(user_steps(stage)):
                if not self._waits.wait_until(began_ns + int(at_s * _NS_PER_S), exhausted):
                    return False
                self._user_pool.allow(users)
            if not self._waits.wait_until(began_ns + int(stage.ramp_over_s * _NS_PER_S), exhausted):
                return False
        self._allow(stage.users)
        return True

    def _allow(self, users: int) -> None:
        self._user_pool.allow(_EVERYBODY if self._sender_context.follow_user_count else self._source.share.users(users))

    # Open load

    def _drive_open(self, stage: Stage, place: int) -> str:
        user_pool, pacer = self._user_pool, self._pacer
        self._source.begin_arrivals(stage, place)
        user_pool.open_for_due()
        self._allow(stage.users)
        began = self._began_ns or monotonic_ns()
        before_window_s = stage.ramp_over_s + stage.warmup_s
        if stage.has_ramp:
            ended = began + int(before_window_s * _NS_PER_S)
            pacer.start(self._source.ramp_arrivals(stage, place, began), ended)
            if not (self._waits.wait_for(pacer.ended) and self._cool(stage)):
                return self._callbacks.why_stopped()
            self._source.take_back(self._pacer.take_back())
            # The schedule goes on where it ended, unless the cache had to be emptied at rest meanwhile.
            began = monotonic_ns() if stage.cache == "cold" else ended
            if stage.cache == "cold":
                user_pool.open_for_due()
                self._allow(stage.users)
        limit, limited_by = self._limit(stage)
        end = None if stage.duration_s is None else began + int(stage.duration_s * _NS_PER_S)
        arriving = self._source.window_arrivals(stage, place, limit, began)
        self._open_window(began)
        pacer.start(arriving, end)
        if not self._waits.wait_for(pacer.ended):
            return self._callbacks.why_stopped()
        self._source.take_back(self._pacer.take_back())
        if end is not None and monotonic_ns() >= end:
            self._shut_window(end)
            return "duration"
        user_pool.all_is_due()
        if not self._waits.wait_for(user_pool.exhausted):
            return self._callbacks.why_stopped()
        self._shut_window(monotonic_ns())
        return limited_by

    # Both

    def _open_window(self, began_ns: int | None = None) -> None:
        """Open the window at an instant, or (None) as soon as that is written down."""
        self._sender_context.window.began_ns = self._callbacks.open_window(began_ns)
        self._callbacks.window_edge()

    def _shut_window(self, ended_ns: int) -> None:
        self._sender_context.window.ended_ns = ended_ns
        self._callbacks.window_edge()

    def _limit(self, stage: Stage) -> tuple[int | None, str]:
        limit, limited_by = self._source.limit(stage)
        self.planned_requests = None if self._user_pool.has_tasks else self._source.share.count(limit)
        return limit, limited_by

    def _wait(self, duration_s: float | None) -> bool:
        """Wait for a time, or until there is no more work; False when the run is to end."""
        deadline_ns = None if duration_s is None else monotonic_ns() + int(duration_s * _NS_PER_S)
        return self._waits.wait_until(deadline_ns, self._user_pool.exhausted)

    def _cool(self, stage: Stage) -> bool:
        """Between a ramp and a cold window: let what is in flight come in, and empty the cache."""
        if stage.cache != "cold":
            return True
        self._book_unsent(self._user_pool.shut())
        if not self._waits.wait_for(self._user_pool.drained):
            return False
        self._callbacks.empty_cache()
        return True

    def _book_unsent(self, works: Sequence[Work]) -> None:
        """Record what was due and never sent, and let answers in flight come in between where that is much."""
        for place, work in enumerate(works, 1):
            self._sender_context.recorder.dropped(work)
            if place % _BOOKED_AT_ONCE == 0:
                gevent.sleep(0)
