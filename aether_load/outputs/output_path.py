"""Where --output may point: a file that can be written once the run is over."""

from __future__ import annotations

import os
from pathlib import Path

from aether_load.errors import UsageError


def check_output(path: Path) -> None:
    """Raise UsageError, before any load, for an --output that could not be written."""
    if path.is_dir():
        raise UsageError(f"--output {path}: that is a folder; give the name of a file.")
    if not path.parent.is_dir():
        raise UsageError(f"--output {path}: there is no folder {path.parent}; make it first.")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--output {path}: the folder {path.parent} cannot be written to.")
