"""Read a trace: a recorded file of requests, with the time of each and what it sent."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec

from aether_load.bounded import read_bounded
from aether_load.dag.workload import PromptRange
from aether_load.datasets.columns import scalar_text
from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.datasets.table_file import Table, read_table
from aether_load.errors import UsageError, explained
from aether_load.scenario.duration import LONGEST_S
from aether_load.scenario.phase import Phase, TraceFile
from aether_load.scenario.validation import did_you_mean
from aether_load.schedule.order import prompts_of

TimeKind = Literal["a number", "a time with an offset", "a time without an offset"]

_MOST_BYTES = 512 << 20
_SUFFIXES = (".csv", ".jsonl", ".ndjson")
_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?\s*")
_WHOLE_NUMBER = re.compile(r"\s*[-+]?[0-9]{1,300}\s*")
_LARGEST_NUMBER = 1e300
_UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_NO_SUCH_TIME_S = 1e11
"""Seconds from 1970 to the year 5138; a larger number is a time in a smaller unit."""
_LARGEST_EPOCH_S = 1e10
"""Seconds from 1970 to the year 2286, by which the unit of a time since 1970 is told."""


class Trace(msgspec.Struct, frozen=True):
    """The requests of a trace in the order of their times: ns from the first one, at the trace's speed.

    `prompts` has for each the place of its prompt among all prompts of the run; None where the trace names none and
    the workload's prompts are sent in their order.
    """

    offsets_ns: tuple[int, ...]
    prompts: tuple[int, ...] | None


class Traces(msgspec.Struct, frozen=True):
    """The traces of a scenario and the prompts in them, by the number of their phase, and the files these come from."""

    traces: dict[int, Trace]
    prompts: dict[int, list[Prompt]]
    identities: tuple[DatasetIdentity, ...]


def read_traces(
    phases: Sequence[Phase], prompts: Sequence[Prompt], of_phases: Sequence[tuple[PromptRange, ...]] = ()
) -> Traces:
    """Read the trace of each phase that has one; `prompts` are the workload's, which traces may refer to.

    `of_phases` says which of them each phase sends; without it each sends all.
    The texts of a trace become the prompts of a dataset that is named for the phase. Raises UsageError that names
    file, row and value.
    """
    traces: dict[int, Trace] = {}
    added: dict[int, list[Prompt]] = {}
    identities: list[DatasetIdentity] = []
    for number, phase in enumerate(phases):
        if phase.trace is None:
            continue
        content, table = _read(phase.trace.path)
        own = prompts_of(of_phases[number]) if of_phases else range(len(prompts))
        place_of = {prompts[place].id: place for place in own}
        texts, refers = _prompts(table, phase, place_of, len(prompts) + sum(map(len, added.values())))
        if texts and any(prompt.dataset == phase.name for prompt in prompts):
            raise UsageError(
                f"phases.{number}.name: the texts of trace {phase.trace.path} become a dataset of the phase's name, "
                f"and there is a dataset {phase.name} already; give the phase another name."
            )
        traces[number] = _in_order(*_times(table, phase.trace), refers, phase.trace)
        if texts:
            identities.append(_identity(phase, content, len(table.rows), len(texts)))
            added[number] = texts
    return Traces(traces, added, tuple(identities))


def _read(path: str) -> tuple[bytes, Table]:
    """Return the bytes of a trace and its rows, of which there is at least one."""
    with explained(f"Trace {path} cannot be read: "):
        content = read_bounded(Path(path), _MOST_BYTES)
    if not path.lower().endswith(_SUFFIXES):
        raise UsageError(f"Trace {path}: a trace is a .csv or a .jsonl file.")
    with explained("Trace ", ValueError):
        table = read_table(Path(path), content)
    if not table.rows:
        raise UsageError(f"Trace {path} holds no request.")
    return content, table


def _identity(phase: Phase, content: bytes, requests: int, texts: int) -> DatasetIdentity:
    assert phase.trace is not None
    return DatasetIdentity(
        name=phase.name,
        source="trace",
        location=phase.trace.path,
        config=None,
        split=None,
        revision="sha256:" + hashlib.sha256(content).hexdigest(),
        rows_available=requests,
        rows_used=texts,
    )


def _prompts(table: Table, phase: Phase, place_of: dict[str, int], first: int) -> tuple[list[Prompt], list[int]]:
    """Return the prompts that a trace brings, and for each of its requests the place of its prompt.

    `first` is the place of the first prompt that it brings. There are no places where no row names a prompt.
    """
    trace = phase.trace
    assert trace is not None
    for key in ("prompt", "dataset", "row"):
        column = getattr(trace, key)
        if column != key and column not in table.rows[0]:
            raise UsageError(
                f"Trace {table.path}: there is no column {column!r} (trace.{key}); "
                f"{did_you_mean(column, table.rows[0])}"
            )
    texts: list[Prompt] = []
    refers: list[int] = []
    for index in range(len(table.rows)):
        if (text := _text(table, index, trace.prompt)).strip():
            refers.append(first + len(texts))
            texts.append(Prompt(id=f"{phase.name}/{len(texts)}", dataset=phase.name, text=text))
        elif (name := _text(table, index, trace.dataset)) != "":
            # A column of whole numbers with gaps often comes as floats.
            known = f"{name}/{_text(table, index, trace.row).removesuffix('.0')}"
            if known not in place_of:
                raise UsageError(
                    f"Trace {table.place(index)}: there is no row {known} among the prompts of this run; check "
                    f"{trace.dataset} and {trace.row}, and that workload.datasets and workload.limit take it in."
                )
            refers.append(place_of[known])
        elif refers:
            raise UsageError(_says_neither(table, index, trace))
    if refers and len(refers) < len(table.rows):
        raise UsageError(_says_neither(table, 0, trace))
    return texts, refers


def _says_neither(table: Table, index: int, trace: TraceFile) -> str:
    return (
        f"Trace {table.place(index)} says neither {trace.prompt} nor {trace.dataset} and {trace.row}, and other rows "
        "do; all rows must, or none."
    )


def _text(table: Table, index: int, column: str) -> str:
    try:
        return scalar_text(table.rows[index].get(column))
    except ValueError as error:
        raise UsageError(f"Trace {table.place(index)}: column {column!r} {error}.") from None


def _times(table: Table, trace: TraceFile) -> tuple[list[int | float], int]:
    """Return the time of each row, and how many of its units are a second.

    Raises UsageError when rows write their times in different ways.
    """
    if trace.timestamp not in table.rows[0]:
        raise UsageError(
            f"Trace {table.path}: there is no column {trace.timestamp!r}; there are "
            f"{', '.join(map(repr, table.rows[0])) or 'none'}. Say which one holds the times with trace.timestamp."
        )
    times: list[int | float] = []
    first: TimeKind | None = None
    for index, row in enumerate(table.rows):
        value = row[trace.timestamp]
        place = f"Trace {table.place(index)}: {trace.timestamp} = {'null' if value is None else repr(value)}"
        kind, time = _time(value, trace, place)
        if first is None:
            first = kind
        elif kind != first:
            raise UsageError(f"{place} is {kind}, and the first row has {first}; write all times in one way.")
        times.append(time)
    return times, _UNITS_PER_SECOND[trace.timestamp_unit] if first == "a number" else 1


def _time(value: object, trace: TraceFile, place: str) -> tuple[TimeKind, int | float]:
    """Return the kind of a time, and the time: a number in the trace's unit, or the seconds since 1970 of a date."""
    number = _number(value)
    if number is not None:
        if abs(number) / _UNITS_PER_SECOND[trace.timestamp_unit] >= _NO_SUCH_TIME_S:
            units = (unit for unit, per_s in _UNITS_PER_SECOND.items() if abs(number) / per_s < _LARGEST_EPOCH_S)
            raise UsageError(
                f"{place} is after the year 5000 in {trace.timestamp_unit}; say trace.timestamp_unit = "
                f'"{next(units, "ns")}".'
            )
        return "a number", number
    try:
        moment = datetime.fromisoformat(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UsageError(f"{place} is neither a number nor a time such as 2026-01-31T12:00:00Z.") from None
    if moment.tzinfo is None:
        return "a time without an offset", moment.replace(tzinfo=UTC).timestamp()
    return "a time with an offset", moment.timestamp()


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value):
            return None
        value = int(value) if _WHOLE_NUMBER.fullmatch(value) else float(value)
    return value if abs(value) < _LARGEST_NUMBER else None


def _in_order(times: list[int | float], per_s: int, refers: list[int], trace: TraceFile) -> Trace:
    order = sorted(range(len(times)), key=times.__getitem__)
    first = times[order[0]]
    # The difference comes first: as a float, a time in ns since 1970 is no finer than 256 ns.
    lasts_s = (times[order[-1]] - first) / per_s / trace.speed
    if lasts_s > LONGEST_S:
        raise UsageError(
            f"Trace {trace.path} lasts {lasts_s:.3g} s, which is more than a year; check trace.timestamp_unit "
            f"(now {trace.timestamp_unit!r})."
        )
    return Trace(
        tuple(round((times[place] - first) / per_s / trace.speed * 1e9) for place in order),
        tuple(refers[place] for place in order) if refers else None,
    )
