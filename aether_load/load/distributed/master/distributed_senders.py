"""Drive the workers of a run from their master, which sends no requests itself."""

from __future__ import annotations

from time import monotonic_ns
from typing import Any

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.master.dispatch import spread_users
from aether_load.load.distributed.master.message_handler import MessageHandler
from aether_load.load.distributed.master.run_worker import Answer
from aether_load.load.distributed.master.run_workers import RunWorkers
from aether_load.load.distributed.master.sample_receiver import SampleReceiver
from aether_load.load.distributed.master.worker_registry import WorkerRegistry
from aether_load.load.distributed.signature import DROPPED
from aether_load.load.run import Run
from aether_load.load.run_ending import EndReason
from aether_load.load.sending.sender_context import Tally
from aether_load.rundata.manifest import PhaseRecord
from aether_load.scenario.stage import Stage
from aether_load.schedule.shard import users_alike
from aether_load.schedule.trace import Trace
from aether_load.schedule.work_limit import work_limit

LEAD_NS = 150_000_000
"""How long before a load begins its workers are told: as long as a message may take to the farthest of them."""
SPAWN_RATE = 1000
_CLOSE_LIMIT_S = 60.0
_COLLECT_LIMIT_S = 300.0
_CANCEL_LIMIT_S = 5.0
_SPAWNED_LIMIT_S = 5.0


class DistributedSenders:
    """Gives each worker its share of every stage, and sums up their reports."""

    def __init__(
        self,
        run: Run,
        registry: WorkerRegistry,
        sample_receiver: SampleReceiver,
        runner: Any,
        traces: dict[int, Trace],
    ) -> None:
        self._run = run
        self._registry = registry
        self._runner = runner
        self._traces = traces
        self._workers = RunWorkers(run, sample_receiver)
        self._handler = MessageHandler(run, sample_receiver, self._workers)
        self.planned_requests: int | None = None
        self.drained = self._workers.drained
        registry.listen(self._handler)

    def tally(self) -> Tally:
        """Return the sums of what the workers reported last."""
        return self._workers.tally()

    # Users

    def request_users(self, users: int) -> None:
        """Have Locust spawn as many users on every worker as its share of `users` is at most."""
        there = self._workers.there
        needed = users_alike(users, len(there))
        spread_anew = spread_users(self._runner, [worker.session.client for worker in there])
        if self._runner.target_user_count == needed and not spread_anew:
            return
        self._registry.wait_for(lambda: bool(self._runner.spawning_completed), _SPAWNED_LIMIT_S)
        self._runner.start(needed, spawn_rate=max(SPAWN_RATE, needed))

    def await_users(self, users: int) -> None:
        """Have the workers say when their share of users stands before the user_pool, with their connections open."""
        number = self._handler.ask()
        # With fewer users than workers some have nothing to do; a worker without users would keep its requests.
        self._workers.activate(None if self._run.follow_user_count else max(1, users))
        for worker, share in self._workers.shares():
            worker.forget(say.UsersReady)
            worker.session.send(say.AwaitUsers(number, 1 if self._run.follow_user_count else share.users(users)))

    def are_ready(self) -> bool:
        """Tell whether as many users are ready as were asked for."""
        ready = [worker.has_answered(say.UsersReady) for worker in self._workers.active]
        return bool(ready) and (any(ready) if self._run.follow_user_count else all(ready))

    # A stage

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight."""
        self._run.turn_to(stage)
        if stage.cache == "cold":
            self._run.target.clear_cache()
        elif stage.cache == "warm":
            number = self._handler.ask()
            for worker, share in self._workers.shares():
                worker.session.send(say.Warm(number, stage, share))
            self._wait_for(say.Warmed)

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Have every worker drive its share of a stage; return what ended it."""
        number = self._begin(stage, record)
        if stage.cache == "cold" and stage.has_ramp:
            if not self._wait_for(say.Idle, say.StageEnded):
                return self._stop()
            self._run.target.clear_cache()
            self._workers.tell(say.OpenWindow(number))
        if not self._wait_for(say.StageEnded):
            return self._stop()
        self._workers.window_ended()
        ends = [worker.ended_by for worker in self._workers.active if worker.ended_by]
        if not ends:
            return EndReason.WORKERS_GONE.ended_by
        return next((end for end in ends if end != ends[0]), ends[0])

    def _begin(self, stage: Stage, record: PhaseRecord) -> int:
        """Have every worker begin its share of a stage, at the same instant; return the question's number."""
        number = self._handler.ask()
        self._workers.record = record
        self.drained.clear()
        self.planned_requests, _ = work_limit(stage, self._run.workload.of_phase(stage.phase), self._traces)
        begin_ns = None if stage.joined else monotonic_ns() + LEAD_NS
        for worker, share in self._workers.shares():
            worker.begin_stage()
            at_ns = None if begin_ns is None else worker.session.from_run(begin_ns)
            worker.session.send(say.RunStage(number, stage, share, at_ns))
        return number

    def end(self, record: PhaseRecord | None) -> None:
        """Stop all workers; `drained` is set when no worker has anything in flight."""
        self._workers.record = record or self._workers.record
        if self._workers.without(say.StageEnded):
            self._stop()
        number = self._handler.ask()
        for worker in self._workers.active:
            worker.forget(say.Drained, say.RecordsSent)
        self._workers.tell(say.End(number))
        self._workers.see_whether_drained()

    def cancel(self) -> None:
        """Cancel what is in flight."""
        self._workers.tell(say.Cancel())
        self.drained.wait(_CANCEL_LIMIT_S)

    def collect_records(self) -> None:
        """Wait until all is handed in, and write it, and what the workers' clocks say now."""
        self._registry.wait_for(lambda: not self._workers.without(say.RecordsSent), _COLLECT_LIMIT_S)
        if late := self._workers.without(say.RecordsSent):
            numbers = ", ".join(str(worker.session.number) for worker in late)
            self._run.manifest.notes.append(f"Worker {numbers} had not handed in all after {_COLLECT_LIMIT_S:g} s.")
        for worker in self._workers.by_number.values():
            worker.read_clock()
        self._workers.write_down()
        self._run.flush()

    def close(self) -> None:
        """Have every worker hand in what is left, and accept no further records."""
        self._workers.is_closing = True
        for worker in self._workers.there:
            worker.session.send(say.Close(self._run.manifest.id))
        every = self._workers.by_number.values()
        self._registry.wait_for(lambda: all(each.closed or each.session.gone for each in every), _CLOSE_LIMIT_S)
        self._registry.listen(None)
        if DROPPED.total:
            self._run.manifest.notes.append(
                f"{DROPPED.total} messages at the master's port were dropped: they were not its workers'."
            )
        self._workers.write_down()

    # Waiting

    def _wait_for(self, *answers: type[Answer]) -> bool:
        """Wait until every worker that is there has given one of these answers; False when the run is to end."""
        ending = self._run.ending
        while not self._registry.wait_for(lambda: ending.is_set() or not self._workers.without(*answers), 3600.0):
            pass
        return not ending.is_set()

    def _stop(self) -> str:
        """Have the stage end where it is; what is in flight is waited for by `end`."""
        why = self._run.ending.ended_by
        self._workers.tell(say.Stop(why))
        return why
