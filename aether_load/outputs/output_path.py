"""Where --output may point: a file that can be written once the run is over."""

from __future__ import annotations

import os
from pathlib import Path

from aether_load.errors import UsageError


def check_output(path: Path, option: str = "--output") -> None:
    """Make the folder of an output file; raise UsageError, before any load, when the file could not be written."""
    if path.is_dir():
        raise UsageError(f"{option} {path}: that is a folder; give the name of a file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{option} {path}: the folder {path.parent} cannot be made: {error.strerror}.") from None
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"{option} {path}: the folder {path.parent} cannot be written to.")
