"""Warn of what is missing from the frames of a run."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path


class RunDataWarning(UserWarning):
    """A run's folder is not whole: what is sound in it was read, and the warning says what was not."""


def warn_of(folder: Path, torn: Iterable[str], damage: Iterable[str]) -> None:
    """Warn of files of a folder whose end is cut off, and of what is not as it was written."""
    for name in dict.fromkeys(torn):
        warn(folder, f"the end of {name} is missing or cut off; all that is whole was read")
    for found in dict.fromkeys(damage):
        warn(folder, f"{found}; the rest was read")


def warn(folder: Path, what: str) -> None:
    """Warn of one thing."""
    # The caller's own line is four frames up, but a warning is shown once a text, not once a line.
    warnings.warn(f"{folder}: {what}.", RunDataWarning, stacklevel=4)
