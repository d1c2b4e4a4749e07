"""The pages of keys: those of a scenario and those of a report, a section a struct."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec
from comments import field_comments, paragraphs
from markdown import code, table
from msgspec import inspect

from aether_load.analysis.report import Report
from aether_load.scenario.duration import Seconds
from aether_load.scenario.scenario import Scenario
from aether_load.scenario.threshold import RequestLimit, Threshold

_TEXTS = {Threshold: "condition", RequestLimit: "condition"}
"""Structs that are written as text."""


def scenario_page() -> str:
    """Return the page of a scenario's keys."""
    return (
        "# Scenario keys\n\n"
        'A scenario is a TOML file. Durations are numbers of seconds or texts such as `"500ms"`, `"2m"`; a key that '
        "does not exist is refused with the nearest right one. Examples: [Loads](../loads.md).\n" + _sections(Scenario)
    )


def report_page() -> str:
    """Return the page of a report's keys."""
    return (
        "# Report keys\n\n"
        "`report.json` in a run's folder and `results/nightly_YYYY-MM-DD.json` are the same value. Each key ends in "
        "its unit. What was not measured is null, and `reasons` or a `..._reason` beside it says why. The schema: "
        "[nightly.schema.json](../nightly.schema.json).\n" + _sections(Report)
    )


def _sections(root: type) -> str:
    text = ""
    for kind, path in _structs(root):
        comments = field_comments(kind)
        title = code(path) if path else "Top level"
        text += f"\n## {title}\n\n{paragraphs(kind)}\n\n"
        rows = [_row(kind, field, comments) for field in inspect.type_info(kind).fields]
        with_comments = any(row[-1] for row in rows)
        header = ("key", "type", "default", "meaning") if kind.__struct_config__.forbid_unknown_fields else (
            "key", "type", "", "meaning")  # fmt: skip
        keep = [0, 1, *([2] if header[2] else []), *([3] if with_comments else [])]
        text += table([header[place] for place in keep], ([row[place] for place in keep] for row in rows))
    return text


def _row(kind: type, field: inspect.Field, comments: dict[str, str]) -> tuple[str, str, str, str]:
    name = next(one.name for one in msgspec.structs.fields(kind) if one.encode_name == field.encode_name)
    return code(field.encode_name), _type(field.type), _default(field), comments.get(name, "")


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value = field.default
    if value is msgspec.NODEFAULT or value is None or isinstance(value, msgspec.Struct) or value == ():
        return ""
    if isinstance(value, Seconds):
        return code(f"{value:g}s")
    return code(msgspec.json.encode(value).decode())


def _structs(root: type) -> Iterator[tuple[type, str]]:
    """Yield each struct below a type once, with the path of keys to the first place where it stands."""
    seen: set[type] = {root}
    waiting: list[tuple[type, str]] = [(root, "")]
    while waiting:
        kind, path = waiting.pop(0)
        yield kind, path
        below = []
        for field in inspect.type_info(kind).fields:
            for inner, ending in _inner(field.type):
                if inner not in seen:
                    seen.add(inner)
                    below.append((inner, f"{path}.{field.encode_name}{ending}".lstrip(".")))
        waiting = below + waiting


def _inner(info: Any) -> Iterator[tuple[type, str]]:
    """Yield the structs that a field holds, and how they are reached from its key."""
    info = _bare(info)
    if isinstance(info, inspect.StructType):
        if info.cls not in _TEXTS:
            yield info.cls, ""
    elif isinstance(info, inspect.UnionType):
        for part in info.types:
            yield from _inner(part)
    elif isinstance(info, inspect.VarTupleType | inspect.ListType):
        yield from ((kind, f"[]{ending}") for kind, ending in _inner(info.item_type))
    elif isinstance(info, inspect.DictType):
        yield from ((kind, f".NAME{ending}") for kind, ending in _inner(info.value_type))


def _bare(info: Any) -> Any:
    return _bare(info.type) if isinstance(info, inspect.Metadata) else info


def _type(info: Any) -> str:
    """Return a type in words."""
    if isinstance(info, inspect.Metadata):
        return _type(info.type)
    if isinstance(info, inspect.UnionType):
        return " or ".join(dict.fromkeys(_type(part) for part in info.types))
    if isinstance(info, inspect.VarTupleType | inspect.ListType):
        return f"list of {_type(info.item_type)}"
    if isinstance(info, inspect.DictType):
        return f"table of {_type(info.value_type)}"
    if isinstance(info, inspect.LiteralType):
        return ", ".join(code(value) for value in info.values)
    if isinstance(info, inspect.StructType):
        return _TEXTS.get(info.cls, "table")
    if isinstance(info, inspect.CustomType):
        return "duration" if info.cls is Seconds else _TEXTS.get(info.cls, "text")
    if isinstance(info, inspect.EnumType):
        return _enum(info.cls)
    return _WORDS[type(info)] + _bounds(info)


_WORDS = {
    inspect.IntType: "whole number", inspect.FloatType: "number", inspect.StrType: "text", inspect.BoolType: "boolean",
    inspect.NoneType: "null", inspect.AnyType: "any", inspect.BytesType: "bytes",
}  # fmt: skip


def _enum(kind: type[Enum]) -> str:
    values = [code(member.value) for member in kind]
    return ", ".join(values) if len(values) <= 4 else "text"


def _bounds(info: Any) -> str:
    low = getattr(info, "ge", None)
    high = getattr(info, "le", None)
    if low is not None and high is not None:
        return f" ({low:,} to {high:,})"
    return f" (from {low:,})" if low is not None else ""
