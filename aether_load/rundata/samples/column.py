"""Hold a column of samples, in memory or, of a very large run, in a file that the system may write out."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aether_load.rundata.records.record_format import ABSENT


class Column:
    """An array that grows at its end where it lies: joining pieces would need the memory twice.

    With a `folder` its values lie in a file there that has no name and goes with the process: what of it is not in use
    need not be in memory.
    """

    def __init__(self, kind: type, room: int = 0, folder: Path | None = None) -> None:
        self._folder = folder
        self._values = _room(np.dtype(kind), room, folder)
        self._length = 0

    def append(self, values: NDArray[Any]) -> None:
        """Append some values."""
        length = self._length + len(values)
        if length > len(self._values):
            self._resize(max(length, len(self._values) * 5 // 4))
        self._values[self._length : length] = values
        self._length = length

    def __len__(self) -> int:
        return self._length

    def view(self) -> NDArray[Any]:
        """Return the values so far."""
        return self._values[: self._length]

    def thin(self, width: int) -> None:
        """Keep every second of the rows of `width` values."""
        kept = self.view().reshape(-1, width)[::2].ravel()
        self._values[: len(kept)] = kept
        self._length = len(kept)

    def widen(self, width: int, wider: int) -> None:
        """Make each row `wider`; the values that are new are `ABSENT`."""
        values = np.full(self._length // width * wider, ABSENT, self._values.dtype)
        values.reshape(-1, wider)[:, :width] = self.view().reshape(-1, width)
        self._values, self._length = values, len(values)

    def finish(self) -> NDArray[Any]:
        """Return all values; nothing can be added afterwards."""
        if self._values.flags.owndata:
            self._resize(self._length)
        self._values.flags.writeable = False
        return self.view()

    def _resize(self, room: int) -> None:
        if self._values.flags.owndata:
            self._values.resize(room, refcheck=False)
        else:
            grown = _room(self._values.dtype, room, self._folder)
            grown[: self._length] = self.view()
            self._values = grown


def _room(kind: np.dtype[Any], room: int, folder: Path | None) -> NDArray[Any]:
    """Return an array in a file of its own; in memory without a folder, and where it takes no such file."""
    if folder is None:
        return np.empty(room, kind)
    size = max(1, room) * kind.itemsize
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            # All of it now: a disk that is full later would end the process.
            os.posix_fallocate(file.fileno(), 0, size)
            return np.frombuffer(mmap.mmap(file.fileno(), size), kind, room)
    except (OSError, AttributeError):
        # A full disk, a folder that takes no file, or a system that cannot reserve room.
        return np.empty(room, kind)
