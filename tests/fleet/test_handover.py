"""What is handed to a worker arrives whole, in whatever order its chunks come."""

from __future__ import annotations

import pytest

from aether_load.load.distributed import handover
from aether_load.load.distributed.handover import ChunkReceiver, chunks_of
from aether_load.load.distributed.messages import Chunk


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handover, "CHUNK_BYTES", 3)


def test_data_is_cut_into_chunks_that_say_which_they_are(small_chunks: None) -> None:
    """The last one has what is left."""
    assert list(chunks_of("hash", b"abcdefg", 4)) == [
        Chunk("hash", 4, 0, 3, b"abc"), Chunk("hash", 4, 1, 3, b"def"), Chunk("hash", 4, 2, 3, b"g"),
    ]  # fmt: skip


def test_the_last_chunk_completes_the_data(small_chunks: None) -> None:
    """Nothing is returned before it, and the next handover begins anew."""
    receiver = ChunkReceiver()
    for data in (b"abcdefg", b"xy"):
        *first, last = [receiver.take(chunk) for chunk in chunks_of("hash", data, 0)]
        assert (first, last) == ([None] * len(first), data)


def test_a_handover_that_begins_anew_forgets_what_was_begun(small_chunks: None) -> None:
    """The master may have another one before all chunks of the first have come."""
    receiver = ChunkReceiver()
    begun = list(chunks_of("old", b"abcdefg", 0))
    for chunk in begun[:2]:
        receiver.take(chunk)
    assert [receiver.take(chunk) for chunk in chunks_of("new", b"1234", 0)] == [None, b"1234"]
