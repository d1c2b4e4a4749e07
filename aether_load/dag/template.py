"""Fill rows into JSON text that was encoded once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

PLACEHOLDER = re.compile(r"\{\{([^{}]*)\}\}")

Path = tuple[str | int, ...]
"""Where a value stands in a JSON document: keys and places in lists, from the top."""


Layout = tuple[str, ...]
"""A text with a name in every second place: fixed, name, fixed, …, fixed."""


class Template(msgspec.Struct, frozen=True):
    """JSON as bytes, with a name in every second place: fixed, name, fixed, name, …, fixed."""

    layout: tuple[bytes | str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names in their places; one may stand there several times."""
        return self.layout[1::2]  # type: ignore[return-value]

    def fill(self, words: Mapping[str, bytes]) -> bytes:
        """Return the JSON with the `words`, as `escaped` gives them, in place of their names."""
        layout: list[Any] = list(self.layout)
        layout[1::2] = [words[name] for name in layout[1::2]]
        return b"".join(layout)


def escaped(text: str) -> bytes:
    """Return `text` as it stands between the quotes of a JSON string."""
    return msgspec.json.encode(text)[1:-1]


NameOf = Callable[[str], str | Layout | None]
"""Returns the name, or the text with names, that goes in place of `{{inner}}`; None where it stays as it is."""


def compile_template(value: object, name_of: NameOf) -> Template:
    """Write `value` as compact JSON, with places in its strings for what `name_of` names; keys stay as they are."""
    layout: list[bytes | str] = []
    fixed: list[bytes] = []
    for piece in _pieces(value, name_of):
        if isinstance(piece, bytes):
            fixed.append(piece)
        else:
            layout += [b"".join(fixed), piece]
            fixed.clear()
    return Template((*layout, b"".join(fixed)))


def _pieces(value: object, name_of: NameOf) -> Iterator[bytes | str]:
    if isinstance(value, dict):
        for number, (key, held) in enumerate(value.items()):
            yield (b"," if number else b"{") + msgspec.json.encode(key) + b":"
            yield from _pieces(held, name_of)
        yield b"}" if value else b"{}"
    elif isinstance(value, list | tuple):
        for number, held in enumerate(value):
            yield b"," if number else b"["
            yield from _pieces(held, name_of)
        yield b"]" if value else b"[]"
    elif isinstance(value, str):
        yield b'"'
        end = 0
        for found in PLACEHOLDER.finditer(value):
            name = name_of(found[1].strip())
            if name is not None:
                yield escaped(value[end : found.start()])
                for place, piece in enumerate(("", name) if isinstance(name, str) else name):
                    yield piece if place % 2 else escaped(piece)
                end = found.end()
        yield escaped(value[end:])
        yield b'"'
    elif isinstance(value, int):
        # Python's integers have no limit, msgspec's do.
        yield json.dumps(value).encode()
    else:
        yield msgspec.json.encode(value)


def values_in(value: object, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield each value of a JSON document with the path to it, what holds others before these."""
    yield path, value
    held = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for step, inner in held:
        yield from values_in(inner, (*path, step))
