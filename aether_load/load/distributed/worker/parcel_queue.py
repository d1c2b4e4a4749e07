"""Queue a worker's records for the master, in memory and beyond that on disk."""

from __future__ import annotations

import os
import tempfile
from collections import deque
from pathlib import Path

import msgspec

IN_FLIGHT_BYTES = 16 << 20
IN_MEMORY_BYTES = 32 << 20


class Packed(msgspec.Struct, frozen=True):
    """A parcel: the next bytes of the stream, and how many rows they hold."""

    number: int
    rows: int
    data: bytes


class _Spilled(msgspec.Struct, frozen=True):
    number: int
    rows: int
    offset: int
    length: int


class ParcelQueue:
    """Parcels in order; what the master has not confirmed is bounded, and so is what waits in memory.

    Whoever puts a parcel here never waits: a master that is slow or out of reach is not seen in any latency.
    """

    def __init__(self, in_flight_bytes: int = IN_FLIGHT_BYTES, in_memory_bytes: int = IN_MEMORY_BYTES) -> None:
        self._most_in_flight = in_flight_bytes
        self._most_in_memory = in_memory_bytes
        self._next = 0
        self._in_flight: deque[tuple[int, int]] = deque()
        self._in_flight_bytes = 0
        self._waiting: deque[Packed | _Spilled] = deque()
        self._in_memory_bytes = 0
        self._spill: int | None = None
        self._spilled_bytes = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether everything has been confirmed."""
        return not self._waiting and not self._in_flight

    @property
    def spilled_bytes(self) -> int:
        """Return how many bytes lie on disk."""
        return self._spilled_bytes

    def put(self, data: bytes, rows: int) -> None:
        """Take the next bytes of the stream; raises OSError, with nothing lost, where the disk refuses them.

        They are kept in memory all the same then.
        """
        number, self._next = self._next, self._next + 1
        # Behind a parcel that lies on disk all lie there, until it has been sent: they stay in order.
        if self._in_memory_bytes + len(data) > self._most_in_memory or self._spilled_bytes:
            try:
                self._waiting.append(self._spilled(number, rows, data))
            except OSError:
                self._keep(Packed(number, rows, data))
                raise
        else:
            self._keep(Packed(number, rows, data))

    def take(self) -> Packed | None:
        """Return the next parcel to send, or None when there is none, or too much is on its way already."""
        if not self._waiting or self._in_flight_bytes >= self._most_in_flight:
            return None
        parcel = self._waiting.popleft()
        if isinstance(parcel, _Spilled):
            assert self._spill is not None
            data = os.pread(self._spill, parcel.length, parcel.offset)
            self._spilled_bytes -= parcel.length
            if not self._spilled_bytes:
                os.ftruncate(self._spill, 0)
            parcel = Packed(parcel.number, parcel.rows, data)
        else:
            self._in_memory_bytes -= len(parcel.data)
        self._in_flight.append((parcel.number, len(parcel.data)))
        self._in_flight_bytes += len(parcel.data)
        return parcel

    def confirmed(self, number: int) -> None:
        """Take note that the parcels up to a number have been written."""
        while self._in_flight and self._in_flight[0][0] <= number:
            self._in_flight_bytes -= self._in_flight.popleft()[1]

    def close(self) -> None:
        """Forget all parcels, and give the disk its room back."""
        self._waiting.clear()
        self._in_flight.clear()
        if self._spill is not None:
            os.close(self._spill)
            self._spill = None

    def _keep(self, parcel: Packed) -> None:
        self._waiting.append(parcel)
        self._in_memory_bytes += len(parcel.data)

    def _spilled(self, number: int, rows: int, data: bytes) -> _Spilled:
        if self._spill is None:
            self._spill, path = tempfile.mkstemp(prefix="aether-load-")
            # Without a name it is gone with the process, however that ends.
            Path(path).unlink()
        offset = os.lseek(self._spill, 0, os.SEEK_END)
        written = 0
        try:
            while written < len(data):
                written += os.pwrite(self._spill, data[written:], offset + written)
        except OSError:
            os.ftruncate(self._spill, offset)
            raise
        self._spilled_bytes += len(data)
        return _Spilled(number, rows, offset, len(data))
