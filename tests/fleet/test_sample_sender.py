"""Parcels leave in order, whole, and bounded, whatever the master does."""

import os
import random

import pytest

from aether_load.load.distributed.sample_sender import SampleSender


def drain(sample_sender: SampleSender) -> list[tuple[int, int, bytes]]:
    taken = []
    while (parcel := sample_sender.take()) is not None:
        taken.append((parcel.number, parcel.rows, parcel.data))
        sample_sender.confirmed(parcel.number)
    return taken


def test_what_is_on_its_way_is_bounded_until_it_is_confirmed() -> None:
    sample_sender = SampleSender(in_flight_bytes=10, in_memory_bytes=100)
    for number in range(5):
        sample_sender.put(bytes([number]) * 6, 1)
    first, second = sample_sender.take(), sample_sender.take()
    assert first is not None
    assert second is not None
    assert [first.number, second.number, sample_sender.take()] == [0, 1, None]
    sample_sender.confirmed(0)
    found = sample_sender.take()
    assert found is not None
    assert found.number == 2
    assert not sample_sender.is_empty
    sample_sender.confirmed(2)
    assert drain(sample_sender) == [(3, 1, b"\3" * 6), (4, 1, b"\4" * 6)]
    assert sample_sender.is_empty


@pytest.mark.parametrize("seed", range(20))
def test_order_and_bytes_survive_the_disk(seed: int) -> None:
    """Memory for two parcels only: most of them lie on disk for a time, in any mixture with those that do not."""
    chance = random.Random(seed)
    sample_sender = SampleSender(in_flight_bytes=50, in_memory_bytes=60)
    put, taken, unconfirmed = [], [], []
    spilled = 0
    for number in range(200):
        data = os.urandom(chance.randint(1, 40))
        sample_sender.put(data, number)
        put.append((number, number, data))
        spilled = max(spilled, sample_sender.spilled_bytes)
        while chance.random() < 0.5 and (parcel := sample_sender.take()) is not None:
            taken.append((parcel.number, parcel.rows, parcel.data))
            unconfirmed.append(parcel.number)
        if unconfirmed and chance.random() < 0.4:
            sample_sender.confirmed(unconfirmed.pop(chance.randrange(len(unconfirmed))))
    sample_sender.confirmed(len(put))
    taken += drain(sample_sender)
    assert taken == put
    assert spilled > 0
    assert (sample_sender.is_empty, sample_sender.spilled_bytes) == (True, 0)
    sample_sender.close()


def test_a_disk_that_refuses_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sample_sender = SampleSender(in_flight_bytes=4, in_memory_bytes=4)
    sample_sender.put(b"abcd", 1)

    def refuse(*_arguments: int | bytes) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", refuse)
        with pytest.raises(OSError, match="No space left"):
            sample_sender.put(b"efgh", 1)
    assert drain(sample_sender) == [(0, 1, b"abcd"), (1, 1, b"efgh")]
