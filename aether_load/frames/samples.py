"""Make DataFrames of a run's requests and of their nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pandas.api.extensions import ExtensionArray

from aether_load.frames.instants import RunClock
from aether_load.rundata.manifest import Manifest
from aether_load.rundata.records.record_format import ABSENT
from aether_load.rundata.samples.samples_arrow import SamplesTable

SAMPLE_COLUMNS: Mapping[str, str] = {
    "phase": "name of the phase",
    "worker": "number of the sending process, from 0",
    "request_index": "number of the request in its process, from 0",
    "prompt_id": "dataset and row of the prompt",
    "dataset": "name of the dataset; NA: a request of user code that has a name only",
    "name": "the row of the report that counts it: the request's own name, else its dataset",
    "in_window": "whether it was due inside the phase's window; the report's figures are of these requests",
    "due_utc": "when it was due",
    "sent_utc": "when it was sent; NaT: never (`dropped`)",
    "ended_utc": "when its answer was complete, or it failed",
    "due_ns": "when it was due, on the monotonic clock",
    "sent_ns": "when it was sent, on the monotonic clock",
    "ended_ns": "when its answer was complete, on the monotonic clock",
    "service_latency_us": "from sent to answered",
    "response_latency_us": "from due to answered",
    "sender_hold_us": "the most by which its answer may have been read late, because the sender was held up",
    "outcome": "`ok` or how it failed",
    "http_status": "status of the answer",
    "server_total_ms": "the runtime's own total, whole ms, cut off",
    "tokens_total": "tokens of the answer",
    "answer_state": "`answered`, `unanswered` (no letter) or `mock` (the mock provider's text)",
    "answer": "the letter that was read",
    "correct": "whether it is the right one; NA: not scored",
    "execution_id": "the runtime's id of the execution",
    "error": "what went wrong, in the runtime's or the client's words",
}
"""Each column of `Run.samples()`, in order."""

NODE_COLUMNS: Mapping[str, str] = {
    "phase": "name of the phase",
    "worker": "number of the sending process; with `request_index` it names the request",
    "request_index": "number of the request in its process",
    "prompt_id": "dataset and row of the prompt",
    "dataset": "name of the dataset; NA: a request of user code that has a name only",
    "name": "the row of the report that counts it: the request's own name, else its dataset",
    "in_window": "whether the request was due inside the phase's window",
    "outcome": "outcome of the request",
    "node": "id of the node",
    "level": "level of the node in the DAG, from 0; NA: not known",
    "state": "`succeeded`, `failed`, `skipped`, `not_run` or `panicked`",
    "cached": "whether it came from the cache; NA: the runtime does not say",
    "time_ms": "time of the node; NA: not known",
    "level_time_ms": "time of the node's whole level, where the runtime says it",
}
"""Each column of `Run.nodes()`, in order."""

_TYPES: Mapping[pa.DataType, Any] = {
    pa.int16(): pd.Int16Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.bool_(): pd.BooleanDtype(),
}
_NAMES = {"intended_start_ns": "due_ns", "token_cost": "tokens_total"}
_LISTS = ("node_times_ms", "node_states", "node_cached", "level_times_ms")


def samples_frame(read: SamplesTable, manifest: Manifest) -> pd.DataFrame:
    """Return a row a request, in the order in which each sender recorded them."""
    clock = RunClock(manifest.began)
    columns = read.table.drop_columns([*_LISTS, "node_ids", "execution_id"])
    frame: pd.DataFrame = columns.to_pandas(types_mapper=_TYPES.get).rename(columns=_NAMES)
    frame["name"] = _row_names(frame)
    instants = {name: frame[f"{name}_ns"].to_numpy(np.int64, na_value=ABSENT) for name in ("due", "sent", "ended")}
    for name, at_ns in instants.items():
        frame[f"{name}_utc"] = clock.utc(at_ns)
    worker = frame["worker"].to_numpy(np.int16)
    late_ns = read.holds.late_ns(worker, instants["sent"], instants["ended"])
    frame["sender_hold_us"] = pd.array(late_ns // 1000, pd.Int64Dtype())
    frame["in_window"] = _in_window(frame["phase"], instants["due"], manifest)
    frame["execution_id"] = pd.array(list(map(_uuid_text, read.table["execution_id"].to_pylist())), pd.StringDtype())
    return frame[[*SAMPLE_COLUMNS]]


def nodes_frame(read: SamplesTable, manifest: Manifest, level_of: Sequence[int]) -> pd.DataFrame:
    """Return a row a request and node, of requests whose answers name nodes; `level_of` is empty where unknown."""
    table = read.table.combine_chunks()
    times, states, cached, levels = (_list_of(table, name) for name in _LISTS)
    row, place = _places(times)
    place = _columns(_list_of(table, "node_ids"), row, place, manifest.node_ids)
    request = table.select(["phase", "worker", "request_index", "prompt_id", "dataset", "request_name", "outcome"])
    frame: pd.DataFrame = request.take(pa.array(row)).to_pandas(types_mapper=_TYPES.get)
    frame["name"] = _row_names(frame)
    due_ns = table["intended_start_ns"].to_numpy()[row]
    frame["in_window"] = _in_window(frame["phase"], due_ns, manifest)
    frame["node"] = categories(place, manifest.node_ids)
    frame["state"] = states.flatten().to_pandas()
    frame["cached"] = cached.flatten().to_pandas(types_mapper=_TYPES.get)
    frame["time_ms"] = times.flatten().to_pandas(types_mapper=_TYPES.get)
    known = np.full(len(manifest.node_ids) + 1, ABSENT, np.int64)
    known[: len(level_of)] = level_of
    level = known[place]
    frame["level"] = pd.array(level, pd.Int64Dtype())
    frame.loc[level == ABSENT, "level"] = pd.NA
    frame["level_time_ms"] = _level_times(levels, row, level)
    return frame[[*NODE_COLUMNS]]


def _row_names(frame: pd.DataFrame) -> pd.Categorical:
    """Return of each request its own name, and its dataset where it has none."""
    own, dataset = frame["request_name"].cat, frame["dataset"].cat
    names = list(dict.fromkeys([*own.categories, *dataset.categories]))
    of_dataset = np.array([*map(names.index, dataset.categories), ABSENT], np.int64)[dataset.codes.to_numpy()]
    return categories(np.where(own.codes >= 0, own.codes, of_dataset), names)


def _in_window(phases: pd.Series, due_ns: NDArray[np.int64], manifest: Manifest) -> ExtensionArray:
    """Tell of each request whether it was due inside its phase's window; a window that was cut off has no end."""
    opened, shut = {}, {}
    for record in manifest.phases:
        if record.window_began_ns is not None:
            opened[record.name] = record.window_began_ns
            shut[record.name] = np.iinfo(np.int64).max if record.window_ended_ns is None else record.window_ended_ns
    names = phases.cat.categories
    never = np.iinfo(np.int64).max
    first = np.array([*(opened.get(name, never) for name in names), never], np.int64)
    last = np.array([*(shut.get(name, 0) for name in names), 0], np.int64)
    code = phases.cat.codes.to_numpy()
    return pd.array((due_ns >= first[code]) & (due_ns <= last[code]), pd.BooleanDtype())


