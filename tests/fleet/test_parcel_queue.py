"""Parcels leave in order, whole, and bounded, whatever the master does."""

import os
import random

import pytest

from aether_load.load.distributed.worker.parcel_queue import ParcelQueue


def drain(parcel_queue: ParcelQueue) -> list[tuple[int, int, bytes]]:
    taken = []
    while (parcel := parcel_queue.take()) is not None:
        taken.append((parcel.number, parcel.rows, parcel.data))
        parcel_queue.confirmed(parcel.number)
    return taken


def test_what_is_on_its_way_is_bounded_until_it_is_confirmed() -> None:
    parcel_queue = ParcelQueue(in_flight_bytes=10, in_memory_bytes=100)
    for number in range(5):
        parcel_queue.put(bytes([number]) * 6, 1)
    first, second = parcel_queue.take(), parcel_queue.take()
    assert first is not None
    assert second is not None
    assert [first.number, second.number, parcel_queue.take()] == [0, 1, None]
    parcel_queue.confirmed(0)
    found = parcel_queue.take()
    assert found is not None
    assert found.number == 2
    assert not parcel_queue.is_empty
    parcel_queue.confirmed(2)
    assert drain(parcel_queue) == [(3, 1, b"\3" * 6), (4, 1, b"\4" * 6)]
    assert parcel_queue.is_empty


@pytest.mark.parametrize("seed", range(20))
def test_order_and_bytes_survive_the_disk(seed: int) -> None:
    """Memory for two parcels only: most of them lie on disk for a time, in any mixture with those that do not."""
    chance = random.Random(seed)
    parcel_queue = ParcelQueue(in_flight_bytes=50, in_memory_bytes=60)
    put, taken, unconfirmed = [], [], []
    spilled = 0
    for number in range(200):
        data = os.urandom(chance.randint(1, 40))
        parcel_queue.put(data, number)
        put.append((number, number, data))
        spilled = max(spilled, parcel_queue.spilled_bytes)
        while chance.random() < 0.5 and (parcel := parcel_queue.take()) is not None:
            taken.append((parcel.number, parcel.rows, parcel.data))
            unconfirmed.append(parcel.number)
        if unconfirmed and chance.random() < 0.4:
            parcel_queue.confirmed(unconfirmed.pop(chance.randrange(len(unconfirmed))))
    parcel_queue.confirmed(len(put))
    taken += drain(parcel_queue)
    assert taken == put
    assert spilled > 0
    assert (parcel_queue.is_empty, parcel_queue.spilled_bytes) == (True, 0)
    parcel_queue.close()


def test_a_disk_that_refuses_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    parcel_queue = ParcelQueue(in_flight_bytes=4, in_memory_bytes=4)
    parcel_queue.put(b"abcd", 1)

    def refuse(*_arguments: int | bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="No space left"):
            parcel_queue.put(b"efgh", 1)
    assert drain(parcel_queue) == [(0, 1, b"abcd"), (1, 1, b"efgh")]
