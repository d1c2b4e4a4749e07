"""Run a user's tasks one pass at a time: a pass begins when its phase wants the user, and is recorded."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic_ns

import gevent
from gevent import GreenletExit
from locust import User
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)

from aether_load.datasets.prompt import Prompt
from aether_load.load.sending.stage_work import StageWork
from aether_load.load.users.user_sender import UserSender
from aether_load.redaction import foreign_text
from aether_load.rundata.records.record_format import ITERATION_STATES, IterationRecord
from aether_load.schedule.order import Work

_COMPLETED, _FAILED, _INTERRUPTED = range(len(ITERATION_STATES))
_FAILURE_PAUSE_S = 0.05
_LONGEST_ERROR = 300


class PhaseOver(RescheduleTaskImmediately):
    """End a task whose phase has ended; the user goes on with its next task in the next phase."""


class TaskPass:
    """One pass of a task: what it has sent so far, and the arrival that it is of in open load."""

    __slots__ = ("arrival", "began_ns", "request_ns", "requests", "stage")

    def __init__(self, stage: StageWork, arrival: Work | None) -> None:
        self.stage = stage
        self.arrival = arrival
        self.requests = 0
        self.request_ns = 0
        self.began_ns = monotonic_ns()


class TaskPasses:
    """The passes of one user's tasks."""

    def __init__(self, user: User, sender: UserSender) -> None:
        self._user = user
        self._sender = sender
        self._stage: StageWork | None = None
        self._in_stage = 0
        self.current: TaskPass | None = None
        """The pass under way; None outside of tasks, as in `on_start`."""
        self._drew = False

    def iterate(self, name: str, run: Callable[[], object]) -> None:
        """Run one pass of a task and record it; an exception in it is a failed pass, and the user goes on."""
        current = self.begin()
        state, error = _COMPLETED, None
        try:
            run()
        except (PhaseOver, StopUser, StopTest, GreenletExit):
            state = _INTERRUPTED
            raise
        except (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately):
            raise
        except Exception as failure:  # noqa: BLE001 -- whatever a user's code raises is its failure, not the run's
            state, error = _FAILED, failure
        finally:
            self._end(name, current, state, error)
        if error is not None:
            self._tell(name, error)
            if not current.requests:
                # A task that fails at once must not take the whole processor.
                gevent.sleep(_FAILURE_PAUSE_S)

    def begin(self) -> TaskPass:
        """Wait until the phase wants this user, and begin a pass."""
        sender, context = self._sender, self._sender.context
        pool = context.user_pool
        arrival = None
        if not pool.places.begin_task():
            while True:
                arrival = sender.wait_for_work()
                if pool.is_warming:
                    sender.send_until_left(arrival)
                    continue
                if pool.is_open_load and arrival is None:
                    arrival = pool.next_work()
                    if arrival is None:
                        pool.leave()
                        continue
                if pool.places.take():
                    break
                if arrival is not None:
                    context.recorder.dropped(arrival)
        assert context.work is not None
        if context.work is not self._stage:
            self._stage, self._in_stage, self._drew = context.work, 0, False
        self.current = TaskPass(context.work, arrival)
        return self.current

    def _end(self, name: str, current: TaskPass, state: int, error: Exception | None) -> None:
        context = self._sender.context
        self.current = None
        if current.arrival is not None and not current.requests:
            context.recorder.dropped(current.arrival, "its task sent no request")
        if current.requests or state != _INTERRUPTED:
            buffer = context.buffer
            text = None if error is None else foreign_text(f"{type(error).__name__}: {error}", _LONGEST_ERROR)
            buffer.add_iteration(
                IterationRecord(
                    buffer.worker, current.stage.place, buffer.names.place(name), buffer.errors.place(text), state,
                    current.began_ns, monotonic_ns(), current.requests, current.request_ns,
                )
            )  # fmt: skip
        self._in_stage += 1
        limit = current.stage.passes
        if limit is not None and not self._drew and self._in_stage >= limit:
            context.user_pool.retire()
        else:
            context.user_pool.places.end_task()

    def _tell(self, name: str, error: Exception) -> None:
        """Tell Locust of each failed pass, and the log of each kind of failure once."""
        self._user.environment.events.user_error.fire(user_instance=self._user, exception=error, tb=error.__traceback__)
        told = self._sender.requests.failures_told
        kind = name, type(error), str(error)[:_LONGEST_ERROR]
        if kind not in told and len(told) < _LONGEST_ERROR:
            told.add(kind)
            lines = "".join(traceback.format_exception(error))
            logging.getLogger("aether_load").error("task %s failed (said once for each reason):\n%s", name, lines)

    def begin_request(self, current: TaskPass, prompt: int) -> Work:
        """Return the request's work; raises PhaseOver when nothing more may be sent."""
        context = self._sender.context
        pool, stage = context.user_pool, context.work
        if not pool.places.begin_request():
            raise PhaseOver
        assert stage is not None
        if current.arrival is not None and current.requests == 0:
            number, _, due, place = current.arrival
            return number, prompt, due, place
        next_number = stage.next_request()
        if next_number is None:
            pool.places.end_request()
            pool.run_out()
            raise PhaseOver
        return next_number, prompt, None, stage.place

    @contextmanager
    def own_pass(self) -> Iterator[TaskPass]:
        """Admit a call outside of tasks, as in `on_start`, to a pass that is not recorded as one."""
        current = self.begin()
        try:
            yield current
        finally:
            self.current = None
            self._sender.context.user_pool.places.end_task()

    def next_prompt(self, current: TaskPass) -> Prompt:
        """Return the next prompt; raises PhaseOver when the stage has handed out all of its passes."""
        self._drew = True
        context = self._sender.context
        if current.arrival is not None and current.requests == 0:
            return context.workload.prompts[current.arrival[1]]
        assert context.work is not None
        place = context.work.next_prompt()
        if place is None:
            context.user_pool.run_out()
            raise PhaseOver
        return context.workload.prompts[place]
