"""A file that grows by whole pieces, whatever the disk says."""

from __future__ import annotations

import os
from pathlib import Path


class GrowingFile:
    """What is to be written waits in `waiting`; the file always ends at a whole piece unless cut by force.

    When writing fails (a full disk), the file is cut back to its last whole piece and the bytes wait for the next try.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._length = 0
        self.waiting = bytearray()

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        written = 0
        try:
            while written < len(self.waiting):
                written += os.write(self._file, memoryview(self.waiting)[written:])
        except OSError:
            os.ftruncate(self._file, self._length)
            os.lseek(self._file, self._length, os.SEEK_SET)
            raise
        self._length += written
        self.waiting.clear()

    def rescue(self, path: Path) -> None:
        """Write what the file's own disk refused to a file elsewhere, as this one's continuation in bytes."""
        path.write_bytes(self.waiting)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
