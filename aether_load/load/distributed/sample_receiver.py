"""The samples of a run's workers, written as they come: a file a worker, and one of all when the run ends."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from aether_load.rundata.growing_file import GrowingFile
from aether_load.rundata.sample_reader import compact

if TYPE_CHECKING:
    from aether_load.rundata.folder import RunFolder
    from aether_load.rundata.manifest import Manifest


class SampleReceiver:
    """Parcels in, bytes out: nothing of them is looked into, so that a master can take what many workers send.

    What the disk refuses waits here; it is confirmed only when it is written, and until then no worker sends more
    than a bounded number of bytes.
    """

    def __init__(self, folder: RunFolder, manifest: Manifest) -> None:
        self._folder = folder
        self._manifest = manifest
        self._files: dict[int, _WorkerFile] = {}

    def take(self, worker: int, number: int, data: bytes) -> int | None:
        """Take a worker's parcel; return the number up to which all is written, None where the disk refuses.

        A parcel that has been here already is left out.
        """
        found = self._files.get(worker)
        if found is None:
            found = self._files[worker] = _WorkerFile(self._folder.samples_of(worker))
        found.take(number, data)
        with suppress(OSError):
            found.file.write_out()
            return found.taken
        return None

    def written(self) -> dict[int, int]:
        """Return of each worker the number of the parcel up to which all is written."""
        return {worker: found.taken for worker, found in self._files.items() if not found.waits}

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        for found in self._files.values():
            found.file.write_out()

    def close(self) -> None:
        """Write what still waits, and close the files; raises OSError."""
        try:
            self.write_out()
        finally:
            for found in self._files.values():
                found.file.close()

    def rescue(self, path: Path) -> list[tuple[Path, str]]:
        """Write what the disk refused to files elsewhere, one a worker; return each, and whose tail it is."""
        rescued = []
        for worker, found in self._files.items():
            if found.waits:
                elsewhere = path.with_stem(f"{path.stem}-{worker}")
                found.file.rescue(elsewhere)
                rescued.append((elsewhere, self._folder.samples_of(worker).name))
        return rescued

    def compact(self) -> None:
        """Write all workers' samples as one file, by the run's clock; one without rows where none came in."""
        parts = record_parts(self._folder, self._manifest)
        compact([part for part in parts if part.path != self._folder.samples], self._folder.samples)


class _WorkerFile:
    """One worker's stream, and the number of the last parcel of it."""

    def __init__(self, path: Path) -> None:
        self.file = GrowingFile(path)
        self.taken = -1

    @property
    def waits(self) -> bool:
        """Tell whether something is not written."""
        return bool(self.file.waiting)

    def take(self, number: int, data: bytes) -> None:
        """Take a parcel, unless it was here before."""
        if number == self.taken + 1:
            self.file.waiting += data
            self.taken = number
