"""Read a record file, as far as it is whole, and name what is not."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import xxhash
from numpy.typing import NDArray

from aether_load.rundata.record_format import (
    ABSENT,
    ANSWER,
    BLOCK_CHECK,
    BLOCK_FIELDS,
    BLOCK_HEADER_BYTES,
    BLOCK_MAGIC,
    CHECKSUM,
    DATASET,
    ERROR,
    FILE_MAGIC,
    FILE_PREFIX,
    HOLD,
    LEVEL,
    NAME,
    NODE,
    PHASE,
    PROMPT,
    REQUEST,
    TEXT,
    VERSION,
)

REQUEST_TYPE = np.dtype(
    [
        ("request_index", "<i8"), ("due_ns", "<i8"), ("sent_ns", "<i8"), ("ended_ns", "<i8"), ("tokens", "<i8"),
        ("server_total_ms", "<i4"), ("prompt", "<i4"), ("nodes", "<i4"), ("levels", "<i4"), ("length", "<i4"), ("phase", "<i2"),
        ("worker", "<i2"), ("http_status", "<i2"), ("answer", "<i2"), ("error", "<i2"), ("name", "<i2"),
        ("dag", "<i2"), ("outcome", "i1"), ("answer_state", "i1"), ("correct", "i1"),
        ("execution_id", "V16"),
    ]
)  # fmt: skip
NODE_TYPE = np.dtype([("time_ms", "<i4"), ("state", "i1"), ("cached", "i1")])
LEVEL_TYPE = np.dtype("<i4")
HOLD_TYPE = np.dtype([("began_ns", "<i8"), ("ended_ns", "<i8"), ("caught_up_ns", "<i8")])
BATCH_ROWS = 65_536
_LARGEST_BLOCK_BYTES = 1 << 30


class RecordFileError(ValueError):
    """A file that is no record file of this release; the text says why."""


class RecordBatch(msgspec.Struct, frozen=True):
    """Requests in their order, with their nodes and levels one after the other, and the holds between them."""

    first_row: int
    requests: NDArray[np.void]
    nodes: NDArray[np.void]
    levels: NDArray[np.int32]
    holds: NDArray[np.void]


class Tables:
    """The texts of a record file, each table a list by place; None where a damaged block took a text with it."""

    def __init__(self) -> None:
        self._texts: dict[int, list[str | None]] = {
            table: [] for table in (PHASE, PROMPT, DATASET, NAME, ERROR, ANSWER)
        }
        self.dataset_of_prompt: list[int] = []

    phases = property(lambda self: self._texts[PHASE])
    prompts = property(lambda self: self._texts[PROMPT])
    datasets = property(lambda self: self._texts[DATASET])
    names = property(lambda self: self._texts[NAME])
    errors = property(lambda self: self._texts[ERROR])
    answers = property(lambda self: self._texts[ANSWER])

    def add(self, raw: bytes) -> None:
        """Take in a block's texts."""
        at = 0
        while at < len(raw):
            table, place, link, length = TEXT.unpack_from(raw, at)
            at += TEXT.size
            text = raw[at : at + length].decode(errors="replace")
            at += length
            texts = self._texts.setdefault(table, [])
            texts.extend([None] * (place + 1 - len(texts)))
            texts[place] = text
            if table == PROMPT:
                self.dataset_of_prompt.extend([ABSENT] * (place + 1 - len(self.dataset_of_prompt)))
                self.dataset_of_prompt[place] = link


class _BlockHead(msgspec.Struct, frozen=True):
    texts_bytes: int
    rows: int
    nodes: int
    levels: int
    holds: int
    first_row: int
    checksum: int

    @property
    def body_bytes(self) -> int:
        return (
            self.texts_bytes
            + self.rows * REQUEST.size
            + self.nodes * NODE.size
            + self.levels * LEVEL.size
            + self.holds * HOLD.size
        )


