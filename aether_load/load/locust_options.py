"""Change Locust's own options: safe defaults, and no value that Locust accepts and ignores."""

from __future__ import annotations

import argparse
import logging
import os
import socket
from typing import Any, NoReturn

from aether_load.errors import UsageError
from aether_load.scenario.command_line.option_values import port, whole_number
from aether_load.scenario.command_line.secrets import hidden_mistake

LOCAL_HOST = "127.0.0.1"
_UNTRUE = (
    # Spawned users stand before the user_pool, so that spawning them all at once asks nothing of the target.
    ("locust.runners", "spawn rate is very high"),
    ("locust.main", "No run time limit set"),
    ("locust.runners", "The last worker quit"),
    ("locust.runners", "The last worker went missing"),
    # Its own reports of users are late where it counts; what stands before the user_pool is told to us.
    ("locust.runners", "Spawning is complete and report waittime is expired"),
    ("locust.runners", "You can't start a distributed test before"),
)


def mend_options(parser: argparse.ArgumentParser) -> None:
    """Have Locust's parser refuse such values with a sentence and exit code 2, and quote no secret in it."""
    _say_no_values(parser)
    _refuse_contradictions(parser)
    if parser.prog == "__main__.py":
        parser.prog = "locust"
    for action in parser._actions:  # noqa: SLF001 -- argparse has no other way to an option that is there
        if action.dest == "web_host":
            # Locust's own default is every interface, and everyone who reaches its page may start a load.
            action.default = LOCAL_HOST
            action.help = f"Host to bind the web page to (default: {LOCAL_HOST}; '*' for every interface)"
        elif action.dest == "processes":
            action.type = whole_number("of processes, or -1 for one a core", lambda value: value == -1 or value > 0)
        elif action.dest == "run_time" and action.type is not None:
            action.type = _refusing_overflow(action.type)
        elif action.dest in {"master_port", "master_bind_port", "web_port"}:
            action.type = port


def _refusing_overflow(parse: Any) -> Any:
    """Return Locust's reader of a time, which fails for a number that no time has."""

    def read(text: str) -> Any:
        try:
            return parse(text)
        except OverflowError:
            raise argparse.ArgumentTypeError("a run time of no more than a year is possible.") from None

    return read


def check_web_port(options: argparse.Namespace) -> None:
    """Raise UsageError where Locust's page cannot have its port, which Locust finds out in a greenlet, too late."""
    if options.headless:
        return
    host = "" if options.web_host == "*" else options.web_host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, options.web_port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UsageError(
            f"--web-port {options.web_port}: it cannot be had on {host or 'every interface'} ({why}); give another."
        ) from None


def _refuse_contradictions(parser: argparse.ArgumentParser) -> None:
    """Refuse what Locust ends with exit codes that mean something else here."""
    parse = parser.parse_args

    def parse_args(*arguments: Any, **named: Any) -> Any:
        options: Any = parse(*arguments, **named)
        given = {name for name, value in vars(options).items() if value}
        if {"master", "worker"} <= given:
            parser.error("--master and --worker contradict each other: leave one away.")
        if {"master", "processes"} <= given:
            parser.error("--master and --processes contradict each other: --processes starts a master of its own.")
        return options

    parser.parse_args = parse_args  # type: ignore[method-assign]


def _say_no_values(parser: argparse.ArgumentParser) -> None:
    """Turn abbreviations off, which no list of secret options knows, and quote no value of an unknown option."""
    parser.allow_abbrev = False
    fail = parser.error

    def error(message: str) -> NoReturn:
        fail(hidden_mistake(str(message)))

    parser.error = error  # type: ignore[method-assign]


def silence_remarks() -> None:
    """Keep those of Locust's remarks off the log that are not true of a run whose end the phases decide."""
    for logger, words in _UNTRUE:
        logging.getLogger(logger).addFilter(lambda record, words=words: words not in record.getMessage())  # type: ignore[misc]
