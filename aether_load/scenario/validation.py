"""Describe a validation error in the terms of the file: key, value, and the nearest right one."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from aether_load.text import shorten

_UNKNOWN = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`(?: - at `(?P<at>[^`]*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<field>[^`]*)`(?: - at `(?P<at>[^`]*)`)?")
_WRONG = re.compile(r"(?P<what>.*?) - at `(?P<at>[^`]*)`", re.DOTALL)
_TOML_WORDS = {
    "array": "a list",
    "object": "a table",
    "int": "a whole number",
    "float": "a number",
    "str": "a text",
    "bool": "true or false",
}
_STEP = re.compile(r"\.(?P<key>[^.\[]+)|\[(?P<index>\d+)\]")
_ANY = "*"
_MOST_SHOWN = 100
_EXAMPLES = {
    "condition": 'condition = "p(95)<500"',
    "datasets": 'datasets = ["hellaswag", "piqa"]',
    "goodput_slo": 'goodput_slo = "response_latency_ms<500"',
    "mix": 'mix = [{ name = "chat", weight = 7 }, { name = "eval", weight = 3, datasets = ["piqa"] }]',
    "ramp": 'ramp = { from = 1, over = "30s" }',
    "slo": 'slo = "p(95)<100" or slo = ["p(95)<100", "error_rate<0.01"]',
    "spike": 'spike = { to = 100, before = "15s", duration = "10s", after = "15s" }',
    "steps": "steps = [50, 100, 200]",
    "sweep": "sweep = [1, 2, 4, 8]",
    "thresholds": 'thresholds = ["p(95)<500", "error_rate<0.01"]',
    "trace": 'trace = { path = "monday.csv" }',
}
"""How keys are written whose value is a list, a table or a condition."""
_SECRET = ("target.headers", "target.server_metrics_url", "header", "aether_url")


def describe_mistake(message: str, raw: dict[str, Any], kind: type) -> str:
    """Return msgspec's `message` about `raw`, read as `kind`, as a sentence with key, value and the nearest key."""
    if unknown := _UNKNOWN.search(message):
        path = _path(unknown["at"] or "$")
        known = [field.encode_name for field in _strip(_type_at(kind, path)).fields]
        near = difflib.get_close_matches(unknown["field"], known, n=1, cutoff=0.5)
        advice = f"did you mean {near[0]!r}?" if near else f"known there are {', '.join(known)}."
        # Nobody knows what belongs to an unknown key: a text or a table may be a header's secret in the wrong place.
        value = _value_at(raw, [*path, unknown["field"]])
        shown = f" (= {value!r})" if isinstance(value, int | float) else ""
        return f"unknown key {_dotted([*path, unknown['field']])}{shown}; {advice}"
    if missing := _MISSING.search(message):
        return f"key {_dotted([*_path(missing['at'] or '$'), missing['field']])} is missing."
    if wrong := _WRONG.search(message):
        path = _path(wrong["at"])
        value = _value_at(raw, path)
        said = _dotted(path) if _may_be_secret(path) else f"{_dotted(path)} = {shorten(repr(value), _MOST_SHOWN)}"
        if choices := _choices_at(kind, path):
            near = difflib.get_close_matches(str(value), choices, n=1, cutoff=0.5)
            advice = f"did you mean {near[0]!r}?" if near else f"expected one of {', '.join(choices)}."
            return f"{said}: {advice}"
        # A key may be left away in TOML, and null is no value there.
        what = wrong["what"].replace("`", "").replace(" | null", "")
        for word, in_toml in _TOML_WORDS.items():
            what = re.sub(rf"\b{word}\b", in_toml, what)
        key = next((step for step in reversed(path) if isinstance(step, str)), "")
        example = f"; write {_EXAMPLES[key]}" if key in _EXAMPLES and ", got " in what else ""
        end = "" if what.endswith((".", "?")) else "."
        return f"{said}: {what[:1].lower()}{what[1:]}{example}{end}"
    return message


def nearest(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the one of `known` that `word` was meant for, as far as spelling tells; capitals and _ do not count."""
    plain = {_plain(name): name for name in known}
    near = difflib.get_close_matches(_plain(word), plain, n=1, cutoff=cutoff)
    return plain[near[0]] if near else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that says which of `known` was meant, or what there is."""
    names = list(known)
    near = nearest(word, names)
    there = f"there are {', '.join(names)}." if names else "there are none."
    return there if near is None else f"did you mean {near!r}?"


def first_repeated(words: Iterable[str]) -> str | None:
    """Return the first word that stands there a second time, or None."""
    seen: set[str] = set()
    for word in words:
        if word in seen:
            return word
        seen.add(word)
    return None


def _plain(word: str) -> str:
    return word.lower().replace("_", "").replace("-", "")


def _may_be_secret(path: list[str | int]) -> bool:
    """Tell whether headers or a URL with a secret in it may stand at `path`, or below it."""
    dotted = _dotted(path)
    return any(f"{dotted}.".startswith(f"{key}.") or f"{key}.".startswith(f"{dotted}.") for key in _SECRET)


def _path(at: str) -> list[str | int]:
    """Read `$.phases[0].users`; `[...]` in it stands for the key of a mapping, which msgspec does not name."""
    steps = _STEP.finditer(at.replace("[...]", f".{_ANY}"))
    return [int(step["index"]) if step["index"] else step["key"] for step in steps]


def _dotted(path: list[str | int]) -> str:
    return ".".join(map(str, path))


def _value_at(raw: Any, path: list[str | int]) -> Any:
    for number, step in enumerate(path):
        if step == _ANY and isinstance(raw, dict):
            found = (_value_at(child, path[number + 1 :]) for child in raw.values())
            return next((value for value in found if value is not None), None)
        try:
            raw = raw[step]
        except (KeyError, IndexError, TypeError):
            return None
    return raw


def _choices_at(kind: Any, path: list[str | int]) -> list[str]:
    """Return the texts that are allowed at `path`, or nothing where it is no choice."""
    info = _strip(_type_at(kind, path))
    parts = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    texts = [str(value) for part in parts if isinstance(part, msgspec.inspect.LiteralType) for value in part.values]
    return texts + [str(word) for part in parts if isinstance(part, msgspec.inspect.EnumType) for word in part.cls]


def _type_at(kind: Any, path: list[str | int]) -> Any:
    info: Any = msgspec.inspect.type_info(kind)
    for step in path:
        info = _strip(info)
        if isinstance(info, msgspec.inspect.StructType):
            info = next(field.type for field in info.fields if field.encode_name == step)
        elif isinstance(info, msgspec.inspect.DictType):
            info = info.value_type
        elif isinstance(info, msgspec.inspect.VarTupleType | msgspec.inspect.ListType):
            info = info.item_type
    return info


def _strip(info: Any) -> Any:
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, msgspec.inspect.UnionType):
        parts = [part for part in info.types if not isinstance(part, msgspec.inspect.NoneType)]
        return _strip(parts[0]) if len(parts) == 1 else info
    return info


class Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of a scenario: every key is known."""


def changed_key(table: msgspec.Struct, keys: Iterable[str]) -> str | None:
    """Return the first of a table's keys whose value is not its default, None where all are."""
    defaults = {field.name: field.default for field in msgspec.structs.fields(table)}
    return next((key for key in keys if getattr(table, key) != defaults[key]), None)
