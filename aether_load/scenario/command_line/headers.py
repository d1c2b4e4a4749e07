"""Read extra request headers; the secrets in them come from the environment and go nowhere but to the target."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from aether_load.errors import UsageError
from aether_load.log_records import redact_log_records
from aether_load.redaction import HIDDEN, REDACTOR

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")
_FROM_ENVIRONMENT = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_OURS = {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect"}


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `Name: value` as it is written on the command line; raises UsageError."""
    name, colon, value = text.partition(":")
    if not colon:
        # Without a colon it is unknown where a secret begins, so nothing of it is quoted.
        raise UsageError("--header: expected 'Name: value', and there is no colon in it.")
    return name.strip(), value.strip()


def filled_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers with each `${NAME}` replaced from the environment; raises UsageError, which quotes no value.

    `REDACTOR` learns the values.
    """
    redact_log_records()
    filled = {}
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise UsageError("--header: a header's name holds a character that no name has; expected 'Name: value'.")
        if name.lower() in _OURS:
            raise UsageError(f"Header {name}: aether-load writes it itself; leave it away.")

        def from_environment(match: re.Match[str], name: str = name) -> str:
            if match[1] not in os.environ:
                raise UsageError(f"Header {name}: the environment has no variable {match[1]}.")
            REDACTOR.learn(os.environ[match[1]])
            return os.environ[match[1]]

        filled[name] = _FROM_ENVIRONMENT.sub(from_environment, value)
        if not _VALUE.fullmatch(filled[name]):
            raise UsageError(f"Header {name}: its value holds a character that a header cannot hold.")
    REDACTOR.learn_headers(filled)
    return filled


def hidden(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers as they may be written down: names, and of values only which variables they are made of."""
    return {
        name: " ".join(f"${{{variable}}}" for variable in _FROM_ENVIRONMENT.findall(value)) or HIDDEN
        for name, value in headers.items()
    }
