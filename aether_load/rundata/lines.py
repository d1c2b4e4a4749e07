"""Files of JSON lines, read back as far as they were written."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")


def read_lines(path: Path, kind: type[T]) -> list[T]:
    """Return the values of a file that grew line by line; a line that was cut off is left out, a missing file empty."""
    if not path.is_file():
        return []
    decoder = msgspec.json.Decoder(kind)
    values = []
    for line in path.read_bytes().split(b"\n"):
        try:
            values.append(decoder.decode(line))
        except msgspec.MsgspecError:
            continue
    return values