def categories(codes: NDArray[np.int64], names: Sequence[str]) -> pd.Categorical:
    """Return names by their places, NA for -1."""
    return pd.Categorical.from_codes(codes.tolist(), categories=pd.Index(list(names), dtype="str"))


def _list_of(table: pa.Table, name: str) -> pa.ListArray:
    chunks = table[name].chunks
    return chunks[0] if chunks else pa.array([], table.schema.field(name).type)


def _lengths(lists: pa.ListArray) -> NDArray[np.int64]:
    lengths: NDArray[np.int64] = np.diff(lists.offsets.to_numpy()).astype(np.int64)
    lengths[~lists.is_valid().to_numpy(zero_copy_only=False)] = 0
    return lengths


def _places(lists: pa.ListArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return of each value of all lists the row of its list, and its place in it."""
    lengths = _lengths(lists)
    row = np.repeat(np.arange(len(lengths)), lengths)
    return row, np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _columns(
    ids: pa.ListArray, row: NDArray[np.int64], place: NDArray[np.int64], node_ids: Sequence[str]
) -> NDArray[np.int64]:
    """Return of each node its place among the run's, -1 for none; rows that name no nodes have the run's first."""
    found = np.where(place < len(node_ids), place, -1)
    named = ids.is_valid().to_numpy(zero_copy_only=False)[row]
    if named.any():
        values = ids.flatten()
        known = {node_id: column for column, node_id in enumerate(node_ids)}
        columns = np.array([known.get(node_id, -1) for node_id in values.dictionary.to_pylist()], np.int64)
        found[named] = columns[values.indices.to_numpy()]
    return found


def _level_times(levels: pa.ListArray, row: NDArray[np.int64], level: NDArray[np.int64]) -> ExtensionArray:
    """Return of each node the time of its level, NA where its answer names none."""
    lengths = _lengths(levels)
    begins = np.cumsum(lengths) - lengths
    told = (level != ABSENT) & (level < lengths[row])
    values = np.zeros(len(row), np.int64)
    values[told] = levels.flatten().to_numpy()[begins[row[told]] + level[told]]
    return pd.arrays.IntegerArray(values, ~told)


def _uuid_text(raw: bytes | None) -> str | None:
    if raw is None:
        return None
    text = raw.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
