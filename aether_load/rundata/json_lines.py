"""Write and read files of JSON lines, each line with a checksum of its own."""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import Generic, TypeVar

import msgspec

from aether_load.bounded import read_own

T = TypeVar("T")

_MOST_BYTES = 4 << 30
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

    `expected` is how many lines it had when its run ended, None where that did not end in order.
    """
    values: list[T] = []
    damage = []
    try:
        content = read_own(path, _MOST_BYTES)
    except FileNotFoundError:
        content = b""
    except OSError as error:
        return Lines([], damage=(f"{path.name} cannot be read: {error.strerror}",))
    *lines, tail = content.split(b"\n")
    decoder = msgspec.json.Decoder(kind)
    for number, line in enumerate(lines, 1):
        try:
            values.append(_decode(line, decoder))
        except ValueError as error:
            damage.append(f"{path.name} has a damaged line {number}: {error}")
    if tail and _is_whole(tail[:-1]):
        damage.append(f"{path.name} has a damaged line {len(lines) + 1}: its end is not as it was written")
    elif expected is not None and len(lines) != expected:
        damage.append(f"{path.name} has {len(lines)} lines, and had {expected} when the run ended")
    return Lines(values, bool(tail) and not damage, tuple(damage))


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
