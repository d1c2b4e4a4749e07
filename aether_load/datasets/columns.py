"""The columns of a row that a DAG file asks for, as texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from aether_load.errors import UsageError
from aether_load.scenario.validation import did_you_mean


def column_texts(row: Mapping[str, Any], asked: Mapping[str, str], dataset: str) -> dict[str, str] | None:
    """Return the text of each column of `asked`, which maps it to the place that asks; None when none is asked for.

    Raises UsageError for a column that the row does not have.
    """
    return {name: column_text(_find(row, name, place, dataset)) for name, place in asked.items()} if asked else None


def column_text(value: object) -> str:
    """Return a value as the runtime writes it into a prompt: a text as it stands, null as nothing, the rest as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    try:
        text = msgspec.json.encode(value, order="sorted").decode()
    except (TypeError, ValueError, OverflowError):
        return str(value)
    # What JSON has no type for, such as a date, is written there as a text.
    return msgspec.json.decode(text, type=str) if text.startswith('"') else text


def _find(row: Mapping[str, Any], name: str, place: str, dataset: str) -> object:
    """Return the column `name`, or what lies at `outer.inner` inside the column `outer`."""
    if name in row:
        return row[name]
    value: Any = row
    steps = name.split(".")
    for depth, step in enumerate(steps):
        if value is None and depth:
            return None  # this row has nothing there
        if not isinstance(value, Mapping) or step not in value:
            known = [".".join([*steps[:depth], key]) for key in value] if isinstance(value, Mapping) else list(row)
            raise UsageError(
                f"{place}: {{{{row.{name}}}}}: dataset {dataset} has no column {name!r}; {did_you_mean(name, known)}"
            )
        value = value[step]
    return value
