"""Write a value in one of its forms where an option such as --output says: a file, a pipe, or standard output."""

from __future__ import annotations

import errno
import io
import os
import stat
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TextIO, TypeVar

from aether_load.errors import UsageError
from aether_load.rundata.folder import write_whole
from aether_load.text import json_document

T = TypeVar("T")

_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


def write_json(value: object, out: TextIO) -> None:
    """Write a value as JSON."""
    out.write(json_document(value))


def written(write: Callable[[T, TextIO], None], value: T) -> str:
    """Return what a function writes of a value."""
    out = io.StringIO()
    write(value, out)
    return out.getvalue()


def is_standard_output(path: Path | str | None) -> bool:
    """Tell whether a path names standard output, as `-` does."""
    return path is not None and str(path) in _STANDARD_OUTPUT


def check_output(path: Path, option: str = "--output") -> None:
    """Make the folder of an output file; raise UsageError, before any load, when the file could not be written."""
    if is_standard_output(path):
        return
    try:
        if path.is_dir():
            raise UsageError(f"{option} {path}: that is a folder; give the name of a file.")
        if _is_written_in_place(path):
            if not os.access(path, os.W_OK):
                raise UsageError(f"{option} {path}: it cannot be written to.")
            return
    except OSError as error:
        raise UsageError(f"{option} {path}: it cannot be written to: {error.strerror}.") from None
    # A link is followed, so that what it leads to is written and the link stays.
    folder = Path(os.path.realpath(path)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {path}: the folder {folder} cannot be made: {error.strerror}.") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {path}: the folder {folder} cannot be written to.")


def checked_outputs(asked: Mapping[str, Path | None]) -> dict[str, Path]:
    """Return the output files that were asked for, by form; raise UsageError as `check_output` does.

    Each form has an option of its name, but for json, whose option is --output. One alone may go to standard output.
    """
    options = {form: "--output" if form == "json" else f"--{form}" for form in asked}
    files = {form: path for form, path in asked.items() if path is not None}
    if sum(map(is_standard_output, files.values())) > 1:
        *first, last = options.values()
        raise UsageError(f"Only one of {', '.join(first)} and {last} can be - (standard output).")
    for form, path in files.items():
        check_output(path, options[form])
    return files


def write_output(path: Path, content: bytes) -> None:
    """Replace a file in one step, the one that a link leads to; write what is no regular file in place.

    Raises OSError, for a pipe that nobody reads too.
    """
    if is_standard_output(path):
        sys.stdout.write(content.decode())
        sys.stdout.flush()
    elif _is_written_in_place(path):
        _write_in_place(path, content)
    else:
        write_whole(Path(os.path.realpath(path)), content)


def _is_written_in_place(path: Path) -> bool:
    """Tell whether there is something that is no regular file, such as a pipe or a device; raises OSError."""
    try:
        return not stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _write_in_place(path: Path, content: bytes) -> None:
    try:
        # Without the flag this waited for a reader without end.
        file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads from it", str(path)) from None
        raise
    try:
        os.set_blocking(file, True)
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)
