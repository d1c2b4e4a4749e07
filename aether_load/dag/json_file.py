"""Read a JSON file strictly: what two parsers would read differently is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from aether_load.bounded import read_bounded
from aether_load.dag.check import DagMistake
from aether_load.errors import explained
from aether_load.scenario.validation import first_repeated
from aether_load.text import decode_text

_MOST_BYTES = 16 << 20


def read_json(path: Path) -> Any:
    """Return the value of a JSON file; raises DagMistake."""
    with explained("it cannot be read: ", kind=DagMistake):
        data = read_bounded(path, _MOST_BYTES)
    with explained("", ValueError, DagMistake):
        text = decode_text(data)
    try:
        body = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse_constant)
        msgspec.json.encode(body)
    except UnicodeEncodeError:
        raise DagMistake("it is not JSON: a text in it holds half a character (a lone surrogate).") from None
    except json.JSONDecodeError as error:
        raise DagMistake(
            f"it is not JSON: {error.msg[:1].lower()}{error.msg[1:]} (line {error.lineno}, column {error.colno})."
        ) from None
    except (OverflowError, ValueError):
        raise DagMistake("a number in it is longer than 64 bits.") from None
    return body


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if (twice := first_repeated(key for key, _ in pairs)) is not None:
        raise DagMistake(f"key {twice!r} stands twice in one object, so it is unclear which is meant.")
    return dict(pairs)


def _refuse_constant(name: str) -> NoReturn:
    raise DagMistake(f"it is not JSON: {name} is no JSON number.")
