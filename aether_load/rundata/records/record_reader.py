"""Read a record file as columns, batch by batch."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from aether_load.dag.sent_dag import MOST_DAGS
from aether_load.protocol import NodeState, Outcome
from aether_load.rundata.records.block_reader import BlockReader, rows_text
from aether_load.rundata.records.record_format import (
    ABSENT,
    ANSWER,
    ANSWER_STATES,
    DAG,
    DATASET,
    ERROR,
    HOLD,
    HOLD_FIELDS,
    ITERATION,
    ITERATION_STATES,
    MOST_BLOCK_BYTES,
    NAME,
    NODE,
    NODE_FIELDS,
    PHASE,
    PROMPT,
    REQUEST,
    TEXT,
    BlockHead,
    DagText,
    IterationRecord,
    RequestRecord,
)

T = TypeVar("T")

BATCH_ROWS = 16_384
_BATCH_BYTES = MOST_BLOCK_BYTES
_MOST_PLACES = 4 << 20
"""More texts than any table has: the prompts of a run are a gigabyte at most."""
_CODES = {"q": "<i8", "i": "<i4", "h": "<i2", "b": "i1", "16s": "V16"}


def _dtype(packed: struct.Struct, names: Sequence[str]) -> np.dtype[np.void]:
    """Return the NumPy type of records that a struct packs."""
    return np.dtype(
        [(name, _CODES[code]) for name, code in zip(names, re.findall(r"\d*[a-z]", packed.format), strict=True)]
    )


REQUEST_TYPE = _dtype(REQUEST, RequestRecord._fields)
NODE_TYPE = _dtype(NODE, NODE_FIELDS)
LEVEL_TYPE = np.dtype("<i4")
HOLD_TYPE = _dtype(HOLD, HOLD_FIELDS)
ITERATION_TYPE = _dtype(ITERATION, IterationRecord._fields)


class RecordBatch(msgspec.Struct, frozen=True):
    """Requests in their order, with their nodes and levels one after the other; holds and iterations between them."""

    requests: NDArray[np.void]
    nodes: NDArray[np.void]
    levels: NDArray[np.int32]
    holds: NDArray[np.void]
    iterations: NDArray[np.void]


_RANGES = (
    ("requests", "outcome", 0, len(Outcome)),
    ("requests", "answer_state", ABSENT, len(ANSWER_STATES)),
    ("requests", "nodes", 0, np.iinfo(np.int32).max),
    ("requests", "levels", 0, np.iinfo(np.int32).max),
    ("nodes", "state", ABSENT, len(NodeState)),
    ("iterations", "state", 0, len(ITERATION_STATES)),
)


def _check(batch: RecordBatch) -> None:
    """Raise ValueError where a batch's numbers are none that a sender writes."""
    for section, field, low, end in _RANGES:
        values = getattr(batch, section)[field]
        if len(values) and (values.min() < low or values.max() >= end):
            raise ValueError
    requests = batch.requests
    if requests["nodes"].sum(dtype=np.int64) != len(batch.nodes):
        raise ValueError
    if requests["levels"].sum(dtype=np.int64) != len(batch.levels):
        raise ValueError


class Tables:
    """The texts of a record file, each table a list by place; None where a damaged block took a text with it.

    `dags` has the ids by which the run lists the nodes of each DAG.
    """

    def __init__(self) -> None:
        self.phases: list[str | None] = []
        self.prompts: list[str | None] = []
        self.datasets: list[str | None] = []
        self.names: list[str | None] = []
        self.errors: list[str | None] = []
        self.answers: list[str | None] = []
        self.dags: list[tuple[str, ...] | None] = []
        self.dataset_of_prompt: list[int] = []
        self._of = {
            PHASE: self.phases, PROMPT: self.prompts, DATASET: self.datasets, NAME: self.names, ERROR: self.errors,
            ANSWER: self.answers,
        }  # fmt: skip

    def add(self, raw: bytes) -> None:
        """Take in a block's texts; raises ValueError where they are none that a sender writes."""
        at = 0
        while at < len(raw):
            if at + TEXT.size > len(raw):
                raise ValueError
            table, place, link, length = TEXT.unpack_from(raw, at)
            at += TEXT.size + length
            if at > len(raw) or not 0 <= place < _MOST_PLACES or not ABSENT <= link < _MOST_PLACES:
                raise ValueError
            text = raw[at - length : at]
            if table in self._of:
                _put(self._of[table], place, text.decode(errors="replace"), None)
            if table == DAG:
                if place >= MOST_DAGS:
                    raise ValueError
                _put(self.dags, place, _listed(text), None)
            if table == PROMPT:
                _put(self.dataset_of_prompt, place, link, ABSENT)

    def node_ids(self, dag: int) -> tuple[str, ...]:
        """Return the ids by which the run lists the nodes of a DAG, none where the file does not say."""
        return (self.dags[dag] if 0 <= dag < len(self.dags) else None) or ()

    def labels(self, rows: NDArray[np.void]) -> tuple[list[str], NDArray[np.int64]]:
        """Return labels, and of each request the place of its own: its name, or where it has none its dataset."""
        known = {text: place for place, text in enumerate(dict.fromkeys(text or "" for text in self._texts_of_labels))}
        of_names = look_up([known[text or ""] for text in self.names], rows["name"])
        of_datasets = look_up(
            [known[text or ""] for text in self.datasets], look_up(self.dataset_of_prompt, rows["prompt"])
        )
        return list(known), np.maximum(np.where(of_names == ABSENT, of_datasets, of_names), 0)

    @property
    def _texts_of_labels(self) -> list[str | None]:
        return [*self.datasets, *self.names, ""]


