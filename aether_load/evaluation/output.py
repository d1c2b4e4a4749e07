"""lm-eval's `--output_path X.json`, made to come out under that very name."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from aether_load.rundata.folder import write_whole

_TIME = r"_\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?"


def wanted_file(arguments: Sequence[str]) -> Path | None:
    """Return the JSON file that lm-eval's command line asks for, None when it asks for a folder or for nothing."""
    parser = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    parser.add_argument("--output_path", "-o")
    parser.add_argument("--config", "-C")
    try:
        known, _ = parser.parse_known_args(list(arguments))
    except argparse.ArgumentError:
        return None
    path = known.output_path or _from_config(known.config)
    return Path(path) if path is not None and Path(path).suffix == ".json" else None


def _from_config(config: str | None) -> str | None:
    """Return the output path that lm-eval's own YAML file gives, if it gives one."""
    if config is None:
        return None
    try:
        text = Path(config).read_text(encoding="utf-8")
    except OSError:
        return None
    found = re.search(r"^output_path:\s*[\"']?([^\"'#\n]+?)[\"']?\s*(?:#.*)?$", text, re.MULTILINE)
    return found[1] if found else None


def copy_results(wanted: Path, run_id: str) -> Path | None:
    """Write the results that lm-eval put beside `wanted`, with the time in their name, to `wanted` itself too.

    They are known by the run's id in them; returns where they were, None when lm-eval wrote none.
    """
    name = re.compile(re.escape(wanted.stem) + _TIME + r"\.json")
    for path in sorted(wanted.parent.glob("*.json"), reverse=True):
        if name.fullmatch(path.name) and _run_id_in(content := path.read_bytes()) == run_id:
            write_whole(wanted, content)
            return path
    return None


def _run_id_in(content: bytes) -> str | None:
    try:
        found: str = msgspec.json.decode(content)["config"]["aether_load"]["run_id"]
    except (msgspec.DecodeError, KeyError, TypeError):
        return None
    return found
