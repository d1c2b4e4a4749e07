"""Append records in memory, one request at a time, and cut them into blocks."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec

from aether_load.dag.sent_dag import MOST_DAGS, WorkloadDag
from aether_load.rundata.records.record_format import (
    ABSENT,
    ANSWER,
    DAG,
    DATASET,
    ERROR,
    HOLD,
    ITERATION,
    NAME,
    PHASE,
    PROMPT,
    REQUEST,
    TEXT,
    Block,
    DagText,
    IterationRecord,
    RequestRecord,
)

BLOCK_ROWS = 256
"""Requests in a block at most, which keeps the writing of one well below half a millisecond."""
_BLOCK_BYTES = BLOCK_ROWS * REQUEST.size
_BLOCK_NODE_BYTES = 64 << 10
_MOST_NAMES = 30_000
_MOST_TEXTS = 1000
_LONGEST_TEXT = 300
_LONGEST_TEXT_BYTES = 65_535
_OTHER_TEXT = "(one of too many different texts)"


class TextTable:
    """Texts that recur, each written once; past `most` different ones, the rest share a place.

    Longer ones than `longest` characters are cut.
    """

    def __init__(
        self, buffer: RecordBuffer, table: int, most: int = _MOST_TEXTS, longest: int | None = _LONGEST_TEXT
    ) -> None:
        self._buffer = buffer
        self._table = table
        self._most = most
        self._longest = longest
        self._places: dict[str, int] = {}

    def place(self, text: str | None) -> int:
        """Return the place of `text`, or `ABSENT` for None."""
        if text is None:
            return ABSENT
        found = self._places.get(text)
        if found is not None:
            return found
        text = text[: self._longest] if len(self._places) < self._most else _OTHER_TEXT
        found = self._places.get(text)
        if found is None:
            found = self._places[text] = len(self._places)
            self._buffer.add_text(self._table, found, text)
        return found


class RecordBuffer:
    """Requests that wait to be written, as bytes; a request costs one packing and one append.

    Prompts are known before the load and are introduced when they are cited first. Phases, answers and errors are
    added to their tables as they come up.
    """

    def __init__(self, prompt_ids: Sequence[str], datasets: Sequence[str], worker: int = 0) -> None:
        """Take the id and the dataset of each prompt, and the number of the worker that sends."""
        self.worker = worker
        self._prompt_ids = prompt_ids
        self._datasets: Sequence[str | None] = datasets
        self._introduced = bytearray(len(prompt_ids))
        self._rows_before = 0
        self._blocks_before = 0
        self._sealed: deque[Block] = deque()
        self._open()
        self.phases = TextTable(self, PHASE, _MOST_NAMES, None)
        self.answers = TextTable(self, ANSWER)
        self.errors = TextTable(self, ERROR)
        self.names = TextTable(self, NAME)
        self._dags = TextTable(self, DAG, MOST_DAGS, None)
        self._dataset_table = TextTable(self, DATASET, _MOST_NAMES, None)

    def _open(self) -> None:
        self._texts = bytearray()
        self._requests = bytearray()
        self._nodes = bytearray()
        self._levels = bytearray()
        self._holds = bytearray()
        self._iterations = bytearray()

    def __len__(self) -> int:
        """Return how many requests wait."""
        return len(self._requests) // REQUEST.size + sum(block.rows for block in self._sealed)

    def add_prompts(self, prompt_ids: Sequence[str], datasets: Sequence[str | None]) -> None:
        """Take further prompts, which follow those that are known."""
        self._prompt_ids = [*self._prompt_ids, *prompt_ids]
        self._datasets = [*self._datasets, *datasets]
        self._introduced += bytes(len(prompt_ids))

    def add(self, record: RequestRecord, nodes: bytes = b"", levels: bytes = b"") -> None:
        """Append a request with its packed nodes and levels."""
        self.add_packed(record.prompt, REQUEST.pack(*record), nodes, levels)

    def add_packed(self, prompt: int, record: bytes, nodes: bytes, levels: bytes) -> None:
        """Append the packed record of a request of a prompt."""
        if not self._introduced[prompt]:
            self._introduce(prompt)
        self._requests += record
        self._nodes += nodes
        self._levels += levels
        if len(self._requests) >= _BLOCK_BYTES or len(self._nodes) >= _BLOCK_NODE_BYTES:
            self.seal()

    def add_hold(self, began_ns: int, ended_ns: int, caught_up_ns: int) -> None:
        """Append a time in which the event loop did not run: from, to, and when it had nothing left to do."""
        self._holds += HOLD.pack(self.worker, began_ns, ended_ns, caught_up_ns)

    def add_iteration(self, record: IterationRecord) -> None:
        """Append a pass of a user's task."""
        self._iterations += ITERATION.pack(*record)

    def add_text(self, table: int, place: int, text: str, link: int = ABSENT) -> None:
        """Append a text to one of the tables."""
        raw = text.encode(errors="replace")
        if table != DAG:
            raw = raw[:_LONGEST_TEXT_BYTES]
        self._texts += TEXT.pack(table, place, link, len(raw)) + raw

    def place_dag(self, dag: WorkloadDag) -> int:
        """Return a DAG's place in its table."""
        ids = tuple(node.id for node in dag.nodes)
        text = DagText(ids, tuple(node.id for node in dag.listed))
        return self._dags.place(msgspec.json.encode(text).decode())

    def _introduce(self, prompt: int) -> None:
        self._introduced[prompt] = 1
        dataset = self._dataset_table.place(self._datasets[prompt])
        self.add_text(PROMPT, prompt, self._prompt_ids[prompt], dataset)

    def seal(self) -> None:
        """Close the block that is being filled, if there is anything in it."""
        if self._requests or self._texts or self._holds or self._iterations:
            self._close_block()

    def finish(self) -> None:
        """Close the last block, and append the empty one that says that nothing follows."""
        self.seal()
        self._close_block()

    def _close_block(self) -> None:
        block = Block(
            self._texts,
            self._requests,
            self._nodes,
            self._levels,
            self._holds,
            self._iterations,
            self._blocks_before,
            self._rows_before,
        )
        self._blocks_before += 1
        self._rows_before += block.rows
        self._sealed.append(block)
        self._open()

    @property
    def rows_total(self) -> int:
        """Return how many requests were appended so far."""
        return self._rows_before + len(self._requests) // REQUEST.size

    def take(self) -> Block | None:
        """Return the oldest closed block and forget it, or None when there is none."""
        return self._sealed.popleft() if self._sealed else None

    def put_back(self, block: Block) -> None:
        """Keep a block that could not be written, before all others."""
        self._sealed.appendleft(block)
