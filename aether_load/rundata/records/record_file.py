"""Write blocks of records to a file that only grows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from aether_load.rundata.records.record_format import file_header


class RecordFile:
    """A file that always ends at a whole block, unless the process is killed while it writes one.

    A write that the disk refuses or takes in part only is undone, so that it can be tried again.
    """

    def __init__(self, path: Path) -> None:
        """Create the file and write its header; raises OSError where there is no room for that."""
        self.path = path
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
        self._length = 0
        self.write([file_header()])

    def write(self, pieces: Sequence[bytes | bytearray]) -> None:
        """Append some pieces as one; raises OSError, with the file as it was, when the disk refuses them."""
        total = sum(map(len, pieces))
        try:
            written = os.writev(self._file, pieces)
            while written < total:
                rest = b"".join(pieces)[written:]
                written += os.write(self._file, rest)
        except OSError:
            os.ftruncate(self._file, self._length)
            os.lseek(self._file, self._length, os.SEEK_SET)
            raise
        self._length += total

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
