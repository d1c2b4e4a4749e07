"""Extra request headers, and the secrets in them, which come from the environment and go nowhere but to the target."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from aether_load.errors import UsageError

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OURS = {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect"}
HIDDEN = "***"


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `Name: value` as it is written on the command line; raises UsageError."""
    name, colon, value = text.partition(":")
    if not colon:
        raise UsageError(f"--header {name.strip()}: expected 'Name: value'.")
    return name.strip(), value.strip()


def filled_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with each `${NAME}` replaced from the environment; raises UsageError, which quotes no value."""
    filled = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise UsageError(f"Header {name!r}: that is no name of a header.")
        if name.lower() in _OURS:
            raise UsageError(f"Header {name}: it is written by aether-load itself; leave it away.")

        def from_environment(match: re.Match[str], name: str = name) -> str:
            if match[1] not in os.environ:
                raise UsageError(f"Header {name}: the environment has no variable {match[1]}.")
            return os.environ[match[1]]

        filled[name] = _FROM_ENVIRONMENT.sub(from_environment, value)
        if not _VALUE.fullmatch(filled[name]):
            raise UsageError(f"Header {name}: its value holds a character that a header cannot.")
    return filled


def hidden(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they may be written down: names, and of values only which variables they are made of."""
    return {
        name: " ".join(f"${{{variable}}}" for variable in _FROM_ENVIRONMENT.findall(value)) or HIDDEN
        for name, value in headers.items()
    }


def hidden_command(arguments: Iterable[str]) -> list[str]:
    """Return a command line as it may be written down: a shell may have put a secret into a --header of it."""
    shown: list[str] = []
    for argument in arguments:
        if shown and shown[-1] == "--header":
            shown.append(_hidden_header(argument))
        elif argument.startswith("--header="):
            shown.append("--header=" + _hidden_header(argument.removeprefix("--header=")))
        elif argument.startswith("target.headers"):
            shown.append(argument.partition("=")[0] + "=" + HIDDEN)
        else:
            shown.append(argument)
    return shown


def _hidden_header(text: str) -> str:
    name, _, value = text.partition(":")
    return f"{name}: {hidden({name: value})[name]}"
