"""Read the whole blocks of a record file, and name what is not whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import xxhash

from aether_load.errors import UsageError
from aether_load.rundata.records.record_format import (
    BLOCK_HEAD_BYTES,
    BLOCK_MAGIC,
    CHECKSUM,
    FILE_MAGIC,
    FILE_PREFIX,
    VERSION,
    BlockHead,
    read_block_head,
)

_MOST_HEADER_BYTES = 1 << 20
_SEARCH_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20


class BlockSequence:
    """Judges which blocks of a file are to be read: `damage` has a sentence for what is wrong, by its rows."""

    def __init__(self, name: str) -> None:
        self.damage: list[str] = []
        self._name = name
        self._next_block = 0
        self._next_row = 0
        self._has_end = False

    def accepts(self, head: BlockHead, *, is_whole: bool) -> bool:
        """Tell whether a block is to be read; say what is wrong if not, and what is missing before it."""
        if head.number < self._next_block:
            self.say(f"has {rows_text(head.first_row, head.rows)} twice; one copy was read")
            return False
        if head.number > self._next_block:
            missing = rows_text(self._next_row, head.first_row - self._next_row)
            self.say(f"lacks {missing}, or they are not as they were written")
        if not is_whole:
            self.say(f"has {rows_text(head.first_row, head.rows)} not as they were written; they were refused")
        self._next_block = head.number + 1
        self._next_row = head.first_row + head.rows
        self._has_end |= is_whole and not head.body_bytes
        return is_whole

    def end(self, expected: int, *, needs_end: bool) -> None:
        """Say what is missing, or too much, of the rows that the file had when its run ended."""
        if self._next_row > expected:
            self.say(f"has {self._next_row} rows, and had {expected} when the run ended")
        elif self._next_row < expected:
            self.say(f"lacks {rows_text(self._next_row, expected - self._next_row)}, at its end")
        elif needs_end and not self._has_end:
            self.say(f"lacks its end, behind {self.so_far}")

    @property
    def so_far(self) -> str:
        """Return what the file was read up to."""
        return f"row {self._next_row - 1}" if self._next_row else "its header"

    def say(self, what: str) -> None:
        """Note what is wrong."""
        self.damage.append(f"{self._name} {what}")


class BlockReader:
    """Yields each whole block; `rows`, `torn` and `damage` are complete when the file has been read to its end.

    A block that a crash cut off at the file's end is `torn`. Bytes that are not as they were written, and blocks that
    are missing, are `damage`: a sentence each that names the rows. The blocks around them are read. `expected` is how
    many rows the file had when its run ended, None where it did not end in order; then nothing can be missing at its
    end. One that is `cut_off`, because its worker was lost, has no end. With `follow` the end is not judged, and the
    next iteration goes on where this one ended.
    """

    def __init__(self, path: Path, expected: int | None = None, *, cut_off: bool = False, follow: bool = False) -> None:
        self.path = path
        self.rows = 0
        self.torn = False
        self._expected = expected
        self._cut_off = cut_off
        self._follow = follow
        self._offset = 0
        self._sequence = BlockSequence(path.name)

    @property
    def damage(self) -> list[str]:
        """Return a sentence for everything that is not as it was written, or is missing."""
        return self._sequence.damage

    def __iter__(self) -> Iterator[tuple[BlockHead, memoryview]]:
        """Yield what has been written since the last time; raises UsageError for another version of the format."""
        if self.path.is_file():
            with self.path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                if self._offset or self._read_file_header(file, size):
                    yield from self._blocks(file, size)
        else:
            self.torn = True
        if self._follow:
            self.torn = False
        elif self._expected is not None:
            needs_end = not self._cut_off and (self._expected > 0 or self.path.is_file())
            self._sequence.end(self._expected, needs_end=needs_end)
            self.torn = False

    def _read_file_header(self, file: BinaryIO, size: int) -> bool:
        """Read the file's header; False when it is cut off. The blocks of a file whose header is damaged are read."""
        prefix = file.read(FILE_PREFIX.size)
        if len(prefix) < FILE_PREFIX.size:
            self.torn = True
            return False
        magic, length = FILE_PREFIX.unpack(prefix)
        rest = file.read(min(length, _MOST_HEADER_BYTES) + CHECKSUM.size)
        if magic == FILE_MAGIC and len(rest) == length + CHECKSUM.size:
            described, (checksum,) = rest[:length], CHECKSUM.unpack(rest[length:])
            if xxhash.xxh3_64_intdigest(prefix + described) == checksum:
                version = _version_in(described)
                if version is not None and version != VERSION:
                    raise UsageError(
                        f"{self.path} has version {version} of the record format; this aether-load reads {VERSION}. "
                        "Use the release that wrote it, or a newer one."
                    )
                if version is not None:
                    self._offset = len(prefix) + len(rest)
                    return True
        first = _next_head(file, 0, size)
        if first is None and magic == FILE_MAGIC and len(rest) < length + CHECKSUM.size:
            self.torn = True
            return False
        self._sequence.say("has a header that is not as it was written")
        self._offset = size if first is None else first
        return True

    def _blocks(self, file: BinaryIO, size: int) -> Iterator[tuple[BlockHead, memoryview]]:
        pieces = _Pieces(file)
        while self._offset < size:
            if size - self._offset < BLOCK_HEAD_BYTES:
                self.torn = True
                return
            head = read_block_head(pieces.at(self._offset, BLOCK_HEAD_BYTES))
            if head is None:
                found = _next_head(file, self._offset + 1, size)
                if found is None:
                    if not self._follow:
                        self._sequence.say(f"is not as it was written behind {self._sequence.so_far}")
                    return
                self._offset = found
                continue
            length = head.body_bytes
            end = self._offset + BLOCK_HEAD_BYTES + length
            if end > size:
                self.torn = True
                return
            body = pieces.at(self._offset + BLOCK_HEAD_BYTES, length)
            self._offset = end
            if self._sequence.accepts(head, is_whole=xxhash.xxh3_64_intdigest(body) == head.checksum):
                self.rows += head.rows
                yield head, body


