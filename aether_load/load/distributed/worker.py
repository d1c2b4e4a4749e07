"""Run one worker of a master: send its share of each stage, and hand in its records."""

from __future__ import annotations

import logging
import os
import platform
import signal
import sys
from math import ceil
from time import monotonic_ns, process_time, time
from typing import Any

import gevent
import msgspec
import psutil
from locust.exception import RPCError

from aether_load._version import __version__
from aether_load.errors import AetherLoadError, ExitCode, TargetError
from aether_load.load.distributed import messages as say
from aether_load.load.distributed.cluster_socket import locust_message
from aether_load.load.distributed.connecting import FORKED_FROM, is_own_child
from aether_load.load.distributed.worker_run import WorkerRun
from aether_load.load.http.endpoint import Endpoint
from aether_load.load.process.descriptors import check_descriptors
from aether_load.load.process.guard import guarded
from aether_load.load.process.signals import take_hangup_as_termination
from aether_load.load.sending.locust_feed import LocustFeed
from aether_load.load.sending.prepared_requests import PreparedRequests
from aether_load.load.sending.sender_context import SenderContext, SenderContexts
from aether_load.load.sending.target_client import TargetClient
from aether_load.redaction import sentence_of
from aether_load.runtime_client import probe
from aether_load.scenario.command_line.headers import filled_in
from aether_load.scenario.command_line.scenario_options import names_scenario, scenario_from
from aether_load.scenario.load import from_plain, scenario_hash
from aether_load.scenario.stage import most_users, variants

MASTER_SILENCE_S = 10.0
PROBE_LIMIT_S = 3.5
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
        self._sender_contexts = SenderContexts()
        self._number = 0
        self._chunks: dict[int, bytes] = {}
        self._handover: say.Handover | None = None
        self._run: WorkerRun | None = None
        self._process = psutil.Process()
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
        self._environment.aether = self._sender_contexts
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
            self.send(
                say.Join(say.PROTOCOL, __version__, self._scenario, platform.node(), os.getpid(), self._forked_from)
            )
            gevent.sleep(_JOIN_INTERVAL_S)

    def send(self, message: say.Message) -> None:
        """Send the master a message; where that is refused for long the master is as good as gone."""
        try:
            self._runner.client.send(locust_message(message, self._runner.client_id))
        except RPCError as error:
            self.give_up(f"the master cannot be reached any more ({error}).")

    def give_up(self, sentence: str) -> None:
        """Stop sending at once, say why, and end this process."""
        self._end(sentence, ExitCode.INVALID)

    def read_process(self) -> None:
        """Tell what this process has taken so far."""
        self.send(say.ProcessUsage(monotonic_ns(), process_time(), self._process.memory_info().rss))

    def send_statistics(self) -> None:
        """Have Locust's own numbers on their way before anything that is said later."""
        self._runner._send_stats()  # noqa: SLF001 -- Locust sends them each three seconds, and has no other way

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
            self.send(say.Echoed(message.sent_ns, monotonic_ns(), time()))
        elif isinstance(message, say.Refused):
            self._end(message.sentence, ExitCode(message.exit_code))
        elif isinstance(message, say.Chunk):
            self._take_chunk(message)
        elif isinstance(message, say.Begin):
            self._begin(message)
        elif self._run is not None:
            self._run.take(message)

    def _take_chunk(self, chunk: say.Chunk) -> None:
        if chunk.index == 0:
            self._chunks.clear()
        self._number = chunk.worker
        self._chunks[chunk.index] = chunk.data
        if len(self._chunks) == chunk.of:
            data = b"".join(self._chunks[index] for index in range(chunk.of))
            self._chunks.clear()
            gevent.spawn(guarded(self._set_up, self._end), chunk.handover, data)

    def _set_up(self, identity: str, data: bytes) -> None:
        """Make ready what was handed over; a target that is out of reach from here is said at once."""
        handover = msgspec.msgpack.decode(data, type=say.Handover)
        scenario = from_plain(handover.scenario)
        late = TargetError(f"What answers at {handover.url} takes over {PROBE_LIMIT_S:g} s to say that it is well.")
        try:
            check_descriptors(ceil(most_users(scenario) / handover.workers))
            with gevent.Timeout(PROBE_LIMIT_S, late):
                probe(handover.url, filled_in(handover.headers), tls=scenario.target.tls, option="the master's --host")
        except AetherLoadError as error:
            self.send(say.Unable(str(error), int(error.exit_code)))
            self._end(str(error), error.exit_code)
            return
        self._handover = handover
        self.send(say.Ready(identity))

    def _begin(self, message: say.Begin) -> None:
        handover = self._handover
        if handover is None:
            return
        if self._run is not None:
            self._run.forget()
        scenario = from_plain(handover.scenario)
        endpoint = Endpoint.of(handover.url, filled_in(handover.headers), scenario.target.tls)
        # Marks that make a prompt unique are of this worker's own: indexes are told apart by their worker only.
        mark_seed = f"{message.run} {self._number}"
        prepared = PreparedRequests(
            endpoint, handover.workload.bodies, variants(scenario), mark_seed, handover.workload.prompt_nodes
        )
        sender_context = SenderContext(
            scenario,
            handover.workload,
            [TargetClient(endpoint, scenario.target, prepared, handover.generation)],
            handover.traces,
            LocustFeed(self._environment),
            self._number,
        )
        self._sender_contexts.current = sender_context
        self._run = WorkerRun(message, sender_context, self, self._runner)

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
        self._hand_in_and_leave()
        self._runner.quit()

    def _on_quitting(self, **_kwargs: Any) -> None:
        self._hand_in_and_leave()

    def _hand_in_and_leave(self) -> None:
        if self._ending:
            return
        self._ending = True
        if self._run is not None and not self._run.is_closed:
            sys.stderr.write("aether-load: leaving; answers in flight are waited for and handed in.\n")
            self._run.leave(self._environment.stop_timeout or 0.0)
            self.send(say.Left())

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
                self.read_process()

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
