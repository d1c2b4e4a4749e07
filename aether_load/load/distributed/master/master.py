"""Run the master's part: accept workers, find the target once, keep the run's folder."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from time import monotonic
from typing import Any

import gevent

from aether_load.errors import AetherLoadError, ExitCode
from aether_load.load.distributed.cluster_socket import locust_message
from aether_load.load.distributed.master.dispatch import patient_dispatcher
from aether_load.load.distributed.master.distributed_senders import DistributedSenders
from aether_load.load.distributed.master.sample_receiver import SampleReceiver
from aether_load.load.distributed.master.worker_registry import WorkerRegistry
from aether_load.load.distributed.messages import Message
from aether_load.load.progress import ProgressLine
from aether_load.load.run import Run
from aether_load.load.sending.locust_feed import LocustFeed
from aether_load.load.session.session import Session
from aether_load.schedule.shard import users_alike

READY_LIMIT_S = 60.0
_JOIN_LIMIT_S = 10.0
"""Locust's own workers, without our locustfile, are heard of and never join."""


class _NoWorkers(AetherLoadError):
    """No worker can carry the load."""

    def __init__(self, sentence: str, exit_code: ExitCode) -> None:
        super().__init__(sentence)
        self.exit_code = exit_code


class Master:
    """What a listener needs beyond a run in one process."""

    def __init__(self, environment: Any, refused: Callable[[str, ExitCode], None]) -> None:
        """Take the function that is called with each refusal of a worker.

        Create it before anything that takes time: a worker's first messages are lost when nothing listens yet.
        """
        options = environment.parsed_options
        self._runner = environment.runner
        self._expected = int(options.expect_workers or 1)
        # Locust gives up with an exit code that means something else here.
        self._patience_s, options.expect_workers_max_wait = float(options.expect_workers_max_wait or 0), 0
        self._refused = refused
        self._last_refusal: tuple[str, ExitCode] | None = None
        self._handed_over: str | None = None
        self._registry = WorkerRegistry(
            self._runner, self._send, self._on_refused, own_children_only=bool(options.processes)
        )
        forgive_those_gone()
        environment.dispatcher_class = patient_dispatcher(self._registry.may_work)

    def _send(self, client: str, message: Message) -> None:
        self._runner.server.send_to_client(locust_message(message, client))

    def hand_over(self, session: Session, scenario: str) -> None:
        """Give the workers what they need, where it is not what they have; `scenario` is the command line's, hashed."""
        identity, data = session.load.handover(self._expected)
        if identity != self._handed_over:
            self._registry.hand_over(scenario, identity, data)
            self._handed_over = identity

    @property
    def has_workers(self) -> bool:
        """Tell whether Locust knows of any."""
        return bool(self._runner.clients.ready or self._runner.clients.running)

    def users_for(self, users: int) -> int:
        """Return how many users Locust is to spawn at once, on the workers expected, so that none are added later."""
        return users_alike(users, self._expected)

    def limit_wait(self) -> None:
        """Report it like a refusal when --expect-workers-max-wait is over before all workers have come."""
        if self._patience_s:
            gevent.spawn_later(self._patience_s, self._count_workers)

    def _count_workers(self) -> None:
        there = len(self._runner.clients.ready)
        if there < self._expected:
            self._refused(
                f"{there} of the {self._expected} workers of --expect-workers had come after {self._patience_s:g} s "
                "(--expect-workers-max-wait): start the others, or expect fewer.",
                ExitCode.TARGET,
            )

    def wait_for_workers(self, line: ProgressLine) -> None:
        """Wait until all that have come can work; raises AetherLoadError when none can."""
        line.show("handing the prompts to the workers")
        registry = self._registry
        join_by = monotonic() + _JOIN_LIMIT_S

        def all_are_ready() -> bool:
            late = registry.has_strangers and monotonic() < join_by
            return bool(registry.ready) and len(registry.ready) == len(registry.expected) and not late

        in_time = registry.wait_for(lambda: all_are_ready() or registry.is_gone, READY_LIMIT_S)
        line.clear()
        if registry.ready:
            return
        if self._last_refusal is not None:
            raise _NoWorkers(*self._last_refusal)
        if registry.is_gone:
            raise _NoWorkers("The workers that had come are gone: nobody is left to carry the load.", ExitCode.INVALID)
        why = "none has come" if in_time else f"none was ready within {READY_LIMIT_S:g} s"
        raise _NoWorkers(f"There is no worker to carry the load: {why}.", ExitCode.TARGET)

    def start_run(self, session: Session, feed: LocustFeed) -> tuple[Run, DistributedSenders]:
        """Make a new run folder, and have the workers begin."""
        run, sample_receiver = session.start_distributed_run(feed, SampleReceiver)
        traces = session.load.prompts.traces
        return run, DistributedSenders(run, self._registry, sample_receiver, self._runner, traces)

    def close(self) -> None:
        """Stop watching the workers."""
        self._registry.close()

    def _on_refused(self, sentence: str, code: ExitCode) -> None:
        self._last_refusal = sentence, code
        self._refused(sentence, code)


def forgive_those_gone() -> None:
    """Have Locust find nothing wrong with a worker whose end gevent has seen, and forgotten, long ago.

    It asks for each child's exit code at the very end, and for three seconds takes the answer that there is no such
    child for an error to be printed. To be called after it has registered to do so.
    """

    @atexit.register
    def _() -> None:
        wait = os.waitpid

        def waitpid(pid: int, options: int) -> tuple[int, int]:
            try:
                return wait(pid, options)
            except ChildProcessError:
                return pid, 0

        os.waitpid = waitpid
