"""Drive a run in this one process."""

from __future__ import annotations

import sys
from time import monotonic_ns
from typing import TYPE_CHECKING

import msgspec

from aether_load.load.sending.load import Load
from aether_load.load.users.user_classes import our_users
from aether_load.rundata.manifest import now

if TYPE_CHECKING:
    from gevent.event import Event
    from locust.runners import Runner

    from aether_load.load.run import Run
    from aether_load.load.sending.sender_context import SenderContext, Tally
    from aether_load.rundata.manifest import PhaseRecord
    from aether_load.scenario.stage import Stage


SPAWN_RATE = 100


class LocalSenders:
    """Drives this process's own users, and keeps what their load tells in the run's manifest."""

    def __init__(self, run: Run, sender_context: SenderContext, runner: Runner) -> None:
        self._run = run
        self._sender_context = sender_context
        self._runner = runner
        self.stopping: Event = run.ending.event
        self.drained = sender_context.user_pool.drained
        self._load = Load(sender_context, self)
        self._record: PhaseRecord | None = None
        self._expected_users = 0

    @property
    def planned_requests(self) -> int | None:
        """Return how many requests the stage under way will have sent, where that is known."""
        return self._load.planned_requests

    def tally(self) -> Tally:
        """Return how things stand."""
        return self._sender_context.tally()

    def request_users(self, users: int) -> None:
        """Have Locust spawn as many users, where there are fewer."""
        if self._runner.target_user_count < users:
            self._runner.start(users, spawn_rate=min(users, SPAWN_RATE))

    def await_users(self, users: int) -> None:
        """Take note of how many users have to stand before the user_pool, with their connections open."""
        self._expected_users = users

    def are_ready(self) -> bool:
        """Tell whether as many users are ready as were asked for."""
        return self._sender_context.user_pool.waiting >= our_users(self._runner, self._expected_users)

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight."""
        self._run.turn_to(stage)
        if stage.cache == "cold":
            self.empty_cache()
        elif stage.cache == "warm":
            self._load.warm(stage)

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Take a stage from its ramp to its window's end; return what ended it."""
        self._record = record
        ended_by = self._load.drive(stage)
        record.window_ended_ns = self._sender_context.window.ended_ns
        return ended_by

    def end(self, record: PhaseRecord | None) -> None:
        """Stop sending; record what was due and not sent as dropped."""
        self._load.end()
        if record is not None:
            record.window_ended_ns = self._sender_context.window.ended_ns

    def cancel(self) -> None:
        """Give up what is in flight."""
        self._runner.user_greenlets.kill()

    def collect_records(self) -> None:
        """Write every sample that there is."""
        self._run.flush()

    def close(self) -> None:
        """Give the clock back, and write down how often connections were opened."""
        self._load.close()
        pool = self._sender_context.pool
        self._run.manifest.workers = [
            msgspec.structs.replace(
                worker,
                ended=now(),
                connections_opened=pool.opened,
                stale_connections_reopened=pool.stale_reopened,
            )
            for worker in self._run.manifest.workers
        ]

    # The load's callbacks

    def open_window(self, began_ns: int | None) -> int:
        """Write the window's begin into run.json; return it."""
        assert self._record is not None
        self._record.window_began_ns = began_ns or monotonic_ns()
        self._run.save_manifest()
        return self._record.window_began_ns

    def window_edge(self) -> None:
        """Read what this process has taken so far."""
        self._run.read_processes()

    def empty_cache(self) -> None:
        """Empty the runtime's cache; raises TargetError."""
        self._run.target.clear_cache()

    def announce(self, _request: int, /) -> int:
        """Do nothing: no other process has to be told."""
        return sys.maxsize

    def note(self, sentence: str) -> None:
        """Write into run.json what a reader has to know."""
        self._run.manifest.notes.append(sentence)

    def why_stopped(self) -> str:
        """Return what ended the load early."""
        return self._run.ending.ended_by
