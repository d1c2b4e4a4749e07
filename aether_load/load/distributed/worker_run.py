"""Carry out one run in a worker."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any, Protocol

import gevent
from gevent.event import Event
from gevent.lock import RLock

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.sample_sender import SampleSender
from aether_load.load.process.guard import guarded
from aether_load.load.process.loop_watch import LoopWatch
from aether_load.load.sending.load import Load
from aether_load.load.users.user_classes import our_users

if TYPE_CHECKING:
    from aether_load.load.sending.sender_context import SenderContext

FLUSH_INTERVAL_S = 0.25
PARCEL_BYTES = 256 << 10
_LEAST_ANNOUNCED = 16
_ANNOUNCED_S = 0.5
_MUSTER_STEP_S = 0.005
_NEXT_LIMIT_S = 0.2
_HAND_IN_LIMIT_S = 10.0


class Speaker(Protocol):
    """Who passes on to the master what a run has to say."""

    def send(self, message: say.Message) -> None:
        """Send the master a message."""

    def read_process(self) -> None:
        """Tell what this process has taken so far."""

    def send_statistics(self) -> None:
        """Have Locust's own numbers on their way."""

    def give_up(self, sentence: str) -> None:
        """End this process, for a reason that its user is told."""


class WorkerRun:
    """Drives this worker's users as the master says; keeps nothing that the master has confirmed."""

    def __init__(self, begin: say.Begin, sender_context: SenderContext, speaker: Speaker, runner: Any) -> None:
        self._id = begin.run
        self._sender_context = sender_context
        self._speaker = speaker
        self._runner = runner
        self.stopping = Event()
        self._why = "stopped"
        self._go_on = Event()
        self._load = Load(sender_context, self, follow_user_count=begin.follow_user_count)
        self._told_what_next = Event()
        self._stage = 0
        self._driving: gevent.Greenlet | None = None
        self._announced = self._announced_before = 0
        self._announced_ns = monotonic_ns()
        sender_context.recorder.dags.on_new = lambda dag: speaker.send(say.NewDag(dag))
        self._sample_sender = SampleSender()
        self._loop_watch = LoopWatch(sender_context.buffer)
        self.is_closed = self.is_closed_for_good = False
        self._flushing = RLock()
        self._flusher = self._do(self._flush_for_ever)

    # What the master says

    def take(self, message: say.Message) -> None:
        """Carry out a message of the master's without waiting."""
        if isinstance(message, say.Received):
            if message.run == self._id and not self.is_closed_for_good:
                self._sample_sender.confirmed(message.number)
                self._ship()
        elif isinstance(message, say.Muster):
            self._do(self._muster, message)
        elif isinstance(message, say.Warm):
            self._driving = self._do(self._warm, message)
        elif isinstance(message, say.Drive):
            self._told_what_next.set()
            self._driving = self._do(self._drive, message)
        elif isinstance(message, say.GoOn):
            self._go_on.set()
        elif isinstance(message, say.Stop):
            self._why = message.why
            self.stopping.set()
        elif isinstance(message, say.End):
            self._told_what_next.set()
            self._do(self._end, message)
        elif isinstance(message, say.CutOff):
            gevent.spawn(self._runner.user_greenlets.kill)
        elif isinstance(message, say.Close) and message.run == self._id:
            self._do(self._close)

    def _do(self, work: Callable[..., None], *arguments: object) -> gevent.Greenlet:
        """Have something done beside; a defect in it ends this worker, or the master would wait for it."""
        return gevent.spawn(guarded(work, lambda sentence, _: self._speaker.give_up(sentence)), *arguments)

    def leave(self, stop_timeout_s: float) -> None:
        """End in order, by this side's own wish: answers in flight have a time, and all samples are handed in."""
        self._speaker.send(say.Leaving())
        self._told_what_next.set()
        self.stopping.set()
        if self._driving is not None:
            self._driving.join(stop_timeout_s)
        self._load.end()
        if not self._sender_context.user_pool.drained.wait(stop_timeout_s):
            self._runner.user_greenlets.kill()
        self._close()
        with gevent.Timeout(_HAND_IN_LIMIT_S, False):
            while not self._sample_sender.is_empty:
                gevent.sleep(0.02)

    def forget(self) -> None:
        """Stop at once: the master is gone, or the next run begins."""
        self.stopping.set()
        self.is_closed = self.is_closed_for_good = True
        self._flusher.kill()
        self._loop_watch.close()
        self._load.end()
        self._sample_sender.close()

    # A stage

    def _muster(self, message: say.Muster) -> None:
        pool = self._sender_context.user_pool
        while pool.waiting < our_users(self._runner, message.users) and not self.stopping.is_set():
            gevent.sleep(_MUSTER_STEP_S)
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        self._tell()
        self._speaker.send(say.Mustered(message.number))

    def _warm(self, message: say.Warm) -> None:
        self._load.warm(message.stage, message.share)
        self._speaker.send(say.Warmed(message.number))

    def _drive(self, message: say.Drive) -> None:
        self._stage = message.number
        self._go_on.clear()
        self._told_what_next.clear()
        if message.begin_ns is not None:
            self._wait_until(message.begin_ns)
        ended_by = self._load.drive(message.stage, message.share, message.begin_ns)
        window = self._sender_context.window
        self._speaker.send(say.Driven(message.number, ended_by, window.began_ns, window.ended_ns))
        if not self._told_what_next.wait(_NEXT_LIMIT_S):
            # The master waits for another worker, maybe for a dead one, and has asked for no load until then.
            self._load.rest()

    def _wait_until(self, begin_ns: int) -> None:
        while (left_s := (begin_ns - monotonic_ns()) / 1e9) > 0 and not self.stopping.wait(left_s):
            pass

    def _end(self, message: say.End) -> None:
        if self._driving is not None:
            # A stage that has ended here has; one that has not was told to stop.
            self._driving.join()
        self._load.end()
        self._sender_context.user_pool.drained.wait()
        window = self._sender_context.window
        self._speaker.send(say.Drained(message.number, window.began_ns, window.ended_ns))
        self.flush()
        self._speaker.send_statistics()
        while not self._sample_sender.is_empty and not self.is_closed:
            gevent.sleep(0.005)
        self._speaker.send(say.HandedIn(message.number))

    def _close(self) -> None:
        """Hand in the end of everything."""
        if self.is_closed:
            return
        self._flusher.kill()
        self._loop_watch.close()
        self._sender_context.buffer.finish()
        self.flush()
        self.is_closed = True
        self._ship()
        pool = self._sender_context.pool
        self._load.close()
        gc.unfreeze()
        self._speaker.send(say.Closed(self._id, self._load.handed_out, pool.opened, pool.stale_reopened))

    # What the load reports

    def open_window(self, began_ns: int | None) -> int:
        """Tell the master since when the window is open; return it."""
        opened_ns = began_ns or monotonic_ns()
        self._speaker.send(say.WindowOpened(self._stage, opened_ns))
        return opened_ns

    def window_edge(self) -> None:
        """Tell what this process has taken so far."""
        self._speaker.read_process()

    def empty_cache(self) -> None:
        """Say that nothing is in flight here, and wait for the master, who empties the cache when that is so of all."""
        self._speaker.send(say.Rested(self._stage))
        gevent.wait([self._go_on, self.stopping], count=1)

    def announce(self, request: int, /) -> int:
        """Tell the master how far the indexes may go: at the present rate as far as in the next half second.

        It is told when half of what was announced before is used, so that it knows before any of it is sent. What a
        lost worker may have sent at most is what it had announced: the less, the closer the bound.
        """
        now_ns = monotonic_ns()
        rate = (request - self._announced_before) / max((now_ns - self._announced_ns) / 1e9, 1e-3)
        step = max(_LEAST_ANNOUNCED, int(rate * _ANNOUNCED_S / 2))
        self._announced_before, self._announced_ns = request, now_ns
        self._announced = request + 2 * step
        # In another greenlet: the caller may run on the event loop, where nothing may wait.
        gevent.spawn(self._speaker.send, say.Announced(self._announced))
        return request + step

    def note(self, sentence: str) -> None:
        """Have the master write down what a reader has to know."""
        self._speaker.send(say.Noted(sentence))

    def why_stopped(self) -> str:
        """Return what ended the load early."""
        return self._why

    # Samples

    def flush(self) -> None:
        """Send the master what was recorded so far, as far as it keeps up."""
        buffer = self._sender_context.buffer
        with self._flushing:
            buffer.seal()
            pieces: list[bytes | bytearray] = []
            rows = 0
            while (block := buffer.take()) is not None:
                pieces += block.pieces()
                rows += block.rows
                if sum(map(len, pieces)) >= PARCEL_BYTES:
                    self._put(b"".join(pieces), rows)
                    pieces, rows = [], 0
                    # Users have their turn between two parcels.
                    gevent.sleep(0)
            if pieces:
                self._put(b"".join(pieces), rows)
            self._ship()
            self._tell()

    def _put(self, data: bytes, rows: int) -> None:
        try:
            self._sample_sender.put(data, rows)
        except OSError as error:
            if not self.stopping.is_set():
                self.note(f"the disk refused what the master could not take ({error.strerror}); its load was ended.")
            self._why = "refused by the disk"
            self.stopping.set()

    def _ship(self) -> None:
        while (parcel := self._sample_sender.take()) is not None:
            self._speaker.send(say.Parcel(self._id, parcel.number, parcel.rows, parcel.data))

    def _tell(self) -> None:
        user_pool, recorder = self._sender_context.user_pool, self._sender_context.recorder
        self._speaker.send(
            say.WorkerStats(
                recorder.done,
                recorder.failed,
                user_pool.waiting,
                user_pool.active,
                user_pool.thinking,
                len(user_pool.backlog),
            )
        )

    def _flush_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_INTERVAL_S)
            self.flush()
