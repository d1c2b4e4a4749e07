"""Write the values of a row's columns as texts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from aether_load.errors import UsageError, explained
from aether_load.scenario.validation import did_you_mean

WORKLOAD_COLUMNS = "workload.columns"
"""The place of columns that a scenario asks for itself, and not in a DAG."""


def column_texts(row: Mapping[str, Any], asked: Mapping[str, str], dataset: str) -> dict[str, str]:
    """Return the text of each column in `asked`, which maps it to the place that asks.

    Raises UsageError for a column that the row does not have, and ValueError for a value that is no text.
    """
    texts = {}
    for name, place in asked.items():
        with explained(f"column {name!r} ", ValueError, ValueError, end=""):
            texts[name] = column_text(_find(row, name, place, dataset))
    return texts


def scalar_text(value: object) -> str:
    """Return a value's text as `column_text` does; raises ValueError, "holds …", for a list or an object too."""
    if isinstance(value, dict | list | tuple):
        raise ValueError(f"holds {'an object' if isinstance(value, dict) else 'a list'}, and a text is needed")  # noqa: TRY004
    return column_text(value)


def column_text(value: object) -> str:
    """Return a value as the runtime writes it into a prompt: a text as it stands, null as nothing, the rest as JSON.

    Bytes are decoded as UTF-8. Raises ValueError, "holds …", for a value that has no text.
    """
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    plain = _without_bytes(value)
    if isinstance(plain, str):
        return plain
    try:
        text = msgspec.json.encode(plain, order="sorted").decode()
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"holds a value of type {type(value).__name__}, which has no text") from None
    # What JSON has no type for, such as a date, is written there as a text.
    return msgspec.json.decode(text, type=str) if text.startswith('"') else text


def _without_bytes(value: object) -> object:
    """Return a value with all bytes in it decoded, at whichever depth."""
    if isinstance(value, bytes | bytearray):
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise ValueError(
                f"holds bytes that are not UTF-8 text (byte 0x{value[error.start]:02x} at place {error.start})"
            ) from None
    if isinstance(value, dict):
        return {key: _without_bytes(child) for key, child in value.items()}
    if isinstance(value, list | tuple):
        return [_without_bytes(child) for child in value]
    return value


def _find(row: Mapping[str, Any], name: str, place: str, dataset: str) -> object:
    """Return the column `name`, or the value at `outer.inner` inside the column `outer`."""
    if name in row:
        return row[name]
    value: Any = row
    steps = name.split(".")
    for depth, step in enumerate(steps):
        if value is None and depth:
            return None  # this row has nothing there
        if not isinstance(value, Mapping) or step not in value:
            known = [".".join([*steps[:depth], key]) for key in value] if isinstance(value, Mapping) else list(row)
            near = did_you_mean(name, known)
            if place == WORKLOAD_COLUMNS:
                raise UsageError(
                    f"{place}: dataset {dataset} has no column {name!r}; {near} Send only datasets that have it, as by "
                    "--dataset."
                )
            raise UsageError(f"{place}: {{{{row.{name}}}}}: dataset {dataset} has no column {name!r}; {near}")
        value = value[step]
    return value
