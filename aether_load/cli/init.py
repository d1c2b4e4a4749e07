"""Write a locustfile, a scenario and a CI workflow to start from."""

from __future__ import annotations

import argparse
from pathlib import Path

from aether_load.errors import ExitCode, UsageError

DESCRIPTION = (
    "Write locustfile.py, scenario.toml and .github/workflows/load-test.yml to start from. Files that are there "
    "already are never replaced."
)
_STARTER = Path(__file__).with_name("starter")
_FILES = {
    "locustfile.py": "locustfile.py.tmpl",
    "scenario.toml": "scenario.toml",
    ".github/workflows/load-test.yml": "load-test.yml",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to its parser."""
    parser.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=Path(), help="where to (default: here)")


def run(parsed: argparse.Namespace) -> int:
    """Write the files, all or none, and say what to do next."""
    folder: Path = parsed.folder
    if there := [name for name in _FILES if (folder / name).exists()]:
        raise UsageError(f"init: {folder / there[0]} is there already, so nothing was written; name another folder.")
    try:
        for name, starter in _FILES.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((_STARTER / starter).read_bytes())
            print(f"wrote {path}")
    except OSError as error:
        raise UsageError(f"init: {error.filename} cannot be written: {error.strerror}.") from None
    where = "" if folder == Path() else f"cd {folder} && "
    print(f"\nNext: {where}aether-load run scenario.toml -f locustfile.py")
    print(
        "Before you push: set AETHER_LOAD in load-test.yml; GitHub reads workflows in .github/workflows/ of the "
        "repository's root only."
    )
    return int(ExitCode.PASSED)
