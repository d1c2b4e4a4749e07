"""Write lm-eval's results under the very name that `--output_path X.json` asks for."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from aether_load.outputs.output_path import write_output

_TIME = r"_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"


def copy_results(wanted: Path, run_id: str) -> Path | None:
    """Write the results that lm-eval put beside `wanted`, with the time in their name, to `wanted` itself too.

    The run's id in them tells them from other results. Return where they were, None when lm-eval wrote none.
    """
    name = re.compile(re.escape(wanted.stem) + _TIME + r"\.json")
    for path in sorted(wanted.parent.glob("*.json"), reverse=True):
        if name.fullmatch(path.name) and _run_id_in(content := path.read_bytes()) == run_id:
            write_output(wanted, content)
            return path
    return None


def _run_id_in(content: bytes) -> str | None:
    try:
        found: str = msgspec.json.decode(content)["config"]["aether_load"]["run_id"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return found
