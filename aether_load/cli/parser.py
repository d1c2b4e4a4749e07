"""Parse a command line; a mistake in it is one sentence."""

from __future__ import annotations

import argparse
from typing import NoReturn

from aether_load.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser that raises UsageError instead of printing its whole usage."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the mistake and where to read more."""
        raise UsageError(f"{message}; see {self.prog} --help.")
