"""Write a scenario as TOML, which `--scenario` reads as the same one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from aether_load.scenario.load import to_plain
from aether_load.scenario.scenario import Scenario
from aether_load.text import json_text

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(scenario: Scenario) -> str:
    """Return a scenario with every default filled in; what is absent has no key, and secrets are left out."""
    return "\n".join(_lines(to_plain(scenario), ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield a table's lines: its values first, then the tables in it."""
    below = {key: value for key, value in table.items() if isinstance(value, dict) or _is_tables(value)}
    for key, value in table.items():
        if key not in below and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in below.items():
        name = ".".join(map(_key, (*path, key)))
        if isinstance(value, dict):
            yield from ("", f"[{name}]")
            yield from _lines(value, (*path, key))
            continue
        for each in value:
            yield from ("", f"[[{name}]]")
            yield from _lines(each, (*path, key))


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, dict) for each in value)


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _text(text: str) -> str:
    # A basic string of TOML has the escapes of JSON.
    return json_text(json.dumps(text, ensure_ascii=False))
