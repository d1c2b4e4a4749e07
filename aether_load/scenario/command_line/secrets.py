"""Keep the secrets of a command line out of what is written down and said of it."""

from __future__ import annotations

import argparse
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from aether_load.errors import UsageError
from aether_load.log_records import redact_log_records
from aether_load.redaction import HIDDEN, REDACTOR, hidden_url
from aether_load.scenario.command_line.headers import hidden

_URL_OPTIONS = ("--host", "-H", "--base", "--candidate", "--server-metrics-url")
_PLAIN_TARGET_KEYS = (
    "verify_tls", "connect_timeout", "request_timeout", "server_metrics", "server_metrics_timeout", "ca_file",
    "client_cert", "client_key", "max_response_bytes",
)  # fmt: skip
_UNRECOGNIZED = "unrecognized arguments:"
MOST_DEPTH = 50
"""Levels that keys and values of a scenario may have; what walks through them calls itself once a level."""


def learn_secrets(options: argparse.Namespace) -> None:
    """Have `REDACTOR` learn the secrets of a parsed command line, before anything is said of it."""
    redact_log_records()
    for text in getattr(options, "header", None) or ():
        REDACTOR.learn_headers({"": text.partition(":")[2].strip()})
    for assignment in getattr(options, "set", None) or ():
        key, _, value = assignment.partition("=")
        if _may_be_secret(key):
            for text in _texts_in(toml_value(value.strip())):
                REDACTOR.learn_headers({"": text})
                REDACTOR.learn_url(text)
    for option in _URL_OPTIONS:
        if (url := getattr(options, option.strip("-").replace("-", "_"), None)) is not None:
            REDACTOR.learn_url(url)


def hidden_command(arguments: Iterable[str]) -> list[str]:
    """Return a command line as it may be written down: without values of headers, and secret parts of URLs."""
    shown: list[str] = []
    option = ""
    for word in arguments:
        name, equals, value = word.partition("=")
        if option in _HIDE:
            shown.append(_HIDE[option](word))
            option = ""
            continue
        if equals and name in _HIDE:
            word = f"{name}={_HIDE[name](value)}"  # noqa: PLW2901 -- the word as it is shown
        elif word.startswith("-H") and word != "-H":
            word = "-H" + hidden_url(word[2:])  # noqa: PLW2901
        shown.append(REDACTOR.redact(word))
        option = word
    if shown and Path(shown[0]).parts[-2:] == ("locust", "__main__.py"):
        shown[0] = "locust"  # It was started as `python -m locust`.
    return shown


def hidden_mistake(message: str) -> str:
    """Return what a parser says of a mistake without the values of options that it does not know."""
    before, unrecognized, words = message.partition(_UNRECOGNIZED)
    if not unrecognized:
        return REDACTOR.redact(message)
    options = [found[0] for word in words.split() if (found := re.match(r"--[\w-]+|-\w", word))]
    return f"{before}{_UNRECOGNIZED} {' '.join(options) or HIDDEN}"


def toml_value(text: str) -> object:
    """Read a value as TOML would, and as a plain text when it is no TOML value; raises UsageError for a deep one."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except RecursionError:
        is_deep = True
    else:
        is_deep = _is_deep(value, MOST_DEPTH)
    if is_deep:
        # The value itself may be a secret.
        raise UsageError(f"--set: a value has more than {MOST_DEPTH} levels; no scenario has such a value.")
    return value


def _hidden_header(text: str) -> str:
    name, colon, value = text.partition(":")
    return f"{name}: {hidden({name: value})[name]}" if colon else HIDDEN


def _hidden_assignment(text: str) -> str:
    key, equals, value = text.partition("=")
    if not equals:
        return HIDDEN
    if key.strip() == "target.server_metrics_url":
        return f"{key}={hidden_url(value)}"
    return f"{key}={HIDDEN}" if _may_be_secret(key) else REDACTOR.redact(text)


_HIDE = {"--header": _hidden_header, "--set": _hidden_assignment, **dict.fromkeys(_URL_OPTIONS, hidden_url)}


def _may_be_secret(key: str) -> bool:
    first, *rest = key.strip().split(".")
    return first.strip() == "target" and (not rest or rest[0].strip() not in _PLAIN_TARGET_KEYS)


def _is_deep(value: Any, levels: int) -> bool:
    return levels == 0 or any(_is_deep(child, levels - 1) for child in _children(value))


def _children(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for child in _children(value):
        yield from _texts_in(child)
