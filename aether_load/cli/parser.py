"""Parse a command line; a mistake in it is one sentence."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from aether_load.errors import UsageError
from aether_load.scenario.command_line import hidden_mistake


class Parser(argparse.ArgumentParser):
    """A parser that takes whole names of options only, and raises UsageError instead of printing its whole usage."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `argparse.ArgumentParser`."""
        super().__init__(**{**options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the mistake and where to read more."""
        raise UsageError(f"{hidden_mistake(message)}; see {self.prog} --help.")
