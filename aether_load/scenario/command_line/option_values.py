"""Check the values of options as argparse reads them, and write them as words again."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterable

_MOST_PORT = 65535
HOST = re.compile(r"(?P<name>\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9_.-]*))(?::(?P<port>[0-9]{1,5}))?")
"""A host in small letters, and its port if it has one."""


def port(text: str) -> int:
    """Return a port's number; raises argparse.ArgumentTypeError for what is none."""
    return whole_number(f"from 1 to {_MOST_PORT}", lambda value: 0 < value <= _MOST_PORT)(text)


def host_name(text: str) -> str:
    """Return a host's name, with or without a port, in small letters; raises argparse.ArgumentTypeError."""
    name = bracketed(text.strip().lower())
    if HOST.fullmatch(name) is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a host; give one such as load.example or 10.0.0.5.")
    return name


def bracketed(name: str) -> str:
    """Return an address of IPv6 in brackets, as it stands in a URL, and any other name as it is."""
    return f"[{name}]" if name.count(":") > 1 and not name.startswith("[") else name


def whole_number(what: str, allowed: Callable[[int], bool]) -> Callable[[str], int]:
    """Return an argparse type that takes the whole numbers allowed and refuses others with a sentence."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or not allowed(value):
            raise argparse.ArgumentTypeError(f"{text} is no number {what}.")
        return value

    return number


def as_words(parsed: argparse.Namespace, names: Iterable[str]) -> list[str]:
    """Return the named options of a command line as its words; what was not given is left out."""
    words: list[str] = []
    for name in names:
        value, option = getattr(parsed, name), f"--{name.replace('_', '-')}"
        if value is True:
            words.append(option)
        elif value is not None and value is not False:
            for each in value if isinstance(value, list) else [value]:
                words += [option, str(each)]
    return words
