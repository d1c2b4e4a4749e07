"""AetherUser: a Locust user whose requests go out on a connection of its own and are recorded."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
from gevent import GreenletExit, getcurrent
from locust import User
from locust.exception import (
    InterruptTaskSet,
    RescheduleTask,
    RescheduleTaskImmediately,
    StopTest,
    StopUser,
)
from locust.user.task import LOCUST_STATE_RUNNING, LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from aether_load.datasets.prompt import Prompt
from aether_load.load.sending.sending import Sending
from aether_load.load.users.execution import NOT_SENT, Execution, execution_of
from aether_load.load.users.iterated_tasks import iterated
from aether_load.load.users.own_requests import PLAIN, ModelSettings
from aether_load.load.users.user_requests import Request, UserRequests
from aether_load.redaction import foreign_text
from aether_load.rundata.records.record_format import ITERATION_STATES, IterationRecord

if TYPE_CHECKING:
    from locust.env import Environment

    from aether_load.load.sending.sender_context import SenderContext, SenderContexts
    from aether_load.load.sending.stage_work import StageWork
    from aether_load.schedule.order import Work

_COMPLETED, _FAILED, _INTERRUPTED = range(len(ITERATION_STATES))
_FIXED_WEIGHT = 1e9
_FAILURE_PAUSE_S = 0.05
_LONGEST_ERROR = 300


class PhaseOver(RescheduleTaskImmediately):
    """End a task whose phase has ended; the user goes on with its next task in the next phase."""


class _Pass:
    """One pass of a task: what it has sent so far, and the arrival that it is of in open load."""

    __slots__ = ("arrival", "began_ns", "request_ns", "requests", "stage")

    def __init__(self, stage: StageWork, arrival: Work | None) -> None:
        self.stage = stage
        self.arrival = arrival
        self.requests = 0
        self.request_ns = 0
        self.began_ns = monotonic_ns()


class AetherUser(User):
    """One client of an Aether runtime.

    A subclass without tasks sends the scenario's prompts. One with tasks runs those as any Locust user does, and sends
    with `execute`. Either sends while its phase wants it to.
    """

    abstract = True
    is_aether_user = True
    """Whether users of the class send by this package."""

    def __init_subclass__(cls, **more: Any) -> None:
        """Take note whether the class has tasks, before Locust filters them by their tags."""
        super().__init_subclass__(**more)
        own = [task for task in cls.tasks if task is not AetherUser._replay]
        cls.has_tasks = bool(own)
        cls.tasks = own or [AetherUser._replay]

    has_tasks: bool = False
    """Whether the class has tasks of its own."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        kind = type(self)
        self.tasks = [iterated(task, kind.__name__) for task in kind.tasks] if kind.has_tasks else [AetherUser._replay]
        self._contexts: SenderContexts = vars(environment)["aether"]
        self._context: SenderContext | None = None
        self._sendings: list[Sending] = []
        self._requests: UserRequests
        self._kind = kind.__name__, _FIXED_WEIGHT if kind.fixed_count else float(kind.weight)
        self._pass: _Pass | None = None
        self._stage: StageWork | None = None
        self._passes_in_stage = 0
        self._drew = False
        self._is_ending = False
        vars(self)["on_stop"] = self._ending(self.on_stop)

    def _ending(self, on_stop: Callable[[], object]) -> Callable[[], None]:
        """Have this user know that it ends before its own code hears of it."""

        def ending() -> None:
            self._is_ending = True
            on_stop()

        return ending

    # What user code calls

    def next_prompt(self) -> Prompt:
        """Return the next prompt of the scenario's datasets: each once a pass, whoever asks, over workers too.

        In open load the first one of a task is that of the arrival. Ends the task when the phase's passes are over.
        """
        if self._pass is None:
            with _Admission(self) as current:
                return self._next_prompt(current)
        return self._next_prompt(self._pass)

    def execute(
        self,
        what: Prompt | str | Mapping[str, Any],
        *,
        name: str,
        context: Mapping[str, Any] | None = None,
        model: str | None = None,
        temperature: float | None = None,
        max_tokens: int | None = None,
        sequential: bool = False,
    ) -> Execution:
        """Send one request, wait for its answer, and return what it says.

        `what` is a prompt of the scenario, a text that one LLM node is asked, or a DAG as the runtime takes it
        (`{"nodes": [...]}`, or a whole body). `name` stands for the request in every output, where otherwise the
        dataset stands. Settings that are None are the scenario's. A request that fails is no exception: see
        `Execution.ok`. Raises ValueError for what cannot be sent.
        """
        pool = self._attached().user_pool
        plain = context is None and model is None and temperature is None and max_tokens is None and not sequential
        settings = PLAIN if plain else ModelSettings(context, model, temperature, max_tokens, sequential)
        request = self._requests.request(what, name, settings)
        if self._pass is None:
            if self._is_ending and not pool.may_begin_task():
                return NOT_SENT
            with _Admission(self) as current:
                return self._send(current, request, name)
        return NOT_SENT if self._is_ending else self._send(self._pass, request, name)

    def _next_prompt(self, current: _Pass) -> Prompt:
        self._drew = True
        context = self._attached()
        if current.arrival is not None and current.requests == 0:
            return context.workload.prompts[current.arrival[1]]
        assert context.work is not None
        place = context.work.next_prompt()
        if place is None:
            context.user_pool.run_out()
            raise PhaseOver
        return context.workload.prompts[place]

    def _send(self, current: _Pass, request: Request, name: str) -> Execution:
        context = self._attached()
        work = self._begin_request(current, request.place)
        data = request.data
        if data is None:
            data = context.sides[0].prepared.bytes_of(work[0], request.place)
        current.requests += 1
        try:
            outcome, reason, told, sent_ns, ended_ns = self._sendings[0].execute(
                work, data, request.prompt, name=name, dag=request.dag
            )
        except BaseException:
            context.user_pool.leave()
            raise
        current.request_ns += ended_ns - sent_ns
        context.user_pool.end_request()
        return execution_of(outcome, reason, told, (ended_ns - sent_ns) / 1e6, request.answer_node)

    # Passes of tasks

    def iterate(self, name: str, run: Callable[[], object]) -> None:
        """Run one pass of a task and record it; an exception in it is a failed pass, and the user goes on."""
        current = self._begin_task()
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
            self._end_task(name, current, state, error)
        if error is not None:
            self._tell(name, error)
            if not current.requests:
                # A task that fails at once must not take the whole processor.
                gevent.sleep(_FAILURE_PAUSE_S)

    def _begin_task(self) -> _Pass:
        """Wait until the phase wants this user, and begin a pass."""
        context = self._attached()
        pool = context.user_pool
        arrival = None
        if not pool.begin_task():
            while True:
                arrival = self._wait_for_work(context)
                if pool.is_warming:
                    self._send_until_left(context, arrival)
                    continue
                if pool.is_open_load and arrival is None:
                    arrival = pool.next_work()
                    if arrival is None:
                        pool.leave()
                        continue
                if pool.take_place():
                    break
                if arrival is not None:
                    context.recorder.dropped(arrival)
        assert context.work is not None
        if context.work is not self._stage:
            self._stage, self._passes_in_stage, self._drew = context.work, 0, False
        self._pass = _Pass(context.work, arrival)
        return self._pass

    def _end_task(self, name: str, current: _Pass, state: int, error: Exception | None) -> None:
        context = self._attached()
        self._pass = None
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
        self._passes_in_stage += 1
        limit = current.stage.passes
        if limit is not None and not self._drew and self._passes_in_stage >= limit:
            context.user_pool.retire()
        else:
            context.user_pool.end_task()

    def _tell(self, name: str, error: Exception) -> None:
        """Tell Locust of each failed pass, and the log of each kind of failure once."""
        self.environment.events.user_error.fire(user_instance=self, exception=error, tb=error.__traceback__)
        told = self._requests.failures_told
        kind = name, type(error), str(error)[:_LONGEST_ERROR]
        if kind not in told and len(told) < _LONGEST_ERROR:
            told.add(kind)
            lines = "".join(traceback.format_exception(error))
            logging.getLogger("aether_load").error("task %s failed (said once for each reason):\n%s", name, lines)

    def _begin_request(self, current: _Pass, prompt: int) -> Work:
        """Return the request's work; raises PhaseOver when nothing more may be sent."""
        context = self._attached()
        pool, stage = context.user_pool, context.work
        if not pool.begin_request():
            raise PhaseOver
        assert stage is not None
        if current.arrival is not None and current.requests == 0:
            number, _, due, place = current.arrival
            return number, prompt, due, place
        next_number = stage.next_request()
        if next_number is None:
            pool.end_request()
            pool.run_out()
            raise PhaseOver
        return next_number, prompt, None, stage.place

    # The scenario's prompts

    def _replay(self) -> None:
        """Send the scenario's prompts as long as there is work for this user."""
        context = self._attached()
        self._send_until_left(context, self._wait_for_work(context))

    def _wait_for_work(self, context: SenderContext) -> Work | None:
        """Wait to be activated; only a user that waits may be killed at once when Locust stops."""
        self._state = LOCUST_STATE_WAITING
        work = context.user_pool.enter(*self._kind)
        self._state = LOCUST_STATE_RUNNING
        return work

    def _send_until_left(self, context: SenderContext, work: Work | None) -> None:
        pool = context.user_pool
        send, next_work = self._sendings[context.side].send, pool.next_work
        try:
            if work is None:
                work = next_work()
            while work is not None:
                send(work)
                if self._state == LOCUST_STATE_STOPPING:
                    raise StopUser
                work = next_work()
        finally:
            pool.leave()

    # The process that it lives in

    def _attached(self) -> SenderContext:
        """Return what this process's users share; connects when it is asked for first."""
        if self._context is None:
            context = self._context = self._contexts.sender_context
            context.user_pool.has_tasks |= type(self).has_tasks
            if context.user_requests is None:
                context.user_requests = UserRequests(context)
            self._requests = context.user_requests
            self._sendings = [
                Sending(side.new_connection(context.pool), side.prepared, context.recorder) for side in context.sides
            ]
            getcurrent().rawlink(self._detach)
            for sending in self._sendings:
                sending.open()
        return self._context

    def _detach(self, greenlet: Any) -> None:
        """Hang up, and give back what this user held."""
        if self._context is not None:
            self._context.user_pool.forget(greenlet)
        for sending in self._sendings:
            sending.close()


class _Admission:
    """The pass that a call of user code belongs to; outside of tasks, as in `on_start`, one of the call's own."""

    def __init__(self, user: AetherUser) -> None:
        self._user = user
        self._is_own = user._pass is None  # noqa: SLF001 -- a part of AetherUser

    def __enter__(self) -> _Pass:
        return self._user._pass or self._user._begin_task()  # noqa: SLF001

    def __exit__(self, *_: object) -> None:
        if self._is_own:
            self._user._pass = None  # noqa: SLF001
            self._user._attached().user_pool.end_task()  # noqa: SLF001
