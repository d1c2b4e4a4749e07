"""Carry out one run in a worker."""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

import gevent
from gevent.event import Event

from aether_load.errors import ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.worker.load_reports import LoadReports
from aether_load.load.distributed.worker.sample_sender import SampleSender
from aether_load.load.process.guard import guarded
from aether_load.load.process.loop_watch import LoopWatch
from aether_load.load.sending.load import Load
from aether_load.load.users.user_classes import our_users

if TYPE_CHECKING:
    from aether_load.load.distributed.worker.master_link import MasterLink
    from aether_load.load.sending.sender_context import SenderContext

FLUSH_INTERVAL_S = 0.25
_AWAIT_STEP_S = 0.005
_NEXT_LIMIT_S = 0.2
_SEND_LIMIT_S = 10.0


class WorkerRun:
    """Drives this worker's users as the master says; keeps nothing that the master has confirmed."""

    def __init__(self, begin: say.Begin, sender_context: SenderContext, link: MasterLink, runner: Any) -> None:
        self._id = begin.run
        self._sender_context = sender_context
        sender_context.follow_user_count = begin.follow_user_count
        self._link = link
        self._runner = runner
        self._reports = LoadReports(link, sender_context)
        self._load = Load(sender_context, self._reports)
        self._samples = SampleSender(begin.run, sender_context.buffer, link.send, self._on_disk_refused)
        self._loop_watch = LoopWatch(sender_context.buffer)
        self._told_what_next = Event()
        self._driving: gevent.Greenlet | None = None
        self.is_closed = False
        self._flusher = self._do(self._flush_for_ever)

    def take(self, message: say.Message) -> None:
        """Carry out a message of the master's without waiting."""
        match message:
            case say.Received() if message.run == self._id:
                self._samples.confirmed(message.number)
            case say.AwaitUsers():
                self._do(self._await_users, message)
            case say.Warm():
                self._driving = self._do(self._warm, message)
            case say.RunStage():
                self._told_what_next.set()
                self._driving = self._do(self._drive, message)
            case say.OpenWindow():
                self._reports.may_open_window.set()
            case say.Stop():
                self._reports.stop(message.why)
            case say.End():
                self._told_what_next.set()
                self._do(self._end, message)
            case say.Cancel():
                gevent.spawn(self._runner.user_greenlets.kill)
            case say.Close() if message.run == self._id:
                self._do(self._close)

    def _do(self, work: Callable[..., None], *arguments: object) -> gevent.Greenlet:
        """Have something done beside; a defect in it ends this worker, or the master would wait for it."""
        return gevent.spawn(guarded(work, lambda sentence, _: self._link.end(sentence, ExitCode.INVALID)), *arguments)

    # A stage

    def _await_users(self, message: say.AwaitUsers) -> None:
        pool, stopping = self._sender_context.user_pool, self._reports.stopping
        while pool.waiting < our_users(self._runner, message.users) and not stopping.is_set():
            gevent.sleep(_AWAIT_STEP_S)
        # What is there by now stays: the collector need not walk through it while answers come in.
        gc.collect()
        gc.freeze()
        self._reports.stats()
        self._link.send(say.UsersReady(message.number))

    def _warm(self, message: say.Warm) -> None:
        self._load.warm(message.stage, message.share)
        self._link.send(say.Warmed(message.number))

    def _drive(self, message: say.RunStage) -> None:
        self._reports.begin_stage(message.number)
        self._told_what_next.clear()
        if message.begin_ns is not None:
            self._wait_until(message.begin_ns)
        ended_by = self._load.drive(message.stage, message.share, message.begin_ns)
        window = self._sender_context.window
        self._link.send(say.StageEnded(message.number, ended_by, window.began_ns, window.ended_ns))
        if not self._told_what_next.wait(_NEXT_LIMIT_S):
            # The master waits for another worker, maybe for a dead one, and has asked for no load until then.
            self._load.rest()

    def _wait_until(self, begin_ns: int) -> None:
        while (left_s := (begin_ns - monotonic_ns()) / 1e9) > 0 and not self._reports.stopping.wait(left_s):
            pass

    def _end(self, message: say.End) -> None:
        if self._driving is not None:
            # A stage that has ended here has; one that has not was told to stop.
            self._driving.join()
        self._load.end()
        self._sender_context.user_pool.drained.wait()
        window = self._sender_context.window
        self._link.send(say.Drained(message.number, window.began_ns, window.ended_ns))
        self._flush()
        self._link.send_statistics()
        while not self._samples.is_empty and not self.is_closed:
            gevent.sleep(0.005)
        self._link.send(say.RecordsSent(message.number))

    # Samples

    def _flush_for_ever(self) -> None:
        while True:
            gevent.sleep(FLUSH_INTERVAL_S)
            self._flush()

    def _flush(self) -> None:
        self._samples.flush()
        self._reports.stats()

    def _on_disk_refused(self, error: OSError) -> None:
        if not self._reports.stopping.is_set():
            sentence = f"the disk refused what the master could not take ({error.strerror}); its load was ended."
            self._reports.note(sentence)
        self._reports.stop("refused by the disk")

    # The end of the run

    def _close(self) -> None:
        """Hand in the end of everything."""
        if self.is_closed:
            return
        self._flusher.kill()
        self._loop_watch.close()
        self._sender_context.buffer.finish()
        self._flush()
        self.is_closed = True
        pool = self._sender_context.pool
        self._load.close()
        gc.unfreeze()
        self._link.send(say.Closed(self._id, self._load.handed_out, pool.opened, pool.stale_reopened))

    def leave(self, stop_timeout_s: float) -> None:
        """End in order, by this side's own wish: answers in flight have a time, and all samples are handed in."""
        self._link.send(say.Leaving())
        self._told_what_next.set()
        self._reports.stopping.set()
        if self._driving is not None:
            self._driving.join(stop_timeout_s)
        self._load.end()
        if not self._sender_context.user_pool.drained.wait(stop_timeout_s):
            self._runner.user_greenlets.kill()
        self._close()
        with gevent.Timeout(_SEND_LIMIT_S, False):
            while not self._samples.is_empty:
                gevent.sleep(0.02)

    def forget(self) -> None:
        """Stop at once: the master is gone, or the next run begins."""
        self._reports.stopping.set()
        self.is_closed = True
        self._flusher.kill()
        self._loop_watch.close()
        self._load.end()
        self._samples.close()
