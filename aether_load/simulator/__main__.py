"""Run the command `python -m aether_load.simulator`."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from aether_load.errors import AetherLoadError, ExitCode, UsageError
from aether_load.simulator.cli import add_arguments, run


class _Parser(argparse.ArgumentParser):
    """A parser that raises UsageError with one sentence."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see --help)")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _Parser(
        prog="python -m aether_load.simulator", description="A simulated Aether runtime.", allow_abbrev=False
    )
    add_arguments(parser)
    try:
        return run(parser.parse_args(arguments))
    except AetherLoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
