"""Run one worker of a master, from Locust's `init` to its end."""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
from time import monotonic_ns, time
from typing import Any

import gevent
import msgspec

from aether_load._version import __version__
from aether_load.errors import AetherLoadError, ExitCode
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.connecting import FORKED_FROM, is_own_child
from aether_load.load.distributed.handover import ChunkReceiver, Handover
from aether_load.load.distributed.worker.master_link import MasterLink
from aether_load.load.distributed.worker.target_setup import check_handover, sender_context_of
from aether_load.load.distributed.worker.worker_run import WorkerRun
from aether_load.load.process.guard import guarded
from aether_load.load.process.signals import take_hangup_as_termination
from aether_load.redaction import sentence_of
from aether_load.scenario.command_line.scenario_options import names_scenario, scenario_from
from aether_load.scenario.load import scenario_hash

MASTER_SILENCE_S = 10.0
_WATCH_INTERVAL_S = 0.25
_READING_INTERVAL_S = 1.0
_JOIN_INTERVAL_S = 2.0


class Worker:
    """One worker process from `init` to its end; everything else it is told by its master."""

    def __init__(self, environment: Any, scenario: str | None) -> None:
        """Take in the hash of the scenario that the command line names, None where it names none."""
        self._environment = environment
        self._runner = environment.runner
        self._scenario = scenario
        self._link = MasterLink(environment.runner, self._end)
        self._number = 0
        self._chunks = ChunkReceiver()
        self._handover: Handover | None = None
        self._run: WorkerRun | None = None
        self._is_child = is_own_child(environment.parsed_options)
        # With --processes there is a parent to end with, be it the master or one that only waits.
        self._forked_from = FORKED_FROM if environment.parsed_options.processes else None
        self._heard_ns = monotonic_ns()
        self._was_answered = False
        self._ending = False

    def prepare(self) -> None:
        """Ask the master to be taken on, and listen to it from now on."""
        # Locust would have a worker print its own part of the statistics, beside the master's whole.
        self._environment.parsed_options.json = False
        self._environment.parsed_options.json_file = None
        self._environment.aether = None
        self._runner.register_message(say.LOCUST_TYPE, guarded(self._on_message, self._end))
        self._environment.events.test_stop.add_listener(self._on_test_stop)
        self._environment.events.quitting.add_listener(self._on_quitting)
        gevent.signal_handler(signal.SIGINT, self._on_interrupt)
        if self._is_child and logging.getLogger().level == logging.INFO:
            # One master and many workers on one terminal: what Locust says of its controller is said once.
            for name in ("locust.main", "locust.runners"):
                logging.getLogger(name).setLevel(logging.WARNING)
        take_hangup_as_termination()
        for work in (self._watch_for_ever, self._read_for_ever, self._ask_to_join):
            gevent.spawn(guarded(work, self._end))

    def _ask_to_join(self) -> None:
        """Ask until there is an answer: a master that is still being made ready hears nothing yet."""
        while not (self._was_answered or self._ending):
            self._link.send(
                say.Join(say.PROTOCOL, __version__, self._scenario, platform.node(), os.getpid(), self._forked_from)
            )
            gevent.sleep(_JOIN_INTERVAL_S)

    # What the master says

    def _on_message(self, msg: Any, **_kwargs: Any) -> None:
        try:
            message = say.decode(msg.data)
        except (msgspec.MsgspecError, TypeError):
            self._end(f"the master speaks of what this release ({__version__}) does not know.", ExitCode.USAGE)
            return
        self._heard_ns = monotonic_ns()
        self._was_answered = True
        if isinstance(message, say.Ping):
            self._link.send(say.Pong(message.sent_ns, monotonic_ns(), time()))
        elif isinstance(message, say.Refused):
            self._end(message.sentence, ExitCode(message.exit_code))
        elif isinstance(message, say.Chunk):
            self._take_chunk(message)
        elif isinstance(message, say.Begin):
            self._begin(message)
        elif self._run is not None:
            self._run.take(message)

    def _take_chunk(self, chunk: say.Chunk) -> None:
        self._number = chunk.worker
        if (data := self._chunks.take(chunk)) is not None:
            gevent.spawn(guarded(self._set_up, self._end), chunk.handover, data)

    def _set_up(self, identity: str, data: bytes) -> None:
        """Make ready what was handed over, and say so, or why that cannot be."""
        handover = msgspec.msgpack.decode(data, type=Handover)
        try:
            check_handover(handover)
        except AetherLoadError as error:
            self._link.send(say.Unable(str(error), int(error.exit_code)))
            self._end(str(error), error.exit_code)
            return
        self._handover = handover
        self._link.send(say.Ready(identity))

    def _begin(self, begin: say.Begin) -> None:
        if self._handover is None:
            return
        if self._run is not None:
            self._run.forget()
        sender_context = sender_context_of(self._handover, begin.run, self._number, self._environment)
        self._environment.aether = sender_context
        self._run = WorkerRun(begin, sender_context, self._link, self._runner)

    # How it ends

    def _on_test_stop(self, **_kwargs: Any) -> None:
        # Locust sleeps for it before it is ready again, so that no answer is in flight: none is.
        self._environment.stop_timeout = 0.0

    def _on_interrupt(self) -> None:
        """Leave in order; a child of --processes, which a terminal interrupts with its master, waits for that one."""
        if self._is_child and self._run is not None and not self._run.is_closed:
            return
        gevent.spawn(self._leave)

    def _leave(self) -> None:
        self._on_quitting()
        self._runner.quit()

    def _on_quitting(self, **_kwargs: Any) -> None:
        """Hand in what there is, unless this worker ends for a reason that leaves no use for it."""
        if self._ending:
            return
        self._ending = True
        if self._run is not None and not self._run.is_closed:
            sys.stderr.write("aether-load: leaving; answers in flight are waited for and handed in.\n")
            self._run.leave(self._environment.stop_timeout or 0.0)
            self._link.send(say.Left())

    def _watch_for_ever(self) -> None:
        """End when the master has ended, because its run has no use for more records."""
        while not self._ending:
            gevent.sleep(_WATCH_INTERVAL_S)
            if self._forked_from is not None and os.getppid() != self._forked_from:
                self._end("the process that forked this worker has ended, and it ends too.", ExitCode.INVALID)
            elif self._run is not None and monotonic_ns() - self._heard_ns > MASTER_SILENCE_S * 1e9:
                self._end(f"the master said nothing for {MASTER_SILENCE_S:g} s, so this worker ends.", ExitCode.INVALID)

    def _read_for_ever(self) -> None:
        while True:
            gevent.sleep(_READING_INTERVAL_S)
            if self._run is not None and not self._run.is_closed:
                self._link.send_process_usage()

    def _end(self, sentence: str, code: ExitCode) -> None:
        """Stop sending at once, say why, and end this process."""
        if self._ending:
            return
        self._ending = True
        if not (self._is_child and self._run is None):
            # A child of --processes that has not begun leaves the word to its master, whose terminal it shares.
            sys.stderr.write(f"aether-load: {sentence_of(sentence)}\n")
        self._environment.process_exit_code = int(code)
        if self._run is not None:
            self._run.forget()
        gevent.spawn(self._runner.quit)


def prepare_worker(environment: Any) -> None:
    """Have a worker ask its master to be taken on; it checks nothing but what its own command line says."""
    Worker(environment, own_scenario_hash(environment.parsed_options)).prepare()


def own_scenario_hash(options: Any) -> str | None:
    """Return the hash of the scenario that a worker's command line names, None where it names none.

    Raises UsageError where it names one that cannot be. An own child's command line is its master's, which checks it.
    """
    named = not is_own_child(options) and names_scenario(sys.argv[1:])
    return scenario_hash(scenario_from(options)) if named else None