class RecordReader:
    """The batches of a record file; `tables`, `torn` and `damage` are complete when it has been read to its end.

    A block that a crash cut off at the file's end is `torn`. Bytes that are not as they were written are `damage`, a
    sentence each that names the rows; the blocks around them are read. `expected` is how many rows the file had when
    its run ended, where it did. With `follow` the end is not judged: what is not whole yet is read later.
    """

    def __init__(self, path: Path, expected: int | None = None, *, follow: bool = False) -> None:
        self.path = path
        self.tables = Tables()
        self.torn = False
        self.damage: list[str] = []
        self.rows = 0
        self._expected = expected
        self._follow = follow
        self._offset = 0
        self._next_row = 0

    def __iter__(self) -> Iterator[RecordBatch]:
        """Yield what has been written since the last time; raises RecordFileError for a file that is none."""
        if not self.path.is_file():
            self._judge_missing()
            return
        with self.path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if self._offset == 0 and not self._read_file_header(file, size):
                return
            file.seek(self._offset)
            group: list[tuple[_BlockHead, bytes]] = []
            rows = 0
            for head, body in self._blocks(file, size):
                group.append((head, body))
                rows += head.rows
                if rows >= BATCH_ROWS:
                    yield self._batch(group)
                    group, rows = [], 0
            if group:
                yield self._batch(group)
        if not self._follow:
            self._judge_end()

    def _judge_missing(self) -> None:
        self.torn = not self._follow
        if self._expected:
            self.damage.append(f"{self.path.name} is missing, with its {self._expected} rows")

    def _judge_end(self) -> None:
        if self._expected is not None and self._next_row < self._expected:
            self.damage.append(
                f"{self.path.name}: rows {self._next_row} to {self._expected - 1} are missing at its end"
            )
            self.torn = False

    def _read_file_header(self, file: Any, size: int) -> bool:
        """Read the file's header; False when it is not there yet or the file is refused as a whole."""
        prefix = file.read(FILE_PREFIX.size)
        if len(prefix) < FILE_PREFIX.size:
            return self._no_header()
        magic, length = FILE_PREFIX.unpack(prefix)
        whole = FILE_PREFIX.size + length + CHECKSUM.size
        rest = file.read(length + CHECKSUM.size) if whole <= size else b""
        if magic == FILE_MAGIC and whole <= size and whole <= _LARGEST_BLOCK_BYTES:
            described, (checksum,) = rest[:length], CHECKSUM.unpack(rest[length:])
            if xxhash.xxh3_64_intdigest(prefix + described) == checksum:
                version = json.loads(described)["version"]
                if version != VERSION:
                    raise RecordFileError(
                        f"{self.path} has version {version} of the record format, and this release reads {VERSION}"
                    )
                self._offset = whole
                return True
        elif magic == FILE_MAGIC and whole > size and self._follow:
            return False
        self.damage.append(f"{self.path.name}: its header is not as it was written")
        # The blocks tell themselves where they are.
        self._offset = FILE_PREFIX.size
        return True

    def _no_header(self) -> bool:
        if not self._follow:
            self.torn = True
            if self._expected:
                self.damage.append(f"{self.path.name}: its {self._expected} rows are missing")
        return False

    def _blocks(self, file: Any, size: int) -> Iterator[tuple[_BlockHead, bytes]]:
        while self._offset < size:
            head = self._head(file, self._offset, size)
            body = None if head is None else self._body(file, self._offset, head, size)
            if head is not None and body is not None:
                if head.first_row != self._next_row:
                    self._judge_gap(head)
                self._offset += BLOCK_HEADER_BYTES + head.body_bytes
                if head.first_row < self._next_row:
                    continue
                self._next_row = head.first_row + head.rows
                self.rows += head.rows
                yield head, body
                continue
            if self._is_torn(head, size):
                self.torn = not self._follow
                return
            if not self._skip_damage(file, size):
                return

    def _judge_gap(self, head: _BlockHead) -> None:
        if head.first_row > self._next_row:
            self.damage.append(_rows_refused(self.path, self._next_row, head.first_row - 1))
        else:
            self.damage.append(f"{self.path.name}: rows from {head.first_row} on stand there twice")

    def _is_torn(self, head: _BlockHead | None, size: int) -> bool:
        """Tell whether the file ends inside the block: its header is cut off, or whole with a body that is cut off."""
        if size - self._offset < BLOCK_HEADER_BYTES:
            return True
        return head is not None and self._offset + BLOCK_HEADER_BYTES + head.body_bytes > size

    def _skip_damage(self, file: Any, size: int) -> bool:
        """Go on at the next block that is whole; False when there is none. Says which rows are refused."""
        at = self._offset + 1
        file.seek(at)
        rest = file.read(size - at)
        found = rest.find(BLOCK_MAGIC)
        while found != -1:
            head = self._head(file, at + found, size)
            if head is not None and self._body(file, at + found, head, size) is not None:
                self.damage.append(_rows_refused(self.path, self._next_row, head.first_row - 1))
                self._offset = at + found
                self._next_row = head.first_row
                return True
            found = rest.find(BLOCK_MAGIC, found + 1)
        if not self._follow:
            last = "the last one" if self._expected is None else str(self._expected - 1)
            self.damage.append(f"{self.path.name}: rows {self._next_row} to {last} are not as they were written")
            self._next_row = self._expected or self._next_row
        return False

    @staticmethod
    def _head(file: Any, at: int, size: int) -> _BlockHead | None:
        if size - at < BLOCK_HEADER_BYTES:
            return None
        file.seek(at)
        raw = file.read(BLOCK_HEADER_BYTES)
        if len(raw) < BLOCK_HEADER_BYTES:
            return None
        fields = raw[: BLOCK_FIELDS.size]
        magic, *values = BLOCK_FIELDS.unpack(fields)
        if magic != BLOCK_MAGIC or BLOCK_CHECK.unpack(raw[BLOCK_FIELDS.size :])[0] != zlib.crc32(fields):
            return None
        head = _BlockHead(*values)
        return head if head.body_bytes <= _LARGEST_BLOCK_BYTES else None

    @staticmethod
    def _body(file: Any, at: int, head: _BlockHead, size: int) -> bytes | None:
        begin = at + BLOCK_HEADER_BYTES
        if begin + head.body_bytes > size:
            return None
        file.seek(begin)
        body: bytes = file.read(head.body_bytes)
        return body if xxhash.xxh3_64_intdigest(body) == head.checksum and len(body) == head.body_bytes else None

    def _batch(self, group: list[tuple[_BlockHead, bytes]]) -> RecordBatch:
        sections: tuple[list[memoryview], ...] = ([], [], [], [])
        for head, body in group:
            view = memoryview(body)
            self.tables.add(bytes(view[: head.texts_bytes]))
            at = head.texts_bytes
            for section, count, packed in zip(
                sections,
                (head.rows, head.nodes, head.levels, head.holds),
                (REQUEST, NODE, LEVEL, HOLD),
                strict=True,
            ):
                section.append(view[at : at + count * packed.size])
                at += count * packed.size
        requests, nodes, levels, holds = (b"".join(section) for section in sections)
        return RecordBatch(
            group[0][0].first_row,
            np.frombuffer(requests, REQUEST_TYPE),
            np.frombuffer(nodes, NODE_TYPE),
            np.frombuffer(levels, LEVEL_TYPE),
            np.frombuffer(holds, HOLD_TYPE),
        )


def _rows_refused(path: Path, first: int, last: int) -> str:
    if last < first:
        return f"{path.name}: bytes before row {first} are not as they were written"
    return f"{path.name}: rows {first} to {last} are not as they were written, and are refused"
