"""Read files of any kind with a bound, so that no file fills the memory."""

from __future__ import annotations

import errno
import stat
from pathlib import Path
from typing import BinaryIO

MEGABYTE = 1 << 20


def read_bounded(path: Path, most_bytes: int) -> bytes:
    """Return what a file, a pipe or a device holds; raises OSError, with a sentence in `strerror`, for more than that.

    A size is not looked up, because pipes and devices have none.
    """
    parts: list[bytes] = []
    left = most_bytes
    with path.open("rb") as file:
        # Piece by piece: a single read would take the room of all that is allowed.
        while part := file.read(MEGABYTE):
            parts.append(part)
            left -= len(part)
            if left < 0:
                most = size_text(most_bytes)
                raise OSError(errno.EFBIG, f"it is larger than {most}, the most that is read", str(path))
    return b"".join(parts)


def open_own(path: Path) -> BinaryIO:
    """Open a regular file of a run's folder to read; raises OSError for a link, which may lead out of it."""
    _check_own(path)
    return path.open("rb")


def read_own(path: Path, most_bytes: int) -> bytes:
    """Return what a regular file of a run's folder holds; raises OSError as `open_own` and `read_bounded` do."""
    _check_own(path)
    return read_bounded(path, most_bytes)


def _check_own(path: Path) -> None:
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))


def size_text(size: int) -> str:
    """Return a size in bytes as it is said, in MB or GB."""
    return f"{size / (MEGABYTE << 10):.3g} GB" if size >= MEGABYTE << 10 else f"{size / MEGABYTE:.3g} MB"
