"""Find the line of a program's source that a node comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

_MOST_BYTES = 16 << 20
_LONGEST_STATEMENT = 10_000


class Source:
    """A program's source, if it is there.

    Compilers have written two things as `line` of a location: a line's number, and the statement's offset in bytes. The
    source tells which: there a statement assigns to the node's id, or calls its function.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        """Read the first of the files that is there."""
        self._text: bytes | None = None
        for path in paths:
            # A path with a null character is a ValueError.
            with suppress(OSError, ValueError):
                if path.is_file() and path.stat().st_size <= _MOST_BYTES:
                    self._text = path.read_bytes()
                    return

    def line_of(self, location: Mapping[str, Any] | None, node_id: str, function: str | None) -> int | None:
        """Return the number of the line of a location, from 1, or None where the source does not bear it out."""
        at = location.get("line") if location else None
        if not isinstance(at, int) or isinstance(at, bool) or at < 0:
            return None
        if self._text is None:
            # Offsets come without a column.
            return at if location and location.get("column") else None
        lines = self._text.splitlines()
        if 0 < at <= len(lines) and _begins_call(lines[at - 1], node_id, function):
            return at
        statement = self._text[at : at + _LONGEST_STATEMENT].split(b"\n")[0]
        return self._text.count(b"\n", 0, at) + 1 if _begins_call(statement, node_id, function) else None


def _begins_call(line: bytes, node_id: str, function: str | None) -> bool:
    """Tell whether a line of source begins the statement that makes a node."""
    names = re.escape(node_id.encode()), re.escape((function or "").encode())
    called = rb"|(?<!fn )\b" + names[1] + rb"\s*\(" if function else b""
    return re.search(rb"\blet\s+" + names[0] + rb"\b" + called, line) is not None
