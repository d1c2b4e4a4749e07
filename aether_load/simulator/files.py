"""Read the simulator's input files."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_LIMIT = 64 * 1024 * 1024


def read_lines(path: Path) -> list[str]:
    """Return a UTF-8 file's lines; raises OSError, also for a file that is too large, and UnicodeDecodeError."""
    with path.open("rb") as file:
        content = file.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
    return content.decode().split("\n")
