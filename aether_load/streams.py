"""Keep standard output and standard error usable, whatever they lead to: what nobody takes is dropped."""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any

_OUT, _ERR = 1, 2


class ForgivingFile(io.RawIOBase):
    """A descriptor that takes everything: after the first refusal what is written to it goes nowhere.

    A reader that has gone away, a full disk or a closed descriptor is no reason for a run to end otherwise than it
    would. `refusal` is the error that was met, None while there was none.
    """

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.name = name
        self.refusal: OSError | None = None

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Tell whether it is a terminal."""
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        """Tell that it can be written to."""
        return True

    def write(self, data: Any) -> int:
        """Write all of `data`, or drop it."""
        left = memoryview(data).cast("B")
        size = len(left)
        while left and self.refusal is None:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:
                # Whoever started this process may have made its pipe one that does not block.
                select.select([], [self._descriptor], [])
            except OSError as error:
                self._refuse(error)
        return size

    def _refuse(self, error: OSError) -> None:
        self.refusal = error
        if self._descriptor == _OUT and error.errno != errno.EPIPE:
            sys.stderr.write(f"aether-load: standard output takes no more ({error.strerror}).\n")


def mend_streams() -> None:
    """Have both outputs take every text, and never fail; to be called where a process of ours begins."""
    for descriptor in (0, _OUT, _ERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # Else the next file or socket would get its number, and what is printed by a child.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Before the other: it says what is wrong with that.
    sys.stderr = _mended(sys.stderr, _ERR, "<stderr>")
    sys.stdout = _mended(sys.stdout, _OUT, "<stdout>")


def refusal_of_output() -> OSError | None:
    """Return why standard output does not hold all that was written to it, None where it does.

    A reader that has seen enough is no such reason.
    """
    raw = _raw(sys.stdout)
    refusal = raw.refusal if isinstance(raw, ForgivingFile) else None
    return None if refusal is None or refusal.errno == errno.EPIPE else refusal


def _mended(stream: Any, descriptor: int, name: str) -> Any:
    if stream is None:
        # It was closed when Python started.
        return open(os.devnull, "w", encoding="utf-8", errors="replace")  # noqa: PTH123 -- as long as the process
    raw = _raw(stream)
    if not isinstance(raw, io.FileIO) or raw.fileno() != descriptor:
        # Somebody has put another one in its place.
        return stream
    stream.flush()
    file = ForgivingFile(descriptor, name)
    is_buffered = raw is not stream.buffer
    return io.TextIOWrapper(
        io.BufferedWriter(file) if is_buffered else file,
        encoding=stream.encoding,
        # A file's name may have bytes that are no text, and a terminal may not have every character.
        errors="backslashreplace",
        line_buffering=stream.line_buffering or descriptor == _ERR,
        write_through=not is_buffered,
    )


def _raw(stream: Any) -> Any:
    """Return what is written to in the end: a stream of `python -u` has no buffer before it."""
    buffer = getattr(stream, "buffer", None)
    return getattr(buffer, "raw", buffer)
