"""The senders of a run in many processes, driven by this one, which sends nothing itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
import numpy as np
from gevent.event import Event

from aether_load.analysis.run import UTC_FORMAT, ClockPair, LossRecord
from aether_load.analysis.samples import ABSENT, NODE_TYPE, ROW_TYPE
from aether_load.analysis.sender import MASTER, SenderReading
from aether_load.generator.fleet import messages as say
from aether_load.generator.fleet.part import Part
from aether_load.generator.senders import Tally, Watcher
from aether_load.workload.share import Share, shares
from aether_load.workload.work_limit import work_limit

if TYPE_CHECKING:
    from aether_load.analysis.run import PhaseRecord
    from aether_load.generator.fleet.crew import Crew, Member
    from aether_load.generator.fleet.intake import Intake
    from aether_load.generator.run import Run
    from aether_load.workload.stage import Stage
    from aether_load.workload.trace import Trace

LEAD_NS = 150_000_000
"""How long before a load begins its workers are told: as long as a message may take to the farthest of them."""
SPAWN_RATE = 1000
_Answer = say.Mustered | say.Warmed | say.Rested | say.WindowOpened | say.Driven | say.Drained | say.HandedIn
_ANSWERS = (say.Mustered, say.Warmed, say.Rested, say.WindowOpened, say.Driven, say.Drained, say.HandedIn)
_CLOSE_LIMIT_S = 60.0
_HAND_IN_LIMIT_S = 300.0
_CUT_OFF_LIMIT_S = 5.0
_SPAWNED_LIMIT_S = 5.0


class FleetSenders:
    """Gives each worker its share of every stage, and puts together what they tell of it."""

    def __init__(
        self,
        run: Run,
        crew: Crew,
        intake: Intake,
        runner: Any,
        stopping: Event,
        traces: dict[int, Trace],
        *,
        follow_user_count: bool,
    ) -> None:
        """With `follow_user_count` all users there are are let loose: Locust's page decides how many."""
        self._run = run
        self._crew = crew
        self._intake = intake
        self._runner = runner
        self._stopping = stopping
        self._traces = traces
        self._follow = follow_user_count
        self._number = 0
        self._active: list[Member] = []
        self._parts: dict[int, Part] = {}
        self._record: PhaseRecord | None = None
        self._watcher: Watcher | None = None
        self._closing = self._closed = False
        self.planned_requests: int | None = None
        self.drained = Event()
        self.drained.set()
        crew.listener = self._heard
        crew.on_gone = self._gone
        crew.on_ready = self._begin
        for member in crew.ready:
            self._begin(member)

    # How things stand

    def tally(self) -> Tally:
        """Return how things stand, as the workers told last."""
        parts = self._parts.values()
        told = [part.told for part in parts]
        return Tally(
            done=sum(one.done for one in told),
            failed=sum(one.failed for one in told),
            ready=sum(part.told.ready for part in parts if part.member.gone is None),
            loose=sum(part.told.loose for part in parts if part.member.gone is None),
            thinking=sum(part.told.thinking for part in parts if part.member.gone is None),
            waiting=sum(part.told.waiting for part in parts if part.member.gone is None),
            cpu_s=max((part.member.cpu_s for part in parts), default=0.0),
        )

    def watch(self, watcher: Watcher | None) -> None:
        """Have somebody look at samples in bulk: workers send them for it beside those that are written."""
        self._watcher = watcher
        self._crew.send_all(self._there, say.Watch(watcher is not None))

    def read_process(self) -> None:
        """Note what this process has taken of CPU and memory so far, and what the target's has."""
        self._run.read_sender(MASTER)

    # Users

    def request_users(self, users: int) -> None:
        """Have Locust spawn as many users on every worker as its share of `users` is at most."""
        members = self._there
        # Alike on all: which worker gets the odd ones is ours to say, and spare users only wait.
        needed = -(-users // len(members)) * len(members) if members else users
        spread_anew = self._spread_over(members)
        if self._runner.target_user_count == needed and not spread_anew:
            return
        self._crew.wait_for(lambda: bool(self._runner.spawning_completed), _SPAWNED_LIMIT_S)
        self._runner.start(needed, spawn_rate=max(SPAWN_RATE, needed))

    def muster(self, users: int) -> None:
        """Have the workers say when their share of users stands before the valve, with their connections open."""
        self._number += 1
        # With fewer users than workers some have nothing to do; a worker without users would keep its requests.
        there = self._there
        self._active = there if self._follow else there[: max(1, users)]
        for member, share in self._shared():
            self._parts[member.number].mustered = False
            self._crew.send(member, say.Muster(self._number, 1 if self._follow else share.users(users)))

    def are_ready(self) -> bool:
        """Tell whether as many users as were mustered stand ready."""
        mustered = [self._parts[member.number].mustered for member in self._active_there]
        return bool(mustered) and (any(mustered) if self._follow else all(mustered))

    # A stage

    def prepare(self, stage: Stage) -> None:
        """Put the runtime's cache into the state that the stage asks for, with nothing in flight."""
        self._run.turn_to(stage)
        if stage.cache == "cold":
            self._run.side.clear_cache()
        elif stage.cache == "warm":
            self._number += 1
            for member, share in self._shared():
                self._crew.send(member, say.Warm(self._number, stage, share))
            self._wait_for("warmed")

    def drive(self, stage: Stage, record: PhaseRecord) -> str:
        """Have every worker drive its share of a stage; return what ended it."""
        self._record = record
        self._number += 1
        self.drained.clear()
        limit, _ = work_limit(stage, self._run.workload.prompt_count, self._traces)
        self.planned_requests = limit
        begin_ns = None if stage.joined else monotonic_ns() + LEAD_NS
        for member, share in self._shared():
            self._parts[member.number].begin_stage()
            at_ns = None if begin_ns is None else member.from_run(begin_ns)
            self._crew.send(member, say.Drive(self._number, stage, share, at_ns))
        if stage.cache == "cold" and stage.has_way_up:
            if not self._wait_for("rested", or_done=True):
                return self._stop()
            self._run.side.clear_cache()
            self._crew.send_all(self._active_there, say.GoOn(self._number))
        if not self._wait_for("ended_by"):
            return self._stop()
        record.window_ended_ns = self._latest("window_ended_ns")
        ends = [part.ended_by for part in self._of_active() if part.ended_by]
        if not ends:
            return "its last worker was lost"
        return next((end for end in ends if end != ends[0]), ends[0])

    def end(self, record: PhaseRecord | None) -> None:
        """Have nothing further sent; `drained` is set when no worker has anything in flight."""
        self._record = record or self._record
        if not all(part.ended_by for part in self._of_active()):
            self._stop()
        self._number += 1
        for part in self._of_active():
            part.drained = part.handed_in = False
        self._crew.send_all(self._active_there, say.End(self._number))
        self._see_whether_drained()

    def cut_off(self) -> None:
        """Have what is in flight given up."""
        self._crew.send_all(self._active_there, say.CutOff())
        self.drained.wait(_CUT_OFF_LIMIT_S)

    def hand_in(self) -> None:
        """Wait until all is handed in, and write it, and what the workers' clocks say now."""
        if not self._crew.wait_for(lambda: all(part.handed_in for part in self._of_active()), _HAND_IN_LIMIT_S):
            late = ", ".join(str(part.member.number) for part in self._of_active() if not part.handed_in)
            self._run.manifest.notes.append(f"Worker {late} had not handed in all after {_HAND_IN_LIMIT_S:g} s.")
        for part in self._parts.values():
            part.read_clock()
        self._write_down()
        self._run.flush()

    def close(self) -> None:
        """Have every worker hand in what is left, and take nothing further."""
        self._closing = True
        self._crew.send_all(self._there, say.Close(self._run.manifest.id))
        self._crew.wait_for(
            lambda: all(part.closed or part.member.gone for part in self._parts.values()), _CLOSE_LIMIT_S
        )
        self._closed = True
        self._write_down()
        self._crew.listener = self._crew.on_gone = self._crew.on_ready = None

    # Workers

    @property
    def _there(self) -> list[Member]:
        return [part.member for part in self._parts.values() if part.member.gone is None]

    @property
    def _active_there(self) -> list[Member]:
        return [member for member in self._active if member.gone is None]

    def _of_active(self) -> list[Part]:
        return [self._parts[member.number] for member in self._active_there]

    def _shared(self) -> list[tuple[Member, Share]]:
        there = self._active_there
        return list(zip(there, shares(len(there)), strict=True))

    def _begin(self, member: Member) -> None:
        """Have a worker take part from the next phase on."""
        if member.number in self._parts:
            return
        self._parts[member.number] = Part(member)
        self._crew.send(member, say.Begin(self._run.manifest.id, self._watcher is not None, self._follow))
        self._write_down()

    def _spread_over(self, members: list[Member]) -> bool:
        """Have Locust spread its users over these workers; tell whether it did not before."""
        clients = self._runner.clients
        # Locust's runner has no public way to its dispatcher, whose class is ours.
        dispatcher: Any = self._runner._users_dispatcher  # noqa: SLF001
        if dispatcher is None:
            return True
        return bool(dispatcher.spread_over([clients[each.client] for each in members if each.client in clients]))

    def _gone(self, member: Member) -> None:
        part = self._parts.get(member.number)
        # One that leaves has closed its part itself; one that was told to close owes nothing any more.
        if part is None or (part.closed and self._closing):
            return
        record = self._record
        phase = record if record is not None and record.ended is None and member in self._active else None
        if phase is not None:
            phase.users = None
        part.loss = LossRecord(
            at=_instant_of(member.heard_ns),
            phase=phase.name if phase else None,
            how="left" if member.gone == "left" else "lost",
            received_total=part.rows_received,
            announced_total=part.rows_received if member.gone == "left" else part.announced,
        )
        self._write_down()
        self._see_whether_drained()

    def _write_down(self) -> None:
        """Bring the manifest's workers up to date, and write it."""
        self._run.manifest.workers = [part.record() for part in self._parts.values()]
        self._run.save_manifest()

    # What they say

    def _heard(self, member: Member, message: say.Message) -> None:
        part = self._parts.get(member.number)
        if part is None or self._closed:
            return
        if isinstance(message, say.Parcel):
            self._take_parcel(member, part, message)
        elif isinstance(message, say.Told):
            part.told = message
        elif isinstance(message, say.Took):
            at_ns = member.to_run(message.at_ns)
            self._run.note_sender(SenderReading(member.number, at_ns, message.cpu_s, message.resident_bytes))
        elif isinstance(message, say.Announced):
            part.announced = max(part.announced, message.upto)
        elif isinstance(message, say.Rows):
            self._show(member, message)
        elif isinstance(message, say.Noted):
            self._run.manifest.notes.append(f"Worker {member.number}: {message.sentence}")
        elif isinstance(message, say.Closed):
            if message.run == self._run.manifest.id:
                part.close(message)
        elif isinstance(message, _ANSWERS) and message.number == self._number:
            self._answered(member, part, message)

    def _answered(
        self,
        member: Member,
        part: Part,
        message: _Answer,
    ) -> None:
        if isinstance(message, say.Mustered):
            part.mustered = True
        elif isinstance(message, say.Warmed):
            part.warmed = True
        elif isinstance(message, say.Rested):
            part.rested = True
        elif isinstance(message, say.HandedIn):
            part.handed_in = True
        elif isinstance(message, say.WindowOpened):
            part.window_began_ns = member.to_run(message.began_ns)
            self._window_opened()
        else:
            part.take_window(message.window_began_ns, message.window_ended_ns)
            if isinstance(message, say.Driven):
                part.ended_by = message.ended_by
            else:
                part.drained = True
                if self._record is not None:
                    self._record.window_ended_ns = self._latest("window_ended_ns")
                self._see_whether_drained()

    def _window_opened(self) -> None:
        """Write down since when the window is open: from the first worker's to the last one's end."""
        assert self._record is not None
        opened = [part.window_began_ns for part in self._of_active() if part.window_began_ns is not None]
        if self._record.window_began_ns is None or min(opened) < self._record.window_began_ns:
            self._record.window_began_ns = min(opened)
            self._run.save_manifest()

    def _take_parcel(self, member: Member, part: Part, parcel: say.Parcel) -> None:
        run = self._run.manifest.id
        if parcel.run != run:
            return
        if parcel.number == part.parcels:
            part.parcels += 1
            part.rows_received += parcel.rows
        written = self._intake.take(member.number, parcel.number, parcel.data)
        if written is None:
            # The run's own flush meets the full disk, with the ballast, and says so.
            self._run.flush()
            written = self._intake.written().get(member.number)
        if written is not None:
            self._crew.send(member, say.Received(run, written))
        # Where parcels never end the rest of this process would have no turn: readings, pings, the page.
        gevent.sleep(0)

    def _show(self, member: Member, message: say.Rows) -> None:
        if self._watcher is None:
            return
        rows = np.frombuffer(bytearray(message.rows), ROW_TYPE)
        offset_ns = member.clock().offset_ns
        if offset_ns:
            for name in ("due_ns", "sent_ns", "ended_ns"):
                rows[name][rows[name] != ABSENT] -= offset_ns
        self._watcher(rows, np.frombuffer(message.nodes, NODE_TYPE))

    # Waiting

    def _wait_for(self, what: str, *, or_done: bool = False) -> bool:
        """Wait until every worker that is there has said `what` (or that its stage is over); False when stopping."""

        def is_so() -> bool:
            return self._is_over or all(
                getattr(part, what) or (or_done and part.ended_by) for part in self._of_active()
            )

        while not self._crew.wait_for(is_so, 3600.0):
            pass
        return not self._is_over

    @property
    def _is_over(self) -> bool:
        return bool(self._stopping.is_set() or self._run.disk_is_full.is_set())

    def _stop(self) -> str:
        """Have the stage end where it is; what is in flight is waited for by `end`."""
        why = self._run.why_stopped()
        self._crew.send_all(self._active_there, say.Stop(why))
        return why

    def _latest(self, edge: str) -> int | None:
        return max((at for part in self._of_active() if (at := getattr(part, edge)) is not None), default=None)

    def _see_whether_drained(self) -> None:
        if all(part.drained for part in self._of_active()):
            self.drained.set()


def _instant_of(monotonic_then_ns: int) -> ClockPair:
    """Return an instant that is just over on both clocks."""
    then = datetime.now(UTC) - timedelta(seconds=(monotonic_ns() - monotonic_then_ns) / 1e9)
    return ClockPair(monotonic_then_ns, then.strftime(UTC_FORMAT))
