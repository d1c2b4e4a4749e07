"""Compile an Aether program with the `aetherc` on the PATH."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

from aether_load.dag.check import DagMistake
from aether_load.dag.json_file import read_json
from aether_load.errors import explained
from aether_load.text import shorten, terminal_text

COMPILER = "aetherc"
SOURCE = ".aether"
LIMIT_S = 120
_MOST_SAID = 1000


def compiled(source: Path) -> Any:
    """Return what the compiler makes of a source, as JSON; raises DagMistake.

    A source that has not changed is compiled once in a process.
    """
    with explained("it cannot be read: ", kind=DagMistake):
        state = source.stat()
    return _compiled(source, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _compiled(source: Path, _changed_ns: int, _size: int) -> Any:
    program = shutil.which(COMPILER)
    if program is None:
        raise DagMistake(
            f"there is no {COMPILER} on the PATH to compile it; compile it elsewhere, with {COMPILER} compile "
            f"{source.name} -o {source.stem}.json, and give that file."
        )
    with tempfile.TemporaryDirectory(prefix="aether-load-compile-") as folder:
        output = Path(folder) / f"{source.stem}.json"
        command = [program, "compile", source.name, "-o", str(output)]
        try:
            done = subprocess.run(
                command, cwd=source.parent, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise DagMistake(f"{COMPILER} took more than {LIMIT_S} s to compile it.") from None
        except OSError as error:
            raise DagMistake(f"{program} cannot be started: {error.strerror}.") from None
        if done.returncode != 0:
            said = _said(done.stderr) or _said(done.stdout) or "it gave no reason"
            raise DagMistake(f"{COMPILER} does not compile it (exit code {done.returncode}): {said}")
        if not output.is_file():
            raise DagMistake(f"{COMPILER} ended well and wrote no file for -o.")
        return read_json(output)


def _said(output: bytes) -> str:
    """Return what a compiler wrote, on one line."""
    return shorten(terminal_text(output.decode(errors="replace").strip()), _MOST_SAID)
