"""Drive the workers of a run from their master, which sends no requests itself."""

from __future__ import annotations

from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.message_handler import MessageHandler
from aether_load.load.distributed.run_workers import RunWorkers
from aether_load.load.distributed.signature import DROPPED
from aether_load.load.phases.senders import Tally
from aether_load.load.run_ending import EndReason
from aether_load.schedule.shard import users_alike
from aether_load.schedule.work_limit import work_limit

if TYPE_CHECKING:
    from gevent.event import Event

    from aether_load.load.distributed.sample_receiver import SampleReceiver
    from aether_load.load.distributed.worker_registry import WorkerRegistry, WorkerSession
    from aether_load.load.run import Run
    from aether_load.rundata.manifest import PhaseRecord
    from aether_load.scenario.stage import Stage
    from aether_load.schedule.trace import Trace

LEAD_NS = 150_000_000
"""How long before a load begins its workers are told: as long as a message may take to the farthest of them."""
SPAWN_RATE = 1000
_CLOSE_LIMIT_S = 60.0
_HAND_IN_LIMIT_S = 300.0
_CUT_OFF_LIMIT_S = 5.0
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
        *,
        follow_user_count: bool,
    ) -> None:
        """With `follow_user_count`, activate every user that Locust has spawned: its page decides how many."""
        self._run = run
        self._registry = registry
        self._runner = runner
        self._stopping: Event = run.ending.event
        self._traces = traces
        self._follow = follow_user_count
        self._run_workers = RunWorkers(run)
        self._message_handler = MessageHandler(run, registry, sample_receiver, self._run_workers)
        self.planned_requests: int | None = None
        self.drained = self._run_workers.drained
        registry.listener = self._message_handler.take
        registry.on_gone = self._run_workers.lose
        registry.on_ready = self._begin
        for session in registry.ready:
            self._begin(session)

    # How things stand

    def tally(self) -> Tally:
        """Return the sums of what the workers reported last."""
        parts = self._run_workers.parts.values()
        connected = [part.stats for part in parts if part.session.gone is None]
        return Tally(
            done=sum(part.stats.done for part in parts),
            failed=sum(part.stats.failed for part in parts),
            ready=sum(stats.ready for stats in connected),
            active=sum(stats.active for stats in connected),
            thinking=sum(stats.thinking for stats in connected),
            waiting=sum(stats.waiting for stats in connected),
            cpu_s=max((part.session.cpu_s for part in parts), default=0.0),
        )

    # Users

    def request_users(self, users: int) -> None:
        """Have Locust spawn as many users on every worker as its share of `users` is at most."""
        sessions = self._run_workers.there
        needed = users_alike(users, len(sessions))
        spread_anew = self._spread_over(sessions)
        if self._runner.target_user_count == needed and not spread_anew:
            return
        self._registry.wait_for(lambda: bool(self._runner.spawning_completed), _SPAWNED_LIMIT_S)
        self._runner.start(needed, spawn_rate=max(SPAWN_RATE, needed))

    def muster(self, users: int) -> None:
        """Have the workers say when their share of users stands before the user_pool, with their connections open."""
        number = self._message_handler.ask()
        # With fewer users than workers some have nothing to do; a worker without users would keep its requests.
        self._run_workers.activate(None if self._follow else max(1, users))
        for session, share in self._run_workers.shared():
            self._run_workers.parts[session.number].mustered = False
            self._registry.send(session, say.Muster(number, 1 if self._follow else share.users(users)))

    def are_ready(self) -> bool:
        """Tell whether as many users as were mustered stand ready."""
        mustered = [self._run_workers.parts[session.number].mustered for session in self._run_workers.active_there]
        return bool(mustered) and (any(mustered) if self._follow else all(mustered))

    # A stage

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight."""
        self._run.turn_to(stage)
        if stage.cache == "cold":
            self._run.target.clear_cache()
        elif stage.cache == "warm":
            number = self._message_handler.ask()
            for session, share in self._run_workers.shared():
                self._registry.send(session, say.Warm(number, stage, share))
            self._wait_for("warmed")

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Have every worker drive its share of a stage; return what ended it."""
        self._run_workers.record = record
        number = self._message_handler.ask()
        self.drained.clear()
        limit, _ = work_limit(stage, self._run.workload.of_phase(stage.phase), self._traces)
        self.planned_requests = limit
        begin_ns = None if stage.joined else monotonic_ns() + LEAD_NS
        for session, share in self._run_workers.shared():
            self._run_workers.parts[session.number].begin_stage()
            at_ns = None if begin_ns is None else session.from_run(begin_ns)
            self._registry.send(session, say.Drive(number, stage, share, at_ns))
        if stage.cache == "cold" and stage.has_ramp:
            if not self._wait_for("rested", or_done=True):
                return self._stop()
            self._run.target.clear_cache()
            self._registry.send_all(self._run_workers.active_there, say.GoOn(number))
        if not self._wait_for("ended_by"):
            return self._stop()
        self._run_workers.window_ended()
        ends = [part.ended_by for part in self._run_workers.of_active() if part.ended_by]
        if not ends:
            return EndReason.WORKERS_GONE.ended_by
        return next((end for end in ends if end != ends[0]), ends[0])

    def end(self, record: PhaseRecord | None) -> None:
        """Stop all workers; `drained` is set when no worker has anything in flight."""
        self._run_workers.record = record or self._run_workers.record
        if not all(part.ended_by for part in self._run_workers.of_active()):
            self._stop()
        number = self._message_handler.ask()
        for part in self._run_workers.of_active():
            part.drained = part.handed_in = False
        self._registry.send_all(self._run_workers.active_there, say.End(number))
        self._run_workers.see_whether_drained()

    def cancel(self) -> None:
        """Cancel what is in flight."""
        self._registry.send_all(self._run_workers.active_there, say.CutOff())
        self.drained.wait(_CUT_OFF_LIMIT_S)

    def hand_in(self) -> None:
        """Wait until all is handed in, and write it, and what the workers' clocks say now."""
        if not self._registry.wait_for(
            lambda: all(part.handed_in for part in self._run_workers.of_active()), _HAND_IN_LIMIT_S
        ):
            late = ", ".join(str(part.session.number) for part in self._run_workers.of_active() if not part.handed_in)
            self._run.manifest.notes.append(f"Worker {late} had not handed in all after {_HAND_IN_LIMIT_S:g} s.")
        for part in self._run_workers.parts.values():
            part.read_clock()
        self._run_workers.write_down()
        self._run.flush()

    def close(self) -> None:
        """Have every worker hand in what is left, and accept no further records."""
        self._run_workers.is_closing = True
        self._registry.send_all(self._run_workers.there, say.Close(self._run.manifest.id))
        self._registry.wait_for(
            lambda: all(part.closed or part.session.gone for part in self._run_workers.parts.values()), _CLOSE_LIMIT_S
        )
        self._message_handler.is_over = True
        if DROPPED.total:
            self._run.manifest.notes.append(
                f"{DROPPED.total} messages at the master's port were dropped: they were not its workers'."
            )
        self._run_workers.write_down()
        self._registry.listener = self._registry.on_gone = self._registry.on_ready = None

    # Workers

    def _begin(self, session: WorkerSession) -> None:
        """Have a worker take part from the next phase on."""
        if self._run_workers.add(session):
            self._registry.send(session, say.Begin(self._run.manifest.id, self._follow))
            self._run_workers.write_down()

    def _spread_over(self, sessions: list[WorkerSession]) -> bool:
        """Have Locust spread its users over these workers; tell whether it did not before."""
        clients = self._runner.clients
        # Locust's runner has no public way to its dispatcher, whose class is ours.
        dispatcher: Any = self._runner._users_dispatcher  # noqa: SLF001
        if dispatcher is None:
            return True
        return bool(dispatcher.spread_over([clients[each.client] for each in sessions if each.client in clients]))

    # Waiting

    def _wait_for(self, what: str, *, or_done: bool = False) -> bool:
        """Wait until every worker that is there has said `what` (or that its stage is over); False when stopping."""

        def is_so() -> bool:
            return self._is_over or all(
                getattr(part, what) or (or_done and part.ended_by) for part in self._run_workers.of_active()
            )

        while not self._registry.wait_for(is_so, 3600.0):
            pass
        return not self._is_over

    @property
    def _is_over(self) -> bool:
        return bool(self._stopping.is_set())

    def _stop(self) -> str:
        """Have the stage end where it is; what is in flight is waited for by `end`."""
        why = self._run.ending.ended_by
        self._registry.send_all(self._run_workers.active_there, say.Stop(why))
        return why
