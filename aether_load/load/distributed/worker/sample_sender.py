"""Send a worker's records to its master, in parcels of whole blocks."""

from __future__ import annotations

from collections.abc import Callable

import gevent
from gevent.lock import RLock

from aether_load.load.distributed import messages as say
from aether_load.load.distributed.worker.parcel_queue import ParcelQueue
from aether_load.rundata.records.record_buffer import RecordBuffer

PARCEL_BYTES = 256 << 10


class SampleSender:
    """Takes what a buffer holds, and sends it as far as the master keeps up."""

    def __init__(
        self, run: str, buffer: RecordBuffer, send: Callable[[say.Message], None], refused: Callable[[OSError], None]
    ) -> None:
        """Take what is called when the disk refuses what the master could not take; nothing is lost then."""
        self._run = run
        self._buffer = buffer
        self._send = send
        self._refused = refused
        self._queue = ParcelQueue()
        self._flushing = RLock()

    @property
    def is_empty(self) -> bool:
        """Tell whether the master has confirmed everything that was flushed."""
        return self._queue.is_empty

    def flush(self) -> None:
        """Send what was recorded so far; what the master does not take yet waits."""
        with self._flushing:
            self._buffer.seal()
            pieces: list[bytes | bytearray] = []
            rows = 0
            while (block := self._buffer.take()) is not None:
                pieces += block.pieces()
                rows += block.rows
                if sum(map(len, pieces)) >= PARCEL_BYTES:
                    self._put(b"".join(pieces), rows)
                    pieces, rows = [], 0
                    # Users have their turn between two parcels.
                    gevent.sleep(0)
            if pieces:
                self._put(b"".join(pieces), rows)
            self._send_parcels()

    def confirmed(self, number: int) -> None:
        """Take note that the parcels up to a number have been written; send further ones."""
        self._queue.confirmed(number)
        self._send_parcels()

    def close(self) -> None:
        """Forget what waits: nobody will take it."""
        self._queue.close()

    def _put(self, data: bytes, rows: int) -> None:
        try:
            self._queue.put(data, rows)
        except OSError as error:
            self._refused(error)

    def _send_parcels(self) -> None:
        while (parcel := self._queue.take()) is not None:
            self._send(say.Parcel(self._run, parcel.number, parcel.rows, parcel.data))
