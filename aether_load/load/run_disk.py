"""Write a run's records to a disk that may be full, and lose none of them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

import gevent

from aether_load.load.run_ending import EndReason, RunEnding
from aether_load.load.run_records import RecordSink
from aether_load.rundata.folder import RunFolder

WRITE_INTERVAL_S = 0.25
_LOOK_INTERVAL_S = 1.0
_BALLAST_BYTES = 4 << 20


class RunDisk:
    """The disk that a run's folder is on; a ballast keeps some room on it until it is full, which ends the run."""

    def __init__(self, folder: RunFolder, records: RecordSink, ending: RunEnding) -> None:
        self._folder = folder
        self._records = records
        self._ending = ending
        self._refusal: str | None = None
        self.rescued: list[str] = []
        """What was refused at the end, and where it lies: sentences."""
        try:
            folder.ballast.write_bytes(bytes(_BALLAST_BYTES))
        except OSError:
            self._drop_ballast()

    def flush(self) -> None:
        """Hand everything recorded so far to the operating system; what is refused waits in memory for the next try."""
        self.write(self._records.write_out)

    def flush_for_ever(self) -> None:
        """Flush four times a second, and end the run where its folder is gone."""
        looked_at = monotonic()
        while True:
            gevent.sleep(WRITE_INTERVAL_S)
            self.flush()
            if monotonic() >= looked_at + _LOOK_INTERVAL_S:
                looked_at = monotonic()
                if self._folder.is_gone:
                    self._ending.end(EndReason.FOLDER_GONE, 0)

    def write(self, write: Callable[[], None]) -> OSError | None:
        """Write, if need be once more without the ballast; return the error that remains, if any."""
        try:
            write()
        except OSError as refusal:
            self.refuse(refusal.strerror or str(refusal))
            try:
                write()
            except OSError as error:
                return error
        return None

    def refuse(self, reason: str) -> None:
        """Make room for the last seconds and for the results, and end the run: the disk takes no more."""
        self._drop_ballast()
        self._refusal = self._refusal or reason
        self._ending.end(EndReason.FOLDER_GONE if self._folder.is_gone else EndReason.DISK_FULL)

    def close(self) -> list[str]:
        """Write what is left, here or elsewhere; return what a reader of the results has to know."""
        self._records.end()
        error = self.write(self._records.write_out)
        self._drop_ballast()
        if error is not None:
            self._rescue(error)
        self._records.close()
        if self._refusal is None:
            return self.rescued
        return [*self.rescued, f"The disk refused to take more ({self._refusal}), so the run was ended early."]

    def _drop_ballast(self) -> None:
        with suppress(OSError):
            self._folder.ballast.unlink(missing_ok=True)

    def _rescue(self, error: OSError) -> None:
        path = Path(tempfile.gettempdir()) / f"{self._folder.path.name}-records-tail.bin"
        refused = f"The disk refused the last records ({error.strerror}); they"
        try:
            self.rescued += [
                f"{refused} lie in {lies_in}: append that file to {belongs_to}."
                for lies_in, belongs_to in self._records.rescue(path)
            ]
        except OSError:
            # A part of them would be taken for all.
            with suppress(OSError):
                path.unlink(missing_ok=True)
            self.rescued.append(f"{refused} are lost.")
