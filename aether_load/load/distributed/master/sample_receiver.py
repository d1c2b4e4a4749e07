"""Write the records of a run's workers as they come, one file a worker."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from aether_load.rundata.folder import RunFolder
from aether_load.rundata.records.record_file import RecordFile


class SampleReceiver:
    """Parcels in, bytes out: nothing of them is looked into, so that a master can take what many workers send.

    What the disk refuses waits here; it is confirmed only when it is written, and until then no worker sends more
    than a bounded number of bytes.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._files: dict[int, _WorkerFile] = {}

    def take(self, worker: int, number: int, rows: int, data: bytes) -> int | None:
        """Take a worker's parcel; return the number up to which all is written, None where the disk refuses.

        A parcel that has been here already is left out.
        """
        found = self._files.get(worker)
        if found is None:
            found = self._files[worker] = _WorkerFile(self._folder.records_of(worker))
        found.take(number, rows, data)
        with suppress(OSError):
            found.write_out()
            return found.taken
        return None

    def written(self) -> dict[int, int]:
        """Return of each worker the number of the parcel up to which all is written."""
        return {worker: found.taken for worker, found in self._files.items() if not found.waiting}

    def rows_of(self, worker: int) -> int:
        """Return how many rows of a worker have come."""
        found = self._files.get(worker)
        return found.rows if found else 0

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        for found in self._files.values():
            found.write_out()

    def end(self) -> None:
        """Accept no further records: the workers have closed their parts."""

    def close(self) -> None:
        """Close the files."""
        for found in self._files.values():
            found.close()

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the disk refused to files elsewhere, one a worker; return each, and whose tail it is."""
        rescued = []
        for worker, found in self._files.items():
            if found.waiting:
                elsewhere = path.with_stem(f"{path.stem}-{worker}")
                elsewhere.write_bytes(found.waiting)
                rescued.append((elsewhere, found.path.name))
        return rescued

    def rows_total(self) -> dict[str, int]:
        """Return how many rows came for each file."""
        return {found.path.name: found.rows for found in self._files.values()}


class _WorkerFile:
    """One worker's records, and the number of the last parcel of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.waiting = bytearray()
        self.taken = -1
        self.rows = 0
        self._file: RecordFile | None = None

    def take(self, number: int, rows: int, data: bytes) -> None:
        """Take a parcel, unless it was here before."""
        if number == self.taken + 1:
            self.waiting += data
            self.rows += rows
            self.taken = number

    def write_out(self) -> None:
        """Write what waits; raises OSError."""
        if self._file is None:
            self._file = RecordFile(self.path)
        if self.waiting:
            self._file.write([bytes(self.waiting)])
            self.waiting.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
