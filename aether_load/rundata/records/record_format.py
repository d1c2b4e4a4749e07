"""Define the bytes of a record file: its header, its blocks, and the records in them.

A record file only grows. It begins with a header that names its version and fields, as JSON, and a checksum. Blocks
follow: a block has its own header, then texts, requests, nodes, levels, holds and iterations, each kind packed
little-endian and of a fixed size but for the texts. A request's nodes and levels stand in their sections in the order
of the requests. Texts that recur are written once, in the block whose requests cite them first or in an earlier one. A
file whose run has ended in order ends with an empty block.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import NamedTuple

import msgspec
import xxhash

from aether_load.protocol import NodeState, Outcome

VERSION = 2
ABSENT = -1
"""Stands in a record for what was not measured."""
ANSWER_STATES = ("answered", "unanswered", "mock")
ITERATION_STATES = ("completed", "failed", "interrupted")

FILE_MAGIC = b"AELRECS1"
FILE_PREFIX = struct.Struct("<8sI")
"""Magic and the length of the JSON that follows; behind that stands `CHECKSUM` over both."""
CHECKSUM = struct.Struct("<Q")

PHASE, PROMPT, DATASET, NAME, ERROR, ANSWER, DAG = range(7)
"""The tables of texts."""
TEXT = struct.Struct("<BIiI")
"""Table, place in it, link (a prompt's dataset by its place, else `ABSENT`), bytes of UTF-8 that follow."""
NODE = struct.Struct("<ibb")
LEVEL = struct.Struct("<i")
HOLD = struct.Struct("<hqqq")
ITERATION = struct.Struct("<hhhhbqqiq")
REQUEST = struct.Struct("<qqqqqiiiiihhhhhhhbbb16s")


class DagText(msgspec.Struct, frozen=True, omit_defaults=True):
    """A DAG as its table has it, as JSON: the ids of its nodes, and where they differ those that the run lists them by.

    The nodes of a request's record stand in this order.
    """

    nodes: tuple[str, ...]
    listed: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the ids by which the run lists the nodes."""
        return self.listed or self.nodes


class RequestRecord(NamedTuple):
    """One request as it is packed; instants in monotonic ns, times in whole ms, `ABSENT` for what was not measured.

    `prompt`, `phase`, `name`, `dag`, `answer` and `error` are places in their tables of texts. `nodes` and `levels` are
    how many records of these kinds belong to the request; `length` is the answer's in bytes. An `execution_id` of zeros
    stands for none.
    """

    request_index: int
    due_ns: int
    sent_ns: int = ABSENT
    ended_ns: int = ABSENT
    tokens: int = ABSENT
    server_total_ms: int = ABSENT
    prompt: int = 0
    nodes: int = 0
    levels: int = 0
    length: int = 0
    phase: int = 0
    worker: int = 0
    http_status: int = ABSENT
    answer: int = ABSENT
    error: int = ABSENT
    name: int = ABSENT
    dag: int = 0
    outcome: int = 0
    answer_state: int = ABSENT
    correct: int = ABSENT
    execution_id: bytes = b""


NODE_FIELDS = ("time_ms", "state", "cached")
HOLD_FIELDS = ("worker", "began_ns", "ended_ns", "caught_up_ns")


class IterationRecord(NamedTuple):
    """One pass of a user's task as it is packed; instants in monotonic ns of its worker.

    `phase`, `name` (of the task) and `error` are places in their tables of texts, `state` one in `ITERATION_STATES`.
    `requests` were sent in it, and `request_ns` is the time between sending them and their answers.
    """

    worker: int
    phase: int
    name: int
    error: int
    state: int
    began_ns: int
    ended_ns: int
    requests: int
    request_ns: int


def file_header() -> bytes:
    """Return the bytes that a record file begins with."""
    described = json.dumps(
        {
            "version": VERSION,
            "request": [*RequestRecord._fields],
            "node": NODE_FIELDS,
            "hold": HOLD_FIELDS,
            "iteration": IterationRecord._fields,
            "outcomes": [outcome.label for outcome in Outcome],
            "node_states": [state.label for state in NodeState],
            "answer_states": ANSWER_STATES,
            "iteration_states": ITERATION_STATES,
            "formats": {
                "text": TEXT.format, "request": REQUEST.format, "node": NODE.format, "level": LEVEL.format,
                "hold": HOLD.format, "iteration": ITERATION.format,
            },
        },
        separators=(",", ":"),
    ).encode()  # fmt: skip
    head = FILE_PREFIX.pack(FILE_MAGIC, len(described)) + described
    return head + CHECKSUM.pack(xxhash.xxh3_64_intdigest(head))


class BlockHead(NamedTuple):
    """A block's header: its number in the file, how much of each kind follows, and the body's checksum.

    `first_row` is how many requests the blocks before it hold.
    """

    number: int
    texts_bytes: int
    rows: int
    nodes: int
    levels: int
    holds: int
    iterations: int
    first_row: int
    checksum: int

    @property
    def sections(self) -> tuple[int, int, int, int, int, int]:
        """Return the bytes of texts, requests, nodes, levels, holds and iterations."""
        return (
            self.texts_bytes,
            self.rows * REQUEST.size,
            self.nodes * NODE.size,
            self.levels * LEVEL.size,
            self.holds * HOLD.size,
            self.iterations * ITERATION.size,
        )

    @property
    def body_bytes(self) -> int:
        """Return the length of what follows the header."""
        return sum(self.sections)

    def pack(self) -> bytes:
        """Return the header's bytes; they end with a CRC-32, so that a length is believed only when it is whole."""
        fields = _BLOCK_FIELDS.pack(BLOCK_MAGIC, *self)
        return fields + _BLOCK_CHECK.pack(zlib.crc32(fields))


BLOCK_MAGIC = b"BLK\n"
_BLOCK_FIELDS = struct.Struct("<4sIIIIIIIQQ")
_BLOCK_CHECK = struct.Struct("<I")
BLOCK_HEAD_BYTES = _BLOCK_FIELDS.size + _BLOCK_CHECK.size
MOST_BLOCK_BYTES = 64 << 20
"""More than a block of 256 requests takes whose prompts all have the longest of names."""


def read_block_head(raw: memoryview) -> BlockHead | None:
    """Return the header in some bytes, or None when they hold none, or one of a block that is never written."""
    if len(raw) != BLOCK_HEAD_BYTES:
        return None
    fields = raw[: _BLOCK_FIELDS.size]
    magic, *values = _BLOCK_FIELDS.unpack(fields)
    if magic != BLOCK_MAGIC or _BLOCK_CHECK.unpack(raw[_BLOCK_FIELDS.size :])[0] != zlib.crc32(fields):
        return None
    head = BlockHead(*values)
    return head if head.body_bytes <= MOST_BLOCK_BYTES else None


class Block(NamedTuple):
    """A block that is ready to be written: its sections, its number, and its first row."""

    texts: bytes | bytearray
    requests: bytes | bytearray
    nodes: bytes | bytearray
    levels: bytes | bytearray
    holds: bytes | bytearray
    iterations: bytes | bytearray
    number: int
    first_row: int

    @property
    def rows(self) -> int:
        """Return the number of requests."""
        return len(self.requests) // REQUEST.size

    def pieces(self) -> list[bytes | bytearray]:
        """Return the block's bytes, header first, section by section: nothing is copied."""
        body = [self.texts, self.requests, self.nodes, self.levels, self.holds, self.iterations]
        digest = xxhash.xxh3_64()
        for section in body:
            digest.update(section)
        head = BlockHead(
            self.number,
            len(self.texts),
            self.rows,
            len(self.nodes) // NODE.size,
            len(self.levels) // LEVEL.size,
            len(self.holds) // HOLD.size,
            len(self.iterations) // ITERATION.size,
            self.first_row,
            digest.intdigest(),
        )
        return [head.pack(), *body]
