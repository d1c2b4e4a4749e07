"""Hand workers what they need for their runs, in chunks that travel as messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from aether_load.dag.workload import Workload
from aether_load.load.distributed.messages import Chunk
from aether_load.protocol import Generation
from aether_load.schedule.trace import Trace

CHUNK_BYTES = 1 << 20


class Handover(msgspec.Struct, frozen=True, kw_only=True):
    """All that a worker needs to send; headers as the scenario has them, with the names of their secrets only.

    `workers` is how many the master expects.
    """

    scenario: dict[str, Any]
    headers: dict[str, str]
    url: str
    generation: Generation
    workload: Workload
    traces: dict[int, Trace]
    workers: int


def chunks_of(handover: str, data: bytes, worker: int) -> Iterator[Chunk]:
    """Yield the messages that hand data, named by its hash, to the worker of a number."""
    starts = range(0, len(data), CHUNK_BYTES)
    for index, start in enumerate(starts):
        yield Chunk(handover, worker, index, len(starts), data[start : start + CHUNK_BYTES])


class ChunkReceiver:
    """Joins chunks in the order of their indexes; a first one begins anew."""

    def __init__(self) -> None:
        self._chunks: dict[int, bytes] = {}

    def take(self, chunk: Chunk) -> bytes | None:
        """Take in a chunk; return the data when this was the last one of it, None before."""
        if chunk.index == 0:
            self._chunks.clear()
        self._chunks[chunk.index] = chunk.data
        if len(self._chunks) < chunk.of:
            return None
        data = b"".join(self._chunks[index] for index in range(chunk.of))
        self._chunks.clear()
        return data
