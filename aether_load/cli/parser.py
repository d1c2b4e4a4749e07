"""Parse a command line; a mistake in it is one sentence."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from aether_load.errors import UsageError
from aether_load.scenario.command_line.secrets import hidden_mistake


class Formatter(argparse.HelpFormatter):
    """Help with a line an option on a terminal of 100 columns or more."""

    def __init__(self, prog: str, width: int | None = None) -> None:
        super().__init__(prog, max_help_position=30, width=width)
        # argparse forgets how far the names of commands are indented.
        self._action_max_length = 14


class Parser(argparse.ArgumentParser):
    """A parser that takes whole names of options only, and raises UsageError instead of printing its whole usage."""

    def __init__(self, **options: Any) -> None:
        """Take the options of `argparse.ArgumentParser`."""
        super().__init__(**{"formatter_class": Formatter, **options, "allow_abbrev": False})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError with the mistake and where to read more."""
        raise UsageError(f"{hidden_mistake(message)}; see {self.prog} --help.")
