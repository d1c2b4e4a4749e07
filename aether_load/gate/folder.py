"""Keep what a gate needs while it goes on in a temporary folder that ends with it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aether_load.gate.signals import undisturbed

_PREFIX = "aether-load-gate-"
_LOCK = "lock"


@contextmanager
def gate_folder() -> Iterator[Path]:
    """Yield a folder that is removed in the end; those of gates that were killed by force are removed first.

    Whose lock is held belongs to a gate that goes on: the system lets go of it however a process ends.
    """
    _remove_left_behind()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    lock = os.open(folder / f".{_LOCK}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    # It gets its name when it is held, so that nobody takes a gate that begins for one that has ended.
    (folder / f".{_LOCK}").rename(folder / _LOCK)
    try:
        yield folder
    finally:
        with undisturbed():
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _remove_left_behind() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)
