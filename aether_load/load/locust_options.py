"""Change Locust's own options: safe defaults, and no value that Locust accepts and ignores."""

from __future__ import annotations

import argparse
from typing import NoReturn

from aether_load.scenario.command_line import hidden_mistake
from aether_load.scenario.run_options import port, whole_number

LOCAL_HOST = "127.0.0.1"


def mend_options(parser: argparse.ArgumentParser) -> None:
    """Have Locust's parser refuse such values with a sentence and exit code 2, and quote no secret in it."""
    _say_no_values(parser)
    if parser.prog == "__main__.py":
        parser.prog = "locust"
    for action in parser._actions:  # noqa: SLF001 -- argparse has no other way to an option that is there
        if action.dest == "web_host":
            # Locust's own default is every interface, and everyone who reaches its page may start a load.
            action.default = LOCAL_HOST
            action.help = f"Host to bind the web page to (default: {LOCAL_HOST}; '*' for every interface)"
        elif action.dest == "processes":
            action.type = whole_number("of processes, or -1 for one a core", lambda value: value == -1 or value > 0)
        elif action.dest in {"master_port", "master_bind_port", "web_port"}:
            action.type = port


def _say_no_values(parser: argparse.ArgumentParser) -> None:
    """Turn abbreviations off, which no list of secret options knows, and quote no value of an unknown option."""
    parser.allow_abbrev = False
    fail = parser.error

    def error(message: str) -> NoReturn:
        fail(hidden_mistake(str(message)))

    parser.error = error  # type: ignore[method-assign]
