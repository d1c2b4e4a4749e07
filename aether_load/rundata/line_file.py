"""A file of JSON lines that grows while the load runs."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec


class LineFile:
    """Lines wait in memory until `write_out`; what the disk refuses goes on waiting, half a line included."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._waiting = bytearray()

    def append(self, value: msgspec.Struct) -> None:
        """Add a value as a line to what waits."""
        self._waiting += msgspec.json.encode(value) + b"\n"

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        while self._waiting:
            written = os.write(self._file, self._waiting)
            del self._waiting[:written]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
