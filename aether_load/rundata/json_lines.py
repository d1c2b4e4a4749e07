"""Write and read files of JSON lines, each line with a checksum of its own."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from aether_load.bounded import open_own

T = TypeVar("T")

_MOST_LINE_BYTES = 16 << 20
_MOST_LINES = 3_000_000
_MOST_DAMAGED = 100
_MARK = b',"crc32":"'
_TAIL_BYTES = len(_MARK) + 8 + len(b'"}')


def encode_line(value: msgspec.Struct) -> bytes:
    """Return a value as one line: a JSON object whose last key is the CRC-32 of the object without it."""
    text = msgspec.json.encode(value)
    return b'%s%s%08x"}\n' % (text[:-1], _MARK, zlib.crc32(text))


class LineFile:
    """Lines wait in memory until `write_out`; what the disk refuses goes on waiting, half a line included."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._waiting = bytearray()
        self.lines_total = 0

    def append(self, value: msgspec.Struct) -> None:
        """Add a value as a line to what waits."""
        self._waiting += encode_line(value)
        self.lines_total += 1

    def write_out(self) -> None:
        """Hand what waits to the operating system; raises OSError, with nothing lost, when it refuses."""
        while self._waiting:
            written = os.write(self._file, self._waiting)
            del self._waiting[:written]

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


class Lines(msgspec.Struct, Generic[T], frozen=True):
    """The values of a file; `torn` when a crash cut off its last line, `damage` a sentence for each damaged line."""

    values: list[T]
    torn: bool = False
    damage: tuple[str, ...] = ()


def read_lines(path: Path, kind: type[T], expected: int | None = None) -> Lines[T]:
    """Return what a file holds; a missing file is empty.

    `expected` is how many lines it had when its run ended, None where that did not end in order. Reading stops at a
    line of more than 16 MB, after 100 damaged lines, and after three million lines.
    """
    values: list[T] = []
    damage: list[str] = []
    tail = b""
    decoder = msgspec.json.Decoder(kind)
    try:
        with open_own(path) as file:
            for number, line in enumerate(iter(lambda: file.readline(_MOST_LINE_BYTES), b""), 1):
                if (more := _why_no_more(number, len(damage), expected)) is not None:
                    return Lines(values, damage=(*damage, f"{path.name} has {more}"))
                if not line.endswith(b"\n"):
                    tail = line
                    break
                try:
                    values.append(_decode(line[:-1], decoder))
                except ValueError as error:
                    damage.append(f"{path.name} has a damaged line {number}: {error}")
    except FileNotFoundError:
        pass
    except OSError as error:
        return Lines([], damage=(f"{path.name} cannot be read: {error.strerror}",))
    lines_total = len(values) + len(damage)
    if len(tail) == _MOST_LINE_BYTES:
        damage.append(f"{path.name} has a damaged line {lines_total + 1}: it is longer than any that a run writes")
    elif tail and _is_whole(tail[:-1]):
        damage.append(f"{path.name} has a damaged line {lines_total + 1}: its end is not as it was written")
    elif expected is not None and lines_total != expected:
        damage.append(f"{path.name} has {lines_total} lines, and had {expected} when the run ended")
    return Lines(values, bool(tail) and not damage, tuple(damage))


def _why_no_more(number: int, damaged_total: int, expected: int | None) -> str | None:
    """Return why line `number` is not read, or None."""
    if damaged_total == _MOST_DAMAGED:
        return f"more lines, which are not read after {damaged_total} damaged ones"
    if expected is not None and number > expected + 1:
        return f"more than the {expected} lines that it had when the run ended"
    return f"more than {_MOST_LINES} lines, which are not read" if number > _MOST_LINES else None


def _is_whole(line: bytes) -> bool:
    text, tail = line[:-_TAIL_BYTES] + b"}", line[-_TAIL_BYTES:]
    return tail == b'%s%08x"}' % (_MARK, zlib.crc32(text))


def _decode(line: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Return a line's value; raises ValueError for a line that is not as it was written."""
    if not _is_whole(line):
        raise ValueError("its checksum is wrong")
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"it is not what this release writes ({error})") from None