def _listed(text: bytes) -> tuple[str, ...]:
    """Return the ids by which a run lists the nodes of a DAG; raises ValueError for a text that a sender writes not."""
    try:
        dag = msgspec.json.decode(text, type=DagText)
    except msgspec.MsgspecError as error:
        raise ValueError from error
    if dag.listed and len(dag.listed) != len(dag.nodes):
        raise ValueError
    return dag.columns


def _put(values: list[T], place: int, value: T, absent: T) -> None:
    values.extend([absent] * (place + 1 - len(values)))
    values[place] = value


def look_up(values: Sequence[int], places: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return of each place the value that stands there, `ABSENT` for none; texts may be missing at a table's end."""
    known = np.array([*values, ABSENT], np.int64)
    # A place is only a number that was read: it may lie anywhere.
    found: NDArray[np.int64] = known[np.where((places >= 0) & (places < len(values)), places, len(values))]
    return found


class RecordReader:
    """The batches of a record file; `tables`, `rows`, `torn` and `damage` are complete when it was read to its end.

    What is torn and what is damage, `BlockReader` tells; so do `expected`, `cut_off` and `follow`.
    """

    def __init__(self, path: Path, expected: int | None = None, *, cut_off: bool = False, follow: bool = False) -> None:
        self.tables = Tables()
        self._blocks = BlockReader(path, expected, cut_off=cut_off, follow=follow)
        self._refused = 0
        self._foreign: list[str] = []

    @property
    def rows(self) -> int:
        """Return how many requests were read."""
        return self._blocks.rows - self._refused

    @property
    def torn(self) -> bool:
        """Tell whether the file ends inside a block."""
        return self._blocks.torn

    @property
    def damage(self) -> list[str]:
        """Return a sentence for everything that was refused or is missing."""
        return [*self._blocks.damage, *self._foreign]

    def __iter__(self) -> Iterator[RecordBatch]:
        """Yield what has been written since the last time; raises UsageError for another version of the format."""
        for group in self._groups():
            if (batch := self._batch(group)) is not None:
                yield batch

    def _groups(self) -> Iterator[list[tuple[BlockHead, memoryview]]]:
        """Yield the blocks of a batch each."""
        group: list[tuple[BlockHead, memoryview]] = []
        rows = size = 0
        for head, body in self._blocks:
            if not body:
                continue
            group.append((head, body))
            rows, size = rows + head.rows, size + len(body)
            if rows >= BATCH_ROWS or size >= _BATCH_BYTES:
                yield group
                group, rows, size = [], 0, 0
        if group:
            yield group

    def _batch(self, group: Sequence[tuple[BlockHead, memoryview]]) -> RecordBatch | None:
        """Return a batch, or None where its blocks are whole and yet none that a sender writes."""
        sections: tuple[list[memoryview], ...] = ([], [], [], [], [], [])
        for head, body in group:
            at = 0
            for section, length in zip(sections, head.sections, strict=True):
                if length:
                    section.append(body[at : at + length])
                    at += length
        texts, requests, nodes, levels, holds, iterations = (b"".join(section) for section in sections)
        batch = RecordBatch(
            np.frombuffer(requests, REQUEST_TYPE),
            np.frombuffer(nodes, NODE_TYPE),
            np.frombuffer(levels, LEVEL_TYPE),
            np.frombuffer(holds, HOLD_TYPE),
            np.frombuffer(iterations, ITERATION_TYPE),
        )
        try:
            _check(batch)
            self.tables.add(texts)
        except ValueError:
            self._refused += len(batch.requests)
            rows = rows_text(group[0][0].first_row, len(batch.requests))
            self._foreign.append(
                f"{self._blocks.path.name} has {rows} that are not what this release writes; they were refused"
            )
            return None
        return batch
