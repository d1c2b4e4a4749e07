"""Share what the users of one sending process have in common: pool, connections, requests, records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import process_time
from typing import TYPE_CHECKING, Any

import msgspec

from aether_load.load.http.connection_stats import ConnectionStats
from aether_load.load.sending.user_pool import UserPool
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.recorder import Recorder

if TYPE_CHECKING:
    from aether_load.dag.workload import Workload
    from aether_load.load.sending.locust_feed import LocustFeed
    from aether_load.load.sending.stage_work import StageWork
    from aether_load.load.sending.target_client import TargetClient
    from aether_load.scenario.scenario import Scenario
    from aether_load.scenario.stage import Stage
    from aether_load.schedule.trace import Trace


class Window(msgspec.Struct):
    """When a stage's window was open, in monotonic ns; None for what did not come to pass."""

    began_ns: int | None = None
    ended_ns: int | None = None


class Tally(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand with those who send: requests done and failed so far, and users by what they do.

    `ready` users wait in the user pool, `active` ones are in flight or think; `waiting` requests are due and not
    sent. `cpu_s` is what the sending process has taken since it began, of several the busiest one.
    """

    done: int = 0
    failed: int = 0
    ready: int = 0
    active: int = 0
    thinking: int = 0
    waiting: int = 0
    cpu_s: float = 0.0

    @property
    def in_flight(self) -> int:
        """Return how many requests are on their way."""
        return self.active - self.thinking


class SenderContext:
    """One run's senders in this process; their records wait in `buffer` to be written."""

    def __init__(
        self,
        scenario: Scenario,
        workload: Workload,
        sides: Sequence[TargetClient],
        traces: Mapping[int, Trace],
        feed: LocustFeed,
        worker: int = 0,
        of_sides: Sequence[Workload] = (),
    ) -> None:
        """Take in `sides` what is sent to: one runtime, or the two of a gate, whose phases are one a side.

        `of_sides` are the workloads of the sides where these differ.
        """
        self._of_sides = tuple(of_sides)
        self.scenario = scenario
        self.workload = workload
        self.sides = tuple(sides)
        self.side = 0
        self.traces = traces
        self.feed = feed
        self.window = Window()
        self.work: StageWork | None = None
        self.follow_user_count = False
        """Whether to activate every user that Locust has spawned: its page or a load shape decides how many."""
        self.user_requests: Any = None
        """What its users' own code sends, made by the first of them."""
        self.user_pool = UserPool()
        self.pool = ConnectionStats()
        self.buffer = RecordBuffer(
            [prompt.id for prompt in workload.prompts], [prompt.dataset for prompt in workload.prompts], worker
        )
        self.recorder = Recorder(self.buffer, workload, feed.fire, every=feed.every_request)

    def tally(self) -> Tally:
        """Return how things stand in this process."""
        user_pool, recorder = self.user_pool, self.recorder
        return Tally(
            done=recorder.done,
            failed=recorder.failed,
            ready=user_pool.waiting,
            active=user_pool.active,
            thinking=user_pool.thinking,
            waiting=len(user_pool.backlog),
            cpu_s=process_time(),
        )

    def turn_to(self, stage: Stage) -> None:
        """Send to the stage's side, in the variant of requests that it asks for, from now on."""
        self.side = stage.phase if len(self.sides) > 1 else 0
        self.sides[self.side].prepared.use(stage)
        if self._of_sides:
            # Nothing is in flight when a gate turns from one side to the other.
            self.recorder.expect(self._of_sides[self.side])
