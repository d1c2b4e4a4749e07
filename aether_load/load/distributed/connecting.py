"""Connect master and workers, with one sentence where Locust shows a traceback or nothing.

Locust binds and connects before it fires any event, so that its functions are replaced here.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import gevent
import psutil
from locust.argument_parser import get_parser
from locust.env import Environment
from locust.exception import RPCError

from aether_load.errors import AetherLoadError, ExitCode, UsageError
from aether_load.load.distributed.cluster_socket import drop_what_locust_cannot_handle, use_guarded_sockets
from aether_load.load.distributed.signature import DROPPED, TOKEN_VARIABLE, random_token, token_of
from aether_load.log_records import redact_log_records
from aether_load.redaction import REDACTOR, sentence_of

FORKED_FROM = os.getpid()
"""A locustfile is imported before Locust forks: the parent of a child of --processes, also when that has ended."""
LOOPBACK = "127.0.0.1"
_OWN_TOKEN = random_token()
"""What a master of --processes and the children that it forks sign their messages with."""
_PARENT_INTERVAL_S = 0.25
_LISTENING_INTERVAL_S = 0.05
_PATIENCE_S = 2.0
"""A worker that is not connected by then says whom it waits for."""


def is_own_child(options: Any) -> bool:
    """Tell whether this is a worker that its own master forked, whose command line is that master's.

    Locust makes a worker of whatever it forks, also where --worker --processes asks for several of a master elsewhere.
    """
    return bool(options.processes) and not _is_asked_to_be_worker()


@cache
def _is_asked_to_be_worker() -> bool:
    # Locust sets the option in whatever it forks: what was asked for is in the command line and its kind only.
    return bool(get_parser().parse_known_args()[0].worker)


def explain_connecting(check_worker: Callable[[Any], object]) -> None:
    """Have a master and a worker say what is wrong before they wait; `check_worker` is given a worker's options."""
    environment: Any = Environment
    if getattr(environment, "explains_connecting", False):
        return
    bind, connect = environment.create_master_runner, environment.create_worker_runner

    def create_master_runner(self: Any, master_bind_host: str = "*", master_bind_port: int = 5557) -> Any:
        options = self.parsed_options
        takes_own_children_only = options is not None and bool(options.processes)
        if takes_own_children_only and master_bind_host == "*":
            master_bind_host = LOOPBACK
        use_guarded_sockets(_OWN_TOKEN if takes_own_children_only else _token_given())
        with _explained_port(options):
            runner = bind(self, master_bind_host, master_bind_port)
        drop_what_locust_cannot_handle(runner)
        DROPPED.on_first = _say_dropped
        return runner

    def create_worker_runner(self: Any, *arguments: Any, **named: Any) -> Any:
        options = self.parsed_options
        use_guarded_sockets(_OWN_TOKEN if options is not None and is_own_child(options) else _token_given())
        with _explained_wait(options, check_worker):
            return connect(self, *arguments, **named)

    environment.create_master_runner = create_master_runner
    environment.create_worker_runner = create_worker_runner
    environment.explains_connecting = True


def _token_given() -> bytes | None:
    try:
        token = token_of(os.environ.get(TOKEN_VARIABLE))
    except UsageError as error:
        _end(str(error), error.exit_code)
        raise
    if token is not None:
        redact_log_records()
        REDACTOR.learn(token.decode())
    return token


def _say_dropped() -> None:
    _say(
        "a message was dropped that is not of this master's workers: whoever sent it does not speak Locust's language, "
        f"or has another {TOKEN_VARIABLE}, or none. The run's notes say how many there were."
    )


@contextmanager
def _explained_port(options: Any) -> Iterator[None]:
    try:
        yield
    except RPCError as error:
        where = f"{options.master_bind_host}:{options.master_bind_port}" if options is not None else "its port"
        _end(
            f"The master cannot listen at {where} ({error}). End what listens there, or give --master-bind-port, and "
            "the same as --master-port to its workers (with --processes: both here).",
            ExitCode.USAGE,
        )


@contextmanager
def _explained_wait(options: Any, check_worker: Callable[[Any], object]) -> Iterator[None]:
    if options is None:
        yield
    elif is_own_child(options):
        with _while_parent_lives(options.master_bind_port):
            yield
    else:
        with _explained_master(options, check_worker):
            yield


@contextmanager
def _while_parent_lives(port: int) -> Iterator[None]:
    """End a worker whose master has ended before it could be reached, which Locust would try for minutes."""

    def watch(connecting: gevent.Greenlet) -> None:
        while os.getppid() == FORKED_FROM:
            gevent.sleep(_PARENT_INTERVAL_S)
        gevent.kill(connecting, SystemExit(int(ExitCode.INVALID)))

    # Its end is said by the master, on the terminal that they share; Ctrl-C there reaches both.
    with _interruptible():
        watching = gevent.spawn(watch, gevent.getcurrent())
        try:
            # What answers at the port before the master does is another run's master.
            while not _listens(FORKED_FROM, port):
                gevent.sleep(_LISTENING_INTERVAL_S)
            yield
        except KeyboardInterrupt:
            sys.exit(int(ExitCode.INTERRUPTED))
        finally:
            watching.kill()


def _listens(pid: int, port: int) -> bool:
    """Tell whether a process listens at a port; where that is not to be known, take it that it does."""
    try:
        connections = psutil.Process(pid).net_connections("tcp")
        return any(one.status == psutil.CONN_LISTEN and one.laddr.port == port for one in connections)
    except psutil.Error:
        return True


@contextmanager
def _interruptible() -> Iterator[None]:
    """Hand Ctrl-C to the greenlet that waits: Python's own handler raises in any, and gevent prints it."""
    interrupt = gevent.signal_handler(signal.SIGINT, gevent.kill, gevent.getcurrent(), KeyboardInterrupt)
    try:
        yield
    finally:
        interrupt.cancel()


@contextmanager
def _explained_master(options: Any, check_worker: Callable[[Any], object]) -> Iterator[None]:
    host, port = options.master_host, options.master_port
    try:
        check_worker(options)
        _check_name(host, port)
    except AetherLoadError as error:
        _end(str(error), error.exit_code)
    if options.host:
        _say("--host says nothing here: the master names the target.")
    waiting = gevent.spawn_later(_PATIENCE_S, _say, f"waiting for a master at {host}:{port} ...")
    try:
        with _interruptible():
            yield
    except ConnectionError:
        _end(
            f"No master came up at {host}:{port} (--master-host, --master-port), or it has another {TOKEN_VARIABLE}.",
            ExitCode.TARGET,
        )
    except SystemExit:
        # Locust's only way out of here by itself: Ctrl-C.
        _end("interrupted before a master was there.", ExitCode.INTERRUPTED)
    finally:
        waiting.kill()


def _check_name(host: str, port: int) -> None:
    try:
        # gevent asks in a thread, where what is no name at all would end as a traceback.
        host.encode("idna")
        socket.getaddrinfo(host, port, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"The master's host {host!r} has no address ({error}): give --master-host another.") from None


def _say(sentence: str) -> None:
    sys.stderr.write(f"aether-load: {sentence_of(sentence)}\n")


def _end(sentence: str, code: ExitCode) -> None:
    _say(sentence)
    sys.exit(int(code))