def _version_in(described: bytes) -> int | None:
    """Return the version that a file's header names, or None where it names none."""
    try:
        version = json.loads(described)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, int) else None


class _Pieces:
    """Gives the bytes of a file, which it reads in pieces that hold many blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._begins = 0
        self._piece = memoryview(b"")

    def at(self, offset: int, length: int) -> memoryview:
        """Return the bytes from `offset` on, as they were when they were read."""
        start = offset - self._begins
        if start < 0 or start + length > len(self._piece):
            self._file.seek(offset)
            self._piece = memoryview(self._file.read(max(length, _PIECE_BYTES)))
            self._begins, start = offset, 0
        return self._piece[start : start + length]


def _next_head(file: BinaryIO, at: int, size: int) -> int | None:
    """Return where the first block's header from `at` on lies, or None."""
    while at < size:
        file.seek(at)
        piece = file.read(_SEARCH_BYTES)
        found = piece.find(BLOCK_MAGIC)
        while found != -1:
            if _head_at(file, at + found) is not None:
                return at + found
            found = piece.find(BLOCK_MAGIC, found + 1)
        at += max(1, len(piece) - len(BLOCK_MAGIC) + 1)
    return None


def _head_at(file: BinaryIO, at: int) -> BlockHead | None:
    """Return the header that lies at `at`, or None."""
    file.seek(at)
    return read_block_head(memoryview(file.read(BLOCK_HEAD_BYTES)))


def rows_text(first: int, count: int) -> str:
    """Return rows as they are said, or the readings that lie between two rows."""
    return f"rows {first} to {first + count - 1}" if count > 0 else f"readings before row {first}"
