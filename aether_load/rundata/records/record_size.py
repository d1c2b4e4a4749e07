"""Bound the record files that are read, since a run's folder may be somebody else's."""

from __future__ import annotations

import stat
from pathlib import Path

from aether_load.bounded import size_text
from aether_load.errors import ResultsError
from aether_load.rundata.records.record_format import LEVEL, NODE, REQUEST

MOST_BYTES = 64 << 30
"""More than half a billion requests take."""
_BESIDE_ROWS = 256 << 20
"""What texts, holds and blocks' headers may take beside the requests."""
_TEXT_BYTES = 4096
"""What each request may add to them, with nodes of other DAGs."""
_BLOCK = 512
"""The unit of `st_blocks`, whatever the file system's own is."""
_MOST_COMPRESSED = 64


def check_size(path: Path, rows: int | None, nodes: int) -> None:
    """Raise ResultsError where a record file is larger than `rows` requests of `nodes` nodes can be.

    `rows` is None where the run did not end in order. A file of holes is refused too: what lies in them is no record.
    """
    try:
        found = path.lstat()
    except OSError:
        return
    if not stat.S_ISREG(found.st_mode):
        raise ResultsError(f"{path} cannot be read: it is no regular file. Replace it by the file that the run wrote.")
    size = found.st_size
    most = most_bytes(rows, nodes)
    if size > most:
        claim = "" if rows is None else f" for the {rows} rows that run.json names"
        raise ResultsError(
            f"{path} has {size_text(size)}; at most {size_text(most)} are read{claim}. It is not what the run wrote."
        )
    if size > _BESIDE_ROWS and found.st_blocks * _BLOCK * _MOST_COMPRESSED < size:
        raise ResultsError(
            f"{path} has {size_text(size)}, of which the disk holds {size_text(found.st_blocks * _BLOCK)}. It is not "
            "what the run wrote."
        )


def most_bytes(rows: int | None, nodes: int) -> int:
    """Return the most that a record file of so many requests takes."""
    if rows is None:
        return MOST_BYTES
    a_row = REQUEST.size + nodes * (NODE.size + LEVEL.size) + _TEXT_BYTES
    return min(MOST_BYTES, _BESIDE_ROWS + max(0, rows) * a_row)
