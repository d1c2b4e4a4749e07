"""A recorded file of requests: when each was sent, and what."""

from __future__ import annotations

import csv
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from aether_load.datasets.prompt import DatasetIdentity, Prompt
from aether_load.errors import UsageError
from aether_load.scenario.duration import LONGEST_S
from aether_load.scenario.phase import Phase, TraceFile


class Trace(msgspec.Struct, frozen=True):
    """Requests in the order of their times: ns from the first one, at the trace's speed, and each one's prompt.

    `prompts` are places among all prompts of the run; None where the workload's are sent in their order.
    """

    offsets_ns: tuple[int, ...]
    prompts: tuple[int, ...] | None


class Traces(msgspec.Struct, frozen=True):
    """The traces of a scenario by phase, the prompts that came with them, and whose they are."""

    traces: dict[int, Trace]
    prompts: tuple[Prompt, ...]
    identities: tuple[DatasetIdentity, ...]


def read_traces(phases: Sequence[Phase], prompts: Sequence[Prompt]) -> Traces:
    """Read the trace of each phase that has one; `prompts` are the workload's, which traces may refer to.

    Texts of a trace become prompts of a dataset that is named for the phase. Raises UsageError that names file,
    line and value.
    """
    traces: dict[int, Trace] = {}
    added: list[Prompt] = []
    identities = []
    place_of = {prompt.id: place for place, prompt in enumerate(prompts)}
    for number, phase in enumerate(phases):
        if phase.trace is None:
            continue
        content = _content(phase.trace.path)
        rows = list(_rows(phase.trace.path, content))
        times, refers, texts = [], [], 0
        for line, row in rows:
            where = f"Trace {phase.trace.path}, line {line}"
            times.append(_time(row, phase.trace, where))
            if isinstance(text := row.get(phase.trace.prompt), str) and text.strip():
                refers.append(len(prompts) + len(added))
                added.append(Prompt(id=f"{phase.name}/{texts}", dataset=phase.name, text=text))
                texts += 1
            elif _says(row, phase.trace.dataset):
                refers.append(_known_row(row, phase.trace, place_of, where))
        if not times:
            raise UsageError(f"Trace {phase.trace.path} holds no request.")
        if refers and len(refers) < len(times):
            raise UsageError(
                f"Trace {phase.trace.path}: {len(times) - len(refers)} of {len(times)} lines say neither "
                f"{phase.trace.prompt} nor {phase.trace.dataset} and {phase.trace.row}; all of them must, or none."
            )
        traces[number] = _in_order(times, refers, phase.trace)
        if any(prompt.dataset == phase.name for prompt in prompts) and texts:
            raise UsageError(
                f"phases.{number}.name: the texts of trace {phase.trace.path} become a dataset of the phase's name, "
                f"and there is a dataset {phase.name} already; give the phase another name."
            )
        if texts:
            identities.append(
                DatasetIdentity(
                    name=phase.name,
                    source="trace",
                    location=phase.trace.path,
                    config=None,
                    split=None,
                    revision="sha256:" + hashlib.sha256(content).hexdigest(),
                    rows_available=len(times),
                    rows_used=texts,
                )
            )
    return Traces(traces, tuple(added), tuple(identities))


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(f"Trace {path} cannot be read: {error.strerror}.") from None


def _rows(path: str, content: bytes) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the lines with their numbers, as mappings from column to value."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"Trace {path} is not UTF-8 text.") from None
    if path.lower().endswith(".csv"):
        reader = csv.DictReader(io.StringIO(text, newline=""))
        try:
            for row in reader:
                yield reader.line_num, row
        except csv.Error as error:
            raise UsageError(f"Trace {path}, line {reader.line_num}: {error}.") from None
        return
    if not path.lower().endswith((".jsonl", ".ndjson")):
        raise UsageError(f"Trace {path}: a trace is a .csv or a .jsonl file.")
    # Not splitlines, which also splits where a JSON text holds U+2028 as it is.
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line, type=dict[str, Any])
        except msgspec.MsgspecError as error:
            raise UsageError(f"Trace {path}, line {number}: not a JSON object: {error}.") from None
        yield number, row


def _says(row: dict[str, Any], column: str) -> bool:
    return row.get(column) is not None and row[column] != ""


def _time(row: dict[str, Any], trace: TraceFile, where: str) -> float:
    """Return a line's time in seconds: a number in the trace's unit, or a date and time of ISO 8601."""
    value = row.get(trace.timestamp)
    if value is None:
        there = ", ".join(repr(column) for column in row if row[column] is not None) or "none"
        raise UsageError(
            f"{where}: there is no column {trace.timestamp!r}; there are {there}. Say which one holds the times with "
            "trace.timestamp."
        )
    seconds = _number(value)
    if seconds is not None:
        return seconds / 1000 if trace.timestamp_unit == "ms" else seconds
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise UsageError(
            f"{where}: {trace.timestamp} = {value!r} is neither a number nor a time such as 2026-01-31T12:00:00Z."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _number(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _known_row(row: dict[str, Any], trace: TraceFile, place_of: dict[str, int], where: str) -> int:
    name = f"{row[trace.dataset]}/{row.get(trace.row)}"
    if name not in place_of:
        raise UsageError(
            f"{where}: there is no row {name} among the prompts of this run; check {trace.dataset} and {trace.row}, "
            "and that workload.datasets and workload.limit take it in."
        )
    return place_of[name]


def _in_order(times: list[float], refers: list[int], trace: TraceFile) -> Trace:
    order = sorted(range(len(times)), key=times.__getitem__)
    first = times[order[0]]
    lasts_s = (times[order[-1]] - first) / trace.speed
    if lasts_s > LONGEST_S:
        raise UsageError(
            f"Trace {trace.path} lasts {lasts_s:.3g} s, which is more than a year; check trace.timestamp_unit "
            f"(now {trace.timestamp_unit!r})."
        )
    return Trace(
        tuple(round((times[place] - first) / trace.speed * 1e9) for place in order),
        tuple(refers[place] for place in order) if refers else None,
    )
