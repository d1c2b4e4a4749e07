"""A worker's records reach its master in parcels of whole blocks, as far as the master confirms them."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from aether_load.load.distributed.worker import parcel_queue, sample_sender
from aether_load.load.distributed.worker.sample_sender import SampleSender
from aether_load.protocol import Outcome
from aether_load.rundata.records.record_buffer import RecordBuffer
from aether_load.rundata.records.record_format import RequestRecord


class Hand:
    """A sender over a buffer of its own, and what it sent."""

    def __init__(self) -> None:
        self.buffer = RecordBuffer(["p"], ["d"], 1)
        self.sent: list[Any] = []
        self.refusals: list[OSError] = []
        self.sender = SampleSender("run", self.buffer, self.sent.append, self.refusals.append)

    def record(self, rows: int) -> None:
        """Record requests, and end the block."""
        for number in range(rows):
            self.buffer.add(RequestRecord(0, number, outcome=Outcome.DROPPED))
        self.buffer.seal()


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_what_was_recorded_is_one_parcel(hand: Hand) -> None:
    """With its rows; without records there is none. It is empty when the master has confirmed it."""
    hand.sender.flush()
    assert (hand.sent, hand.sender.is_empty) == ([], True)
    hand.record(2)
    hand.record(1)
    hand.sender.flush()
    (parcel,) = hand.sent
    assert (parcel.run, parcel.number, parcel.rows) == ("run", 0, 3)
    assert not hand.sender.is_empty
    hand.sender.confirmed(0)
    assert hand.sender.is_empty


def test_much_is_cut_at_whole_blocks(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A parcel ends with the block that makes it large enough."""
    monkeypatch.setattr(sample_sender, "PARCEL_BYTES", 1)
    hand.record(2)
    hand.record(1)
    hand.sender.flush()
    assert [(parcel.number, parcel.rows) for parcel in hand.sent] == [(0, 2), (1, 1)]


def test_a_slow_master_gets_the_next_parcel_when_it_has_confirmed(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it has not confirmed is bounded."""
    hand.sender._queue = parcel_queue.ParcelQueue(in_flight_bytes=1)
    for rows in (2, 1):
        hand.record(rows)
        hand.sender.flush()
    assert [parcel.rows for parcel in hand.sent] == [2]
    hand.sender.confirmed(0)
    assert [parcel.rows for parcel in hand.sent] == [2, 1]


def test_a_disk_that_refuses_is_reported_and_nothing_is_lost(hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    """The parcel is kept in memory, and goes out in its turn."""
    hand.sender._queue = parcel_queue.ParcelQueue(in_flight_bytes=1, in_memory_bytes=1)

    def refuse(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", refuse)
    for rows in (2, 1):
        hand.record(rows)
        hand.sender.flush()
    assert [error.errno for error in hand.refusals] == [errno.ENOSPC] * 2
    hand.sender.confirmed(0)
    assert [parcel.rows for parcel in hand.sent] == [2, 1]


def test_a_sender_that_is_closed_sends_nothing_more(hand: Hand) -> None:
    """What waits is nobody's any more, whatever is confirmed."""
    hand.sender._queue = parcel_queue.ParcelQueue(in_flight_bytes=1)
    for rows in (2, 1):
        hand.record(rows)
        hand.sender.flush()
    hand.sender.close()
    hand.sender.confirmed(0)
    assert ([parcel.number for parcel in hand.sent], hand.sender.is_empty) == ([0], True)
